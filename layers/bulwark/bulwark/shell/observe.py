"""AWS becomes one immutable Cluster snapshot, in steps: where the instance belongs, what is around it, what runs on it.

Every list is read to its last page, with one declared exception (``observe_surroundings``). A step that fails says so in
``Cluster.unread`` and leaves what was known as it was: no failed read undoes what an earlier step made possible.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from bulwark.core.cluster import Cluster, ContainerInstance
from bulwark.shell import translate
from bulwark.shell.aws import AWS_ERRORS, explain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from bulwark.core.cluster import CapacityProvider, Host, Service, Task
    from bulwark.shell.aws import Aws

HOST_IDS = 200
"""Values one DescribeInstances filter takes (EC2 API reference, DescribeInstances)."""

FILTER_IDS = 75
"""Instance ids in one ECS filter: an expression of the cluster query language holds 2,000 characters, an id takes 23."""

DESCRIBE = 100
"""Ids in one DescribeContainerInstances or DescribeTasks call, and entries of one page of a list."""

DESCRIBE_SERVICES = 10
"""Names in one DescribeServices call."""

DESCRIBE_GROUPS = 100
"""Names in one DescribeAutoScalingGroups call."""

EXAMINED = 100
"""Instances whose tasks are looked at per delivery: each costs one ListTasks call. The rest is reported."""

T = TypeVar("T")


class MissingClusterError(LookupError):
    """The cluster that a tag names does not exist; the message says where and what to do."""


class PartialAnswerError(RuntimeError):
    """AWS answered 200 with ``failures``; the message names them."""


READ_ERRORS = (*AWS_ERRORS, PartialAnswerError)
"""What a read can end in."""


def chunks(items: Iterable[T], size: int) -> list[list[T]]:
    """``items`` in lists of at most ``size``."""
    whole = list(items)
    return [whole[i : i + size] for i in range(0, len(whole), size)]


def observe_hosts(aws: Aws, instance_ids: Iterable[str]) -> tuple[Host, ...]:
    """Where each EC2 instance belongs, by its tags. An id EC2 does not know is simply absent."""
    pages = aws.ec2.get_paginator("describe_instances")
    return tuple(
        translate.host(instance)
        for ids in chunks(instance_ids, HOST_IDS)
        for page in pages.paginate(Filters=[{"Name": "instance-id", "Values": ids}])
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
    )


def observe_registrations(aws: Aws, name: str, hosts: Sequence[Host], now: datetime) -> Cluster:
    """The container instances of ``hosts`` in cluster ``name``.

    One host that is ACTIVE costs one call: the list, filtered by status, says all that draining it needs. Otherwise they
    are described. Raises MissingClusterError, or what AWS raised.
    """
    ids = [h.id for h in hosts]
    try:
        if len(ids) == 1 and (arns := _list_instances(aws, name, ids, status="ACTIVE")):
            found = [ContainerInstance(arn=a, ec2_id=ids[0], zone=hosts[0].zone, described=False) for a in arns]
        else:
            found = _describe_instances(aws, name, _list_instances(aws, name, ids))
    except aws.ecs.exceptions.ClusterNotFoundException as error:
        raise MissingClusterError(
            f"cluster {name}: named by the tag {translate.CLUSTER_TAG} of {ids[0]}, "
            "but there is no such ECS cluster: correct or remove the tag"
        ) from error
    return Cluster(name=name, seen_at=now, hosts=tuple(hosts), instances=tuple(found))


def observe_surroundings(aws: Aws, cluster: Cluster) -> Cluster:
    """Describe the instances in question, and neighbours that could take their work.

    Of the neighbours only one page is read, and ``neighbours_whole`` says whether that was all: a hundred instances
    prove that there is room, and where they do not, the finding says that more were not looked at. So the cost of a
    warning does not grow with the cluster. The status stays as first seen: that it has become DRAINING since is our doing.
    """
    ours = {i.arn for i in cluster.instances}
    bare = [i.arn for i in cluster.instances if not i.described]
    unread = dict(cluster.unread)
    others: list[str] = []
    whole = False
    try:
        page = aws.ecs.list_container_instances(cluster=cluster.name, status="ACTIVE", filter="agentConnected == true", maxResults=DESCRIBE)
        others = [a for a in page["containerInstanceArns"] if a not in ours]
        room = DESCRIBE - len(bare) % DESCRIBE
        whole = not page.get("nextToken") and len(others) <= room
        others = others[:room]
    except READ_ERRORS as error:
        unread["neighbours"] = explain(error)
    described: dict[str, ContainerInstance] = {}
    try:
        described = {i.arn: i for i in _describe_instances(aws, cluster.name, bare + others)}
    except READ_ERRORS as error:
        unread["instances"] = explain(error)
        whole = False
    instances = tuple(replace(described[i.arn], status=i.status) if i.arn in described else i for i in cluster.instances)
    return replace(
        cluster,
        instances=instances,
        neighbours=tuple(described[a] for a in others if a in described),
        neighbours_whole=whole,
        unread=unread,
    )


def observe_capacity_providers(aws: Aws, cluster: Cluster) -> Cluster:
    """What ECS manages itself on the groups of the instances in question. No call where no capacity provider is named."""
    names = sorted({i.capacity_provider for i in cluster.instances if i.capacity_provider})
    if not names:
        return cluster
    providers: list[CapacityProvider] = []
    try:
        for some in chunks(names, DESCRIBE):
            answer = _whole(aws.ecs.describe_capacity_providers(capacityProviders=some), "capacity providers")
            providers += [translate.capacity_provider(p) for p in answer["capacityProviders"]]
    except READ_ERRORS as error:
        return replace(cluster, unread={**cluster.unread, "capacity providers": explain(error)})
    return replace(cluster, capacity_providers=tuple(providers))


def observe_work(aws: Aws, cluster: Cluster, arns: Sequence[str], limit: int = EXAMINED) -> Cluster:
    """The tasks on the first ``limit`` busy ones of the container instances ``arns``, and the services they belong to."""
    busy = {i.arn for i in cluster.instances if not i.described or i.running or i.pending}
    wanted = [a for a in arns if a in busy]
    looked_at = wanted[:limit]
    unread = dict(cluster.unread)
    tasks: list[Task] = []
    services: list[Service] = []
    try:
        task_arns = [t for a in looked_at for t in _list_tasks(aws, cluster.name, a)]
        for some in chunks(task_arns, DESCRIBE):
            answer = _whole(aws.ecs.describe_tasks(cluster=cluster.name, tasks=some), "tasks")
            tasks += [translate.task(t) for t in answer["tasks"]]
        for names in chunks(sorted({t.service for t in tasks if t.service}), DESCRIBE_SERVICES):
            found = _whole(aws.ecs.describe_services(cluster=cluster.name, services=names), "services")
            services += [translate.service(s) for s in found["services"]]
    except READ_ERRORS as error:
        unread["tasks and services"] = explain(error)
    return replace(cluster, tasks=tuple(tasks), services=tuple(services), tasks_unexamined=frozenset(wanted[limit:]), unread=unread)


def observe_groups(aws: Aws, cluster: Cluster, names: Iterable[str]) -> Cluster:
    """The Auto Scaling groups ``names``, to explain why one of them refused something."""
    pages = aws.autoscaling.get_paginator("describe_auto_scaling_groups")
    try:
        groups = tuple(
            translate.group(g)
            for some in chunks(sorted(set(names)), DESCRIBE_GROUPS)
            for page in pages.paginate(AutoScalingGroupNames=some)
            for g in page["AutoScalingGroups"]
        )
    except READ_ERRORS as error:
        return replace(cluster, unread={**cluster.unread, "groups": explain(error)})
    return replace(cluster, groups=groups)


def _list_instances(aws: Aws, name: str, ids: Sequence[str], status: str | None = None) -> list[str]:
    """ARNs of every registration of the EC2 instances ``ids``: any status but INACTIVE, or only ``status``."""
    pages = aws.ecs.get_paginator("list_container_instances")
    arns: list[str] = []
    for some in chunks(ids, FILTER_IDS):
        quoted = ", ".join(f"'{i}'" for i in some)
        expression = f"ec2InstanceId in [{quoted}]"
        found = (
            pages.paginate(cluster=name, filter=expression, status="ACTIVE") if status else pages.paginate(cluster=name, filter=expression)
        )
        arns += [a for page in found for a in page["containerInstanceArns"]]
    return arns


def _describe_instances(aws: Aws, name: str, arns: Sequence[str]) -> list[ContainerInstance]:
    return [
        translate.container_instance(i)
        for some in chunks(arns, DESCRIBE)
        for i in _whole(aws.ecs.describe_container_instances(cluster=name, containerInstances=some), "instances")["containerInstances"]
    ]


def _list_tasks(aws: Aws, name: str, arn: str) -> list[str]:
    pages = aws.ecs.get_paginator("list_tasks").paginate(cluster=name, containerInstance=arn)
    return [t for page in pages for t in page["taskArns"]]


def _whole(answer: Any, part: str) -> Any:
    """``answer``, if it failed for nothing that still exists.

    What is MISSING has ended or been deregistered since it was listed. Any other entry of ``failures`` is a failure of the
    read, though the HTTP status is 200. Raises PartialAnswerError.
    """
    reasons = [f"{f.get('arn', '?')}: {f.get('reason')}" for f in answer.get("failures", ()) if f.get("reason") != "MISSING"]
    if reasons:
        raise PartialAnswerError(f"{part}: {'; '.join(reasons)[:300]}")
    return answer
