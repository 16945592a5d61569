"""The work on instances: tasks, their services and definitions, daemons, task protection."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bulwark.shell import translate
from bulwark.shell.aws import explain
from bulwark.shell.observe import DESCRIBE, READ_ERRORS, chunks, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bulwark.core.cluster import Cluster, Service, Task
    from bulwark.shell.aws import Aws

DESCRIBE_SERVICES = 10
"""Names in one DescribeServices call."""

EXAMINED = 100
"""Instances whose tasks are looked at per delivery: each costs one ListTasks call. The rest is reported."""

DEFINITIONS = 50
"""Task definitions that are read for one decision: each costs one call. What is not read is not proven to fit elsewhere."""


def observe_work(aws: Aws, cluster: Cluster, arns: Sequence[str], limit: int = EXAMINED, *, tags: bool = False) -> Cluster:
    """The tasks on the first ``limit`` busy ones of the container instances ``arns``, and the services they belong to.

    ``tags``: the tasks' tags too.
    """
    busy = {i.arn for i in cluster.instances if not i.described or i.running or i.pending or i.remaining != i.registered}
    wanted = [a for a in arns if a in busy and a not in cluster.tasks_examined]
    looked_at = wanted[:limit]
    unexamined = cluster.tasks_unexamined | set(wanted[limit:])
    try:
        task_arns = [t for a in looked_at for t in _list_tasks(aws, cluster.name, a)]
        cluster = _with_tasks(aws, cluster, task_arns, tags=tags)
    except READ_ERRORS as error:
        return replace(cluster, tasks_unexamined=unexamined, unread={**cluster.unread, "tasks and services": explain(error)})
    return replace(cluster, tasks_examined=cluster.tasks_examined | set(looked_at), tasks_unexamined=unexamined)


def observe_stopping(aws: Aws, cluster: Cluster, arns: Sequence[str]) -> Cluster:
    """The tasks on ``arns`` that were told to stop: ListTasks does not show them unless asked, and some still hold their place."""
    try:
        task_arns = [t for a in arns for t in _list_tasks(aws, cluster.name, a, status="STOPPED")]
        cluster = _with_tasks(aws, cluster, task_arns, tags=False)
    except READ_ERRORS as error:
        return replace(cluster, unread={**cluster.unread, "stopping tasks": explain(error)})
    return replace(cluster, stopping_examined=cluster.stopping_examined | set(arns))


def _with_tasks(aws: Aws, cluster: Cluster, task_arns: Iterable[str], *, tags: bool) -> Cluster:
    """The snapshot with these tasks, and those of their services that it lacks. Raises what AWS raised."""
    tasks = describe_tasks(aws, cluster.name, task_arns, tags=tags)
    known = {s.name for s in cluster.services} | (cluster.daemons or frozenset())
    services = services_named(aws, cluster.name, {t.service for t in tasks if t.service} - known)
    fresh = {t.arn for t in tasks}
    kept = tuple(t for t in cluster.tasks if t.arn not in fresh)
    return replace(cluster, tasks=kept + tuple(tasks), services=cluster.services + tuple(services))


def describe_tasks(aws: Aws, cluster: str, task_arns: Iterable[str], *, tags: bool = False) -> list[Task]:
    """Tasks by ARN, with their ``tags`` if asked for. Raises what AWS raised."""
    extra: Any = {"include": ["TAGS"]} if tags else {}
    tasks: list[Task] = []
    for some in chunks(task_arns, DESCRIBE):
        answer = whole(aws.ecs.describe_tasks(cluster=cluster, tasks=some, **extra), "tasks")
        tasks += [translate.task(t) for t in answer["tasks"]]
    return tasks


def services_named(aws: Aws, cluster: str, names: Iterable[str]) -> list[Service]:
    """Services by name. Raises what AWS raised."""
    services: list[Service] = []
    for some in chunks(sorted(names), DESCRIBE_SERVICES):
        found = whole(aws.ecs.describe_services(cluster=cluster, services=some), "services")
        services += [translate.service(s) for s in found["services"] if s.get("status", "ACTIVE") != "INACTIVE"]
    return services


def observe_services(aws: Aws, cluster: Cluster, names: Iterable[str]) -> Cluster:
    """The snapshot with the services ``names`` as well."""
    try:
        found = services_named(aws, cluster.name, set(names) - {s.name for s in cluster.services})
    except READ_ERRORS as error:
        return replace(cluster, unread={**cluster.unread, "services": explain(error)})
    return replace(cluster, services=cluster.services + tuple(found))


def observe_daemons(aws: Aws, cluster: Cluster) -> Cluster:
    """The names of the cluster's daemon services: an instance with more tasks than those surely has work on it."""
    if cluster.daemons is not None:
        return cluster
    try:
        pages = aws.ecs.get_paginator("list_services").paginate(
            cluster=cluster.name, schedulingStrategy="DAEMON", PaginationConfig={"PageSize": DESCRIBE}
        )
        names = frozenset(arn.rpartition("/")[2] for page in pages for arn in page["serviceArns"])
    except READ_ERRORS as error:
        return replace(cluster, unread={**cluster.unread, "daemon services": explain(error)})
    return replace(cluster, daemons=names)


def observe_protection(aws: Aws, cluster: Cluster) -> Cluster:
    """Until when tasks of services are protected. A failure says only that nothing is known of it."""
    arns = [t.arn for t in cluster.tasks if t.service and t.alive]
    until: dict[str, Any] = {}
    try:
        for some in chunks(arns, DESCRIBE):
            answer = whole(aws.ecs.get_task_protection(cluster=cluster.name, tasks=some), "task protection")
            until |= {p["taskArn"]: p.get("expirationDate") for p in answer["protectedTasks"] if p.get("protectionEnabled")}
    except READ_ERRORS as error:
        return replace(cluster, unread={**cluster.unread, "task protection": explain(error)})
    return replace(cluster, tasks=tuple(replace(t, protected_until=until.get(t.arn)) for t in cluster.tasks))


def observe_definitions(aws: Aws, cluster: Cluster) -> Cluster:
    """What the tasks require of an instance, by their task definitions, the first DEFINITIONS of them."""
    names = sorted({t.definition for t in cluster.tasks if t.definition and t.requires is None})
    required: dict[str, tuple[tuple[str, str | None], ...]] = {}
    try:
        for name in names[:DEFINITIONS]:
            answer = aws.ecs.describe_task_definition(taskDefinition=name)["taskDefinition"]
            required[name] = tuple(sorted((a["name"], a.get("value")) for a in answer.get("requiresAttributes", ())))
    except READ_ERRORS as error:
        return replace(cluster, unread={**cluster.unread, "task definitions": explain(error)})
    return replace(cluster, tasks=tuple(replace(t, requires=required.get(t.definition, t.requires)) for t in cluster.tasks))


def _list_tasks(aws: Aws, name: str, arn: str, status: Any = "RUNNING") -> list[str]:
    pages = aws.ecs.get_paginator("list_tasks").paginate(cluster=name, containerInstance=arn, desiredStatus=status)
    return [t for page in pages for t in page["taskArns"]]
