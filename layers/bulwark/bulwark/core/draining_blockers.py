"""What holds a drain: which tasks cannot leave in time, and why. Said before the deadline, while somebody can still do something."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from bulwark.core.cluster import Cluster, Service, Task
from bulwark.core.draining_marks import clock
from bulwark.core.packing import Need, Space, misfits, place_all
from bulwark.core.plan import Finding, Plan

NAMED = 3
"""Tasks that a finding names one by one."""


def decide_blockers(cluster: Cluster, deadlines: Mapping[str, datetime], leaving: Sequence[str]) -> Plan:
    """Say which tasks on the registrations ``leaving`` cannot leave in time, and why. ``deadlines`` by EC2 id."""
    arns = set(leaving)
    ids = {i.arn: i.ec2_id for i in cluster.instances}
    tasks = [t for t in cluster.tasks if t.instance_arn in arns and t.desired_status != "STOPPED" and t.last_status == "RUNNING"]
    findings: list[Finding] = []
    moving: list[tuple[Task, Service]] = []
    for task in tasks:
        host = ids[task.instance_arn]
        gone = f"it ends with {host} at {clock(deadlines[host], cluster.seen_at)}" if host in deadlines else f"it ends with {host}"
        service = cluster.service(task.service) if task.service else None
        if task.service is None:
            since = f" and has run since {clock(task.started_at, cluster.seen_at)}" if task.started_at else ""
            message = f"{task.group or 'the task'} belongs to no service{since}, so ECS does not move it: {gone}"
            findings.append(Finding("standalone-task", task.id, message))
        elif service is None and task.service in (cluster.daemons or ()):
            continue
        elif service is None:
            findings.append(
                Finding("service-unknown", task.id, f"service {task.service} could not be read: whether it moves is unknown; {gone}")
            )
        elif not service.daemon:
            moving.append((task, service))
    findings += _protected([t for t, _ in moving], cluster)
    findings += _locked(moving)
    findings += _without_room([(t, s) for t, s in moving if not is_locked(s)], cluster, leaving)
    findings += _unseen(cluster)
    return Plan(findings=tuple(findings))


def healthy_bounds(service: Service) -> tuple[int, int]:
    """Fewest and most tasks ECS keeps while it moves some: the lower bound rounds up, the upper down."""
    return math.ceil(service.desired * service.min_healthy_percent / 100), service.desired * service.max_percent // 100


def is_locked(service: Service) -> bool:
    """Whether ECS may neither stop one of the service's tasks first nor start another first."""
    lower, upper = healthy_bounds(service)
    return service.running <= lower and service.running + service.pending >= upper


def starts_first(service: Service) -> bool:
    """Whether ECS must see a replacement run before it may stop a task."""
    lower, _ = healthy_bounds(service)
    return service.running <= lower


def rooms(cluster: Cluster, leaving: Sequence[str] = ()) -> list[Space]:
    """The instances that could take work: ACTIVE, agent connected, without our mark, and not among ``leaving`` (ARNs)."""
    away = {i.arn for i in cluster.instances if i.arn in leaving or i.status != "ACTIVE" or i.drain is not None}
    around = {i.arn: i for i in (*cluster.neighbours, *cluster.instances) if i.arn not in away and i.described}
    return [Space.of(i) for i in around.values() if i.status == "ACTIVE" and i.agent_connected]


def _protected(tasks: Sequence[Task], cluster: Cluster) -> list[Finding]:
    """Tasks whose scale-in protection may hold them."""
    return [
        Finding(
            "task-protected", t.id, f"protected by its service until {clock(t.protected_until, cluster.seen_at)}; it may stay until then"
        )
        for t in tasks
        if t.protected_until is not None and t.protected_until > cluster.seen_at
    ]


def _locked(moving: Sequence[tuple[Task, Service]]) -> list[Finding]:
    """One finding per service that its own deployment bounds hold in place."""
    held = {s.name: s for _, s in moving if is_locked(s)}
    findings = []
    for name, service in sorted(held.items()):
        here = [t for t, s in moving if s.name == name]
        lower, upper = healthy_bounds(service)
        message = (
            f"ECS keeps {lower} to {upper} tasks (min {service.min_healthy_percent} %, max {service.max_percent} % of {service.desired}) "
            f"and {service.running} run: {_tasks(here)} can be neither stopped first nor replaced first; widen the bounds"
        )
        findings.append(Finding("service-locked", name, message))
    return findings


def _without_room(moving: Sequence[tuple[Task, Service]], cluster: Cluster, leaving: Sequence[str]) -> list[Finding]:
    """One finding per service whose tasks fit on none of the neighbours looked at."""
    findings = []
    unsized = [t for t, _ in moving if not t.known_size]
    if unsized:
        findings.append(
            Finding("task-size-unknown", cluster.name, f"ECS does not say what {_tasks(unsized)} reserve: room for them is not judged")
        )
    services = {t.arn: s for t, s in moving}
    unjudged = sorted({s.name for t, s in moving if t.eni or s.constrained})
    for name in unjudged:
        message = "network interfaces and placement constraints of its tasks are not judged: only CPU, memory, GPUs and ports are"
        findings.append(Finding("room-not-judged", name, message))
    sized = {t.arn: t for t, _ in moving if t.known_size}
    if not sized or "neighbours" in cluster.unread or "instances" in cluster.unread:
        return findings
    spaces = rooms(cluster, leaving)
    _, unplaced = place_all([Need.of(t, key=t.arn) for t in sized.values()], spaces)
    short: dict[str, list[Task]] = {}
    for need in unplaced:
        short.setdefault(services[need.key].name, []).append(sized[need.key])
    for name, tasks in sorted(short.items()):
        findings.append(_no_room(name, tasks, first=starts_first(services[tasks[0].arn]), spaces=spaces, whole=cluster.neighbours_whole))
    return findings


def _no_room(name: str, tasks: Sequence[Task], *, first: bool, spaces: Sequence[Space], whole: bool) -> Finding:
    then = "they run until the instance is taken" if first else "they stop in time, and start again when there is room"
    why = _shortages(tasks, spaces)
    if whole:
        return Finding("no-room-elsewhere", name, f"{_tasks(tasks)} fit on none of the {len(spaces)} other instances{why}: {then}")
    message = (
        f"{_tasks(tasks)} fit on none of the {len(spaces)} instances looked at{why}, and the cluster has more: ECS may still find room"
    )
    return Finding("room-not-proven", name, message)


def _shortages(tasks: Sequence[Task], spaces: Sequence[Space]) -> str:
    """What the largest task lacks, and on how many of the instances: ``(no MEMORY on 7 of 7)``."""
    need = Need.of(max(tasks, key=lambda t: (t.memory, t.cpu)))
    lacking = Counter(m.reason.removeprefix("RESOURCE:") for s in spaces for m in misfits(need, s))
    said = ", ".join(f"no {what} on {count} of {len(spaces)}" for what, count in lacking.most_common())
    return f" ({said})" if said else ""


def _tasks(tasks: Sequence[Task]) -> str:
    """Tasks as a phrase: count, size of the largest, ids of the first few."""
    ids = ", ".join(t.id for t in tasks[:NAMED]) + (", ..." if len(tasks) > NAMED else "")
    largest = max(tasks, key=lambda t: (t.memory, t.cpu))
    return f"{len(tasks)} task{'s' if len(tasks) > 1 else ''} of {largest.cpu} CPU units and {largest.memory} MiB ({ids})"


def _unseen(cluster: Cluster) -> list[Finding]:
    """What could not, or not in time, be looked at."""
    findings = [
        Finding("not-observed", cluster.name, f"{part} could not be read: {error}") for part, error in sorted(cluster.unread.items())
    ]
    if cluster.tasks_unexamined:
        count = len(cluster.tasks_unexamined)
        message = f"the tasks on {count} more instances were not looked at, to stay within ECS's read rate; they drain all the same"
        findings.append(Finding("tasks-not-examined", cluster.name, message))
    return findings
