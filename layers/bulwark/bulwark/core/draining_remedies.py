"""Remedies for work that would not leave in time, each asked for by policy, bounded, and undone.

Stop a task early, so that it gets SIGTERM and leaves its load balancer rather than losing power; widen a service's upper bound
while the drain lasts; start a standalone task again elsewhere, or stop it, as its tag ``bulwark:on-drain`` says.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

from bulwark.core.cluster import Cluster, ContainerInstance, DrainMark, RaisedBound, Service, Task
from bulwark.core.draining import OVER
from bulwark.core.draining_blockers import healthy_bounds, is_locked, rooms, starts_first
from bulwark.core.draining_ends import is_daemon
from bulwark.core.draining_marks import SPOT_CAUSE, VOLUNTARY, clock, deadline_of, drains, mark_on
from bulwark.core.packing import Need, fits
from bulwark.core.plan import Action, Finding, Plan, RaiseMaxPercent, RestoreMaxPercent, RunTask, StopTask
from bulwark.core.policies import Policy

ON_DRAIN_TAG = "bulwark:on-drain"
"""Tag of a standalone task that says what becomes of it when its instance drains: ``rerun`` or ``stop``."""

MOST = 10
"""Tasks that are stopped, started again, or services widened in one decision about one instance."""

LEAD = timedelta(minutes=10)
"""How long before a distant deadline tasks are stopped: a target group takes five minutes to let go of one by default."""

SPOT_LEAD = timedelta(seconds=75)
"""The same for a Spot warning's two minutes: the last sweep before them, and a task's 30 s to stop."""

LONGEST = timedelta(hours=48)
"""The longest that a raised bound is kept, which is the longest that a hook can hold an instance."""

WIDEST = 200
"""Percent; no service is widened beyond ECS's own default."""


def decide_remedies(cluster: Cluster, policy: Policy) -> Plan:
    """What is done about work that cannot leave the instances being drained by itself."""
    plan = Plan()
    again = [note for note in cluster.raised if (s := cluster.service(note.service)) is not None and s.max_percent == note.usual]
    widened = {note.service for note in cluster.raised}
    for ec2_id, found in drains(cluster).items():
        mark, host = mark_on(found), cluster.host(ec2_id)
        if mark is None or host is None or host.state in OVER or any(i.status == "ACTIVE" for i in found):
            continue
        mark = replace(mark, deadline=deadline_of(cluster, ec2_id, mark, policy))
        tasks = _work(cluster, found)
        moving = [(t, s) for t in tasks if t.service and (s := cluster.service(t.service)) is not None]
        if policy.draining.standalone:
            plan += _standalone(cluster, [t for t in tasks if t.service is None], mark)
        if mark.cause in VOLUNTARY:
            continue
        if policy.draining.raise_max_percent:
            raised = _widened(cluster, moving, widened, again)
            widened |= {a.target for a in raised.actions}
            again = [note for note in again if note.service not in {a.target for a in raised.actions}]
            plan += raised
        if policy.draining.stop_locked:
            plan += _stopped(cluster, [(t, s) for t, s in moving if s.name not in widened], found, mark)
    return plan


def _work(cluster: Cluster, found: Sequence[ContainerInstance]) -> list[Task]:
    """Tasks that run on the instance and have not been told to stop, daemons apart."""
    tasks = cluster.tasks_on(found)
    return [t for t in tasks if t.last_status == "RUNNING" and t.desired_status != "STOPPED" and not is_daemon(cluster, t)]


def _standalone(cluster: Cluster, tasks: Iterable[Task], mark: DrainMark) -> Plan:
    """Standalone tasks, as their tag says."""
    actions: list[Action] = []
    findings: list[Finding] = []
    for task in tasks:
        wish = dict(task.tags).get(ON_DRAIN_TAG)
        if wish == "rerun" and task.eni:
            message = f"{task.group} has a network interface of its own, whose security groups ECS does not tell: it is not started again"
            findings.append(Finding("rerun-not-possible", task.id, message))
        elif wish == "rerun":
            actions.append(_rerun(cluster, task))
        elif wish == "stop" and mark.cause not in VOLUNTARY and _due(cluster, mark):
            actions.append(StopTask(task.id, cluster.name, task.arn, f"its tag {ON_DRAIN_TAG} says stop, and its instance is about to go"))
        elif wish is not None and wish not in ("rerun", "stop"):
            findings.append(Finding("on-drain-unknown", task.id, f'its tag {ON_DRAIN_TAG} says "{wish[:40]}": write rerun or stop'))
    return Plan(tuple(actions[:MOST]), tuple(findings))


def _rerun(cluster: Cluster, task: Task) -> RunTask:
    """Start the task again as it was started."""
    return RunTask(
        target=task.id,
        cluster=cluster.name,
        arn=task.arn,
        definition=task.definition,
        group=task.group,
        overrides=task.overrides,
        tags=task.tags,
        capacity_provider=task.capacity_provider,
        execute_command=task.execute_command,
        reason=f"its tag {ON_DRAIN_TAG} says rerun: started again elsewhere before it is stopped here",
    )


def _due(cluster: Cluster, mark: DrainMark) -> bool:
    """Whether the deadline is near enough to stop tasks."""
    return cluster.seen_at >= mark.deadline - (SPOT_LEAD if mark.cause == SPOT_CAUSE else LEAD)


def _stopped(cluster: Cluster, moving: Sequence[tuple[Task, Service]], found: Sequence[ContainerInstance], mark: DrainMark) -> Plan:
    """Tasks that their service cannot move: at once where its bounds lock it and EC2 is in a hurry, else when the time is near."""
    spaces = rooms(cluster, [i.arn for i in found])
    actions: list[Action] = []
    for task, service in moving:
        locked = is_locked(service)
        stuck = locked or (starts_first(service) and not any(fits(Need.of(task), s) for s in spaces))
        if stuck and (_due(cluster, mark) or (locked and mark.cause == SPOT_CAUSE)):
            why = "may neither stop it first nor replace it first" if locked else "finds no room for it elsewhere"
            reason = (
                f"service {service.name} {why}; its instance goes at {clock(mark.deadline, cluster.seen_at)}, so it is stopped in order"
            )
            actions.append(StopTask(task.id, cluster.name, task.arn, reason))
    return Plan(tuple(actions[:MOST]))


def _widened(cluster: Cluster, moving: Sequence[tuple[Task, Service]], already: set[str], again: Sequence[RaisedBound]) -> Plan:
    """Upper bounds of locked services, raised by as many tasks as they have here. ``again``: noted, and not raised yet."""
    here: dict[str, int] = {}
    services: dict[str, Service] = {}
    for _, service in moving:
        if is_locked(service) and service.name not in already:
            services[service.name] = service
            here[service.name] = here.get(service.name, 0) + 1
    held = {s.name for _, s in moving if is_locked(s)}
    actions: list[Action] = [
        RaiseMaxPercent(n.service, cluster.name, n.usual, n.raised, "noted, but not raised yet", noted=True)
        for n in again
        if n.service in held
    ]
    for name, service in sorted(services.items()):
        _, upper = healthy_bounds(service)
        wanted = min(-(-(upper + here[name]) * 100 // max(service.desired, 1)), WIDEST)
        if wanted > service.max_percent:
            reason = f"its bounds let none of its {here[name]} tasks leave; back to {service.max_percent} % when the drain is over"
            actions.append(RaiseMaxPercent(name, cluster.name, service.max_percent, wanted, reason))
    return Plan(tuple(actions[:MOST]))


def decide_restores(cluster: Cluster) -> Plan:
    """Give services their own upper bound back, once no instance that is being drained holds a task of theirs.

    Looks at the notes that were written before each bound was raised; ``cluster`` holds the services that they name.
    """
    actions: list[Action] = []
    draining = [found for found in drains(cluster).values() if any(i.status == "DRAINING" for i in found)]
    for note in cluster.raised:
        if cluster.seen_at < note.since + LONGEST and any(_may_hold(cluster, found, note) for found in draining):
            continue
        service = cluster.service(note.service)
        if service is None and cluster.unread.keys() & {"services", "tasks and services"}:
            continue
        ours = service is not None and service.max_percent == note.raised
        if ours:
            reason = f"the drain is over: back from {note.raised} % to {note.usual} %"
        elif service is None:
            reason = "the service is gone: nothing to give back"
        else:
            reason = f"it is {service.max_percent} %, which is not what was lent: left as it is"
        actions.append(RestoreMaxPercent(note.service, cluster.name, note.usual, reason, write=ours))
    return Plan(tuple(actions))


def _may_hold(cluster: Cluster, found: Sequence[ContainerInstance], note: RaisedBound) -> bool:
    """Whether an instance that drains holds a task of the service, or was not looked at."""
    if not {i.arn for i in found} <= cluster.tasks_examined and any(i.running or i.pending for i in found):
        return True
    return any(t.service == note.service and t.alive for t in cluster.tasks_on(found))
