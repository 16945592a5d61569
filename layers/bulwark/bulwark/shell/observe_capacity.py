"""A whole cluster as it takes to size it: every instance and service, what waits, what groups launch, and the work that could move.

Nothing is read per task: tasks are looked at only where they leave, where they wait, and on the few instances that could go.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bulwark.core.capacity import worth_a_look
from bulwark.core.capacity_rest import decide_rest, trouble_of
from bulwark.core.demand import definitions_needed, leaving, waiting_names
from bulwark.core.room import units_of
from bulwark.shell import translate_capacity
from bulwark.shell.aws import explain
from bulwark.shell.observe import DESCRIBE, READ_ERRORS, chunks, observe_cluster, with_hosts
from bulwark.shell.observe_groups import observe_managed
from bulwark.shell.observe_types import observe_shapes
from bulwark.shell.observe_work import EXAMINED, describe_tasks, observe_protection, observe_work, services_named

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from bulwark.core.capacity_rest import Rest
    from bulwark.core.cluster import Cluster, Definition, Group, Task
    from bulwark.core.policies import Policy
    from bulwark.shell.aws import Aws
    from bulwark.shell.memory import Memory

DEFINITIONS = 150
"""Task definitions read in one look, a call each; those that decide something come first, and none is ever read twice."""

ACTIVITIES = 20
"""Scaling activities of a group that are looked at: what it tried last."""

LISTED = 2000
"""Tasks of a cluster up to which all are listed to find standalone ones that are PROVISIONING: ECS cannot be asked for those alone."""


@dataclass(slots=True)
class Known:
    """What never changes once it was read, kept as long as the function's environment lives."""

    definitions: dict[str, Definition] = field(default_factory=dict)
    zones: dict[str, str] = field(default_factory=dict)
    types: dict[tuple[str, str], Any] = field(default_factory=dict)


def observe_capacity(aws: Aws, name: str, groups: Sequence[Group], policy: Policy, memory: Memory, known: Known, now: datetime) -> Cluster:
    """The snapshot. Raises what AWS raised if instances or services could not be read: nothing can be decided without them.

    ``groups``: those of the cluster that opted in, as they were just read; ``memory``: what is remembered of the cluster.
    """
    cluster = observe_cluster(aws, name, now)
    cluster = replace(cluster, services=tuple(services_named(aws, name, _service_names(aws, name))))
    cluster = replace(cluster, demands=memory.demands, removed=memory.removed, regret=memory.regret)
    cluster = observe_managed(aws, replace(cluster, groups=tuple(_rested(aws, g, memory, now) for g in groups)))
    cluster = observe_work(aws, cluster, [i.arn for i in leaving(cluster)], EXAMINED)
    cluster = _provisioning(aws, cluster)
    cluster = _definitions(aws, cluster, policy, known)
    cluster = _zones(aws, cluster, known)
    cluster = _holders(aws, cluster, waiting_names(cluster) | policy.capacity.headroom_tasks.keys())
    registered = {i.ec2_id for i in cluster.instances}
    cluster = with_hosts(aws, cluster, {m.id for g in groups for m in g.members if m.id not in registered})
    cluster = observe_shapes(aws, cluster, memory.shapes, known.types)
    arns = worth_a_look(cluster, policy)
    if arns:
        cluster = observe_work(aws, cluster, arns, len(arns))
        cluster = _holders(aws, cluster, {t.service for t in cluster.tasks if t.instance_arn in arns and t.service})
        cluster = _definitions(aws, cluster, policy, known)
        cluster = observe_protection(aws, cluster)
    return cluster


def _service_names(aws: Aws, name: str) -> list[str]:
    """The names of every service of a cluster. Raises what AWS raised."""
    pages = aws.ecs.get_paginator("list_services").paginate(cluster=name, PaginationConfig={"PageSize": DESCRIBE})
    return [arn.rpartition("/")[2] for page in pages for arn in page["serviceArns"]]


def _rested(aws: Aws, group: Group, memory: Memory, now: datetime) -> Group:
    """The group with its rest. Only one that lacks what it was asked for, or rests, is asked what it tried."""
    before = memory.rests.get(group.name)
    if group.desired <= units_of(group) and before is None:
        return group
    try:
        answer = aws.autoscaling.describe_scaling_activities(AutoScalingGroupName=group.name, MaxRecords=ACTIVITIES)
    except READ_ERRORS:
        return replace(group, rest=before)
    found = [a for a in map(translate_capacity.activity, answer["Activities"]) if a is not None]
    return replace(group, rest=decide_rest(found, before, now), trouble=trouble_of(found))


def rests_of(cluster: Cluster) -> dict[str, Rest]:
    """The rests to be remembered."""
    return {g.name: g.rest for g in cluster.groups if g.rest is not None}


def _definitions(aws: Aws, cluster: Cluster, policy: Policy, known: Known) -> Cluster:
    """The snapshot with the task definitions that its services have, and its tasks that could move."""
    wanted = definitions_needed(cluster, policy.capacity)
    left = DEFINITIONS
    unread = dict(cluster.unread)
    for arn in wanted:
        if arn in known.definitions:
            continue
        if not left:
            break
        left -= 1
        try:
            known.definitions[arn] = translate_capacity.definition(aws.ecs.describe_task_definition(taskDefinition=arn))
        except READ_ERRORS as error:
            unread["task definitions"] = explain(error)
            break
    found = {arn: known.definitions[arn] for arn in wanted if arn in known.definitions}
    return replace(cluster, definitions=found, unread=unread)


def _zones(aws: Aws, cluster: Cluster, known: Known) -> Cluster:
    """The snapshot with the zones of its services' subnets. What cannot be read stays None: of those services nothing is judged."""
    wanted = sorted({subnet for s in cluster.services for subnet in s.subnets} - known.zones.keys())
    unread = dict(cluster.unread)
    try:
        for some in chunks(wanted, 200):
            pages = aws.ec2.get_paginator("describe_subnets").paginate(Filters=[{"Name": "subnet-id", "Values": some}])
            known.zones |= {s["SubnetId"]: s["AvailabilityZone"] for page in pages for s in page["Subnets"]}
    except READ_ERRORS as error:
        unread["subnets"] = explain(error)
    services = tuple(
        replace(s, zones=frozenset(known.zones[n] for n in s.subnets)) if s.subnets and all(n in known.zones for n in s.subnets) else s
        for s in cluster.services
    )
    return replace(cluster, services=services, unread=unread)


def _holders(aws: Aws, cluster: Cluster, services: set[str]) -> Cluster:
    """The snapshot with all tasks of those of ``services`` that allow one to an instance: where they are is where no other goes."""
    names = services & {s.name for s in cluster.services if s.distinct}
    return _with_tasks_of(aws, cluster, names, "tasks of services that allow one to an instance")


def _with_tasks_of(aws: Aws, cluster: Cluster, services: Iterable[str], part: str) -> Cluster:
    """The snapshot with every task of these services."""
    try:
        arns = [arn for name in sorted(services) for arn in _tasks(aws, cluster.name, serviceName=name)]
        tasks = describe_tasks(aws, cluster.name, arns)
    except READ_ERRORS as error:
        return replace(cluster, unread={**cluster.unread, part: explain(error)})
    known = {t.arn for t in cluster.tasks}
    return replace(cluster, tasks=cluster.tasks + tuple(t for t in tasks if t.arn not in known and t.instance_arn))


def _tasks(aws: Aws, name: str, **which: str) -> list[str]:
    request: Any = {"cluster": name, **which}
    pages = aws.ecs.get_paginator("list_tasks").paginate(**request)
    return [arn for page in pages for arn in page["taskArns"]]


def _provisioning(aws: Aws, cluster: Cluster) -> Cluster:
    """The snapshot with tasks that ECS has accepted for a capacity provider and placed nowhere yet.

    Only where a group of ours has a provider in front. Of a large cluster only those of services are looked for.
    """
    if not any(g.ecs_managed for g in cluster.groups):
        return cluster
    pending = [s.name for s in cluster.services if s.providers and s.pending]
    small = sum(i.running + i.pending for i in cluster.instances) <= LISTED
    try:
        arns = _tasks(aws, cluster.name) if small else [a for name in pending for a in _tasks(aws, cluster.name, serviceName=name)]
        tasks = describe_tasks(aws, cluster.name, arns)
    except READ_ERRORS as error:
        return replace(cluster, unread={**cluster.unread, "tasks that wait": explain(error)})
    return replace(cluster, waiting=tuple(t for t in tasks if _waits(t)))


def _waits(task: Task) -> bool:
    return task.last_status == "PROVISIONING" and not task.instance_arn and task.desired_status == "RUNNING"
