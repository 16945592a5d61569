"""AWS becomes one immutable Cluster snapshot, in steps: where the instance belongs, what is around it, what runs on it.

Every list is read to its last page, with one declared exception (``observe_surroundings``). A step that fails says so in
``Cluster.unread`` and leaves what was known as it was: no failed read undoes what an earlier step made possible.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING, Any, TypeVar

from bulwark.core.cluster import DRAIN_ATTRIBUTE, Cluster, ContainerInstance
from bulwark.core.signals import SpotInterruption
from bulwark.shell import translate
from bulwark.shell.aws import AWS_ERRORS, explain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from bulwark.core.cluster import Host
    from bulwark.core.signals import InterruptionAction
    from bulwark.shell.aws import Aws

HOST_IDS = 200
"""Values one DescribeInstances filter takes (EC2 API reference, DescribeInstances)."""

FILTER_IDS = 75
"""Instance ids in one ECS filter: an expression of the cluster query language holds 2,000 characters, an id takes 23."""

DESCRIBE = 100
"""Ids in one DescribeContainerInstances or DescribeTasks call, and entries of one page of a list."""

CONDEMNED: dict[str, InterruptionAction] = {"marked-for-termination": "terminate", "marked-for-stop": "stop"}
"""Status codes of a Spot request whose instance EC2 is about to take, and what it will do to it."""

SPOT_REQUESTS = 1000
"""The largest page of DescribeSpotInstanceRequests."""

MARKED_OR_AWAY = f"attribute:{DRAIN_ATTRIBUTE} exists or agentConnected == false"
"""What a sweep asks each cluster for, in the cluster query language."""

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


def observe_condemned(aws: Aws) -> tuple[SpotInterruption, ...]:
    """Spot Instances that EC2 has marked to be taken: what a warning that was lost would have said. Raises what AWS raised.

    The status codes are those of Spot requests: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-request-status.html
    """
    pages = aws.ec2.get_paginator("describe_spot_instance_requests").paginate(
        Filters=[{"Name": "status-code", "Values": list(CONDEMNED)}], PaginationConfig={"PageSize": SPOT_REQUESTS}
    )
    found = (request for page in pages for request in page["SpotInstanceRequests"])
    return tuple(
        SpotInterruption(r["InstanceId"], r["Status"]["UpdateTime"].astimezone(UTC), CONDEMNED[r["Status"]["Code"]])
        for r in found
        if r.get("InstanceId") and r.get("Status", {}).get("Code") in CONDEMNED and r["Status"].get("UpdateTime")
    )


def observe_registrations(aws: Aws, name: str, hosts: Sequence[Host], now: datetime, *, hasty: bool = True) -> Cluster:
    """The container instances of ``hosts`` in cluster ``name``.

    If ``hasty``, one host that is ACTIVE costs one call: the list, filtered by status, says all that draining it needs. Otherwise
    they are described. Raises MissingClusterError, or what AWS raised.
    """
    ids = [h.id for h in hosts]
    try:
        if hasty and len(ids) == 1 and (arns := _list_instances(aws, name, ids, status="ACTIVE")):
            found = [ContainerInstance(arn=a, ec2_id=ids[0], zone=hosts[0].zone, described=False) for a in arns]
        else:
            found = _describe_instances(aws, name, _list_instances(aws, name, ids))
    except aws.ecs.exceptions.ClusterNotFoundException as error:
        raise MissingClusterError(_missing(name, ids[0])) from error
    return Cluster(name=name, seen_at=now, hosts=tuple(hosts), instances=tuple(found))


def observe_active(aws: Aws, name: str, ids: Iterable[str]) -> set[str]:
    """Which of the EC2 instances ``ids`` take tasks in cluster ``name``: those with an ACTIVE registration. Raises what AWS raised."""
    try:
        arns = _list_instances(aws, name, sorted(ids), status="ACTIVE")
    except aws.ecs.exceptions.ClusterNotFoundException as error:
        raise MissingClusterError(_missing(name, "its instances")) from error
    return {i.ec2_id for i in _describe_instances(aws, name, arns)}


def observe_surroundings(aws: Aws, cluster: Cluster) -> Cluster:
    """Describe the instances in question, and neighbours that could take their work.

    Of the neighbours only one page is read, and ``neighbours_whole`` says whether that was all: a hundred instances
    prove that there is room, and where they do not, the finding says that more were not looked at. So the cost of a
    warning does not grow with the cluster. Status and mark stay as they are known already: what we have
    just done may not show yet.
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
    instances = tuple(
        replace(described[i.arn], status=i.status, drain=i.drain or described[i.arn].drain) if i.arn in described else i
        for i in cluster.instances
    )
    return replace(
        cluster,
        instances=instances,
        neighbours=tuple(described[a] for a in others if a in described),
        neighbours_whole=whole,
        unread=unread,
    )


def observe_cluster(aws: Aws, name: str, now: datetime) -> Cluster:
    """Every container instance of cluster ``name``: for decisions about the cluster as a whole. Raises what AWS raised."""
    try:
        pages = aws.ecs.get_paginator("list_container_instances").paginate(cluster=name)
        arns = [a for page in pages for a in page["containerInstanceArns"]]
    except aws.ecs.exceptions.ClusterNotFoundException as error:
        raise MissingClusterError(_missing(name, "its Auto Scaling groups")) from error
    return Cluster(name=name, seen_at=now, instances=tuple(_describe_instances(aws, name, arns)))


def observe_marked(aws: Aws, name: str, now: datetime) -> Cluster:
    """The container instances of cluster ``name`` that Bulwark drains or whose agent is away, and their hosts.

    One list call where there is none. Raises what AWS raised; hosts that cannot be read are ``unread``.
    """
    try:
        pages = aws.ecs.get_paginator("list_container_instances").paginate(cluster=name, filter=MARKED_OR_AWAY)
        arns = [a for page in pages for a in page["containerInstanceArns"]]
    except aws.ecs.exceptions.ClusterNotFoundException as error:
        raise MissingClusterError(_missing(name, "its Auto Scaling groups")) from error
    found = _describe_instances(aws, name, arns) if arns else []
    return with_hosts(aws, Cluster(name=name, seen_at=now, instances=tuple(found)), {i.ec2_id for i in found})


def with_hosts(aws: Aws, cluster: Cluster, instance_ids: Iterable[str]) -> Cluster:
    """The snapshot with the EC2 side of these instances."""
    ids = sorted(set(instance_ids) - {h.id for h in cluster.hosts} - {""})
    if not ids:
        return cluster
    try:
        return replace(cluster, hosts=cluster.hosts + observe_hosts(aws, ids))
    except READ_ERRORS as error:
        return replace(cluster, unread={**cluster.unread, "hosts": explain(error)})


def with_registrations(aws: Aws, cluster: Cluster, instance_ids: Iterable[str]) -> Cluster:
    """The snapshot with every registration of these EC2 instances. Raises what AWS raised."""
    ids = sorted(set(instance_ids) - {""})
    if not ids:
        return cluster
    known = {i.arn for i in cluster.instances}
    more = [arn for arn in _list_instances(aws, cluster.name, ids) if arn not in known]
    return replace(cluster, instances=cluster.instances + tuple(_describe_instances(aws, cluster.name, more))) if more else cluster


def _missing(name: str, of: str) -> str:
    """The line about a cluster that is not there."""
    return f"cluster {name}: named by the tag {translate.CLUSTER_TAG} of {of}, but there is no such ECS cluster: correct or remove the tag"


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
        for i in whole(aws.ecs.describe_container_instances(cluster=name, containerInstances=some), "instances")["containerInstances"]
    ]


def whole(answer: Any, part: str) -> Any:
    """``answer``, if it failed for nothing that still exists.

    What is MISSING has ended or been deregistered since it was listed. Any other entry of ``failures`` is a failure of the
    read, though the HTTP status is 200. Raises PartialAnswerError.
    """
    reasons = [f"{f.get('arn', '?')}: {f.get('reason')}" for f in answer.get("failures", ()) if f.get("reason") != "MISSING"]
    if reasons:
        raise PartialAnswerError(f"{part}: {'; '.join(reasons)[:300]}")
    return answer
