"""How a drain goes on and ends: empty at last, given up, or over its time.

A drain ends in one of four ways: its hook goes on, we end the instance, EC2 does, or it goes back to ACTIVE. Only what is
*certainly* empty is ended by us: no non-daemon task on it is running, pending or stopping.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Literal

from bulwark.core.cluster import BY_INSTANCE, Cluster, ContainerInstance, DrainMark, Group, GroupMember, Host, Task
from bulwark.core.draining import OVER
from bulwark.core.draining_marks import (
    GRACE,
    HOOK_CAUSE,
    REBALANCE_CAUSE,
    RETIREMENT_CAUSE,
    SCALE_IN_CAUSE,
    SPARED,
    STOP_CAUSE,
    TAKEN_BY_EC2,
    VOLUNTARY,
    clock,
    drains,
    hook_deadline,
    mark_on,
    next_try,
)
from bulwark.core.plan import (
    CompleteLifecycleAction,
    DrainInstance,
    Finding,
    Plan,
    ReactivateInstance,
    RecordHeartbeat,
    TerminateInstance,
    UnmarkInstance,
)
from bulwark.core.policies import Policy
from bulwark.core.signals import HOOK_NAME

Emptiness = Literal["empty", "busy", "unknown"]

SETTLED = timedelta(minutes=2)
"""How old a drain is before its group's word that the instance serves counts against it: reads lag behind writes."""

SOON = timedelta(minutes=10)
"""How near a hook's deadline must be before it is worth saying that it runs out."""

HEARTBEAT_LEAST = 30
"""Seconds; the shortest heartbeat a hook can have (Auto Scaling API reference, PutLifecycleHook). Stands for one that is not known."""


def emptiness(cluster: Cluster, found: Sequence[ContainerInstance]) -> Emptiness:
    """Whether an instance, in all its registrations, holds no task but those of daemons.

    Counts of zero are believed only if nothing is held either: a task that is stopping no longer counts for some, and still
    holds its memory. ``unknown``: its tasks have to be looked at, or what was seen contradicts itself.
    """
    states = {_emptiness_of(cluster, i) for i in found if i.status != "INACTIVE"}
    return "busy" if "busy" in states else "unknown" if "unknown" in states else "empty"


def _emptiness_of(cluster: Cluster, instance: ContainerInstance) -> Emptiness:
    """The same of one registration."""
    if not instance.described:
        return "unknown"
    counted = instance.running + instance.pending
    held = instance.remaining.cpu < instance.registered.cpu or instance.remaining.memory < instance.registered.memory
    if not counted and not held:
        return "empty"
    if instance.arn in cluster.tasks_examined:
        alive = [t for t in cluster.tasks_on([instance]) if t.alive]
        if any(not is_daemon(cluster, t) for t in alive):
            return "busy"
        if len(alive) < counted:
            return "unknown"
        # What daemons do not hold is held by a task that is stopping, unless those were looked at too.
        explained = _held_by(alive, instance) or instance.arn in cluster.stopping_examined
        return "empty" if explained else "unknown"
    # Each daemon service has at most one task on an instance: more tasks than those are work.
    return "busy" if cluster.daemons is not None and counted > len(cluster.daemons) else "unknown"


def _held_by(tasks: Sequence[Task], instance: ContainerInstance) -> bool:
    """Whether these tasks account for all that is held on the instance."""
    cpu = instance.registered.cpu - instance.remaining.cpu
    memory = instance.registered.memory - instance.remaining.memory
    return sum(t.cpu for t in tasks) >= cpu and sum(t.memory for t in tasks) >= memory


def is_daemon(cluster: Cluster, task: Task) -> bool:
    """Whether the task is a daemon's; one whose service could not be read counts as work."""
    if task.service is None:
        return False
    service = cluster.service(task.service)
    return service.daemon if service is not None else task.service in (cluster.daemons or ())


def decide_ends(cluster: Cluster, policy: Policy, *, beat: bool = True) -> Plan:
    """Carry every drain in progress on: end what is empty, keep hooks alive, give up what did not work out.

    ``beat`` False: an event between two sweeps. It sends no heartbeats, and takes up nothing that lies marked and ACTIVE: a sweep may
    be giving that back just now.
    """
    plan = Plan()
    for ec2_id, found in drains(cluster).items():
        mark, host = mark_on(found), cluster.host(ec2_id)
        if mark is None or host is None or host.state in OVER:
            continue
        if any(i.status == "ACTIVE" for i in found):
            plan += _resumed(cluster, host, found, mark, policy)
        else:
            plan += _carried_on(cluster, host, found, mark, policy)
    only_swept = RecordHeartbeat | DrainInstance | UnmarkInstance
    return plan if beat else replace(plan, actions=tuple(a for a in plan.actions if not isinstance(a, only_swept)))


def _resumed(cluster: Cluster, host: Host, found: Sequence[ContainerInstance], mark: DrainMark, policy: Policy) -> Plan:
    """Marked and (partly) ACTIVE: a drain that was begun and not done, or one that is over. What is voluntary waits for its turn."""
    active = tuple(i.arn for i in found if i.status == "ACTIVE")
    if mark.cause in VOLUNTARY:
        over = mark.cause == SCALE_IN_CAUSE and cluster.seen_at >= mark.deadline
        return (
            Plan((UnmarkInstance(host.id, cluster.name, active, "it was not drained, and its time is over: it stays"),)) if over else Plan()
        )
    if not policy.draining.enabled:
        return Plan((UnmarkInstance(host.id, cluster.name, active, "it was not drained yet, and the policy turns draining off"),))
    if cluster.seen_at > mark.deadline + SPARED:
        return Plan((UnmarkInstance(host.id, cluster.name, active, "its deadline is long over, and it runs on"),))
    reason = f"its drain ({mark.cause}) was begun and not done"
    return Plan((DrainInstance(host.id, cluster.name, active, mark, reason, mark_first=True),))


def _carried_on(cluster: Cluster, host: Host, found: Sequence[ContainerInstance], mark: DrainMark, policy: Policy) -> Plan:
    """One instance that is DRAINING."""
    state = emptiness(cluster, found)
    if mark.hook is not None and host.group is not None:
        if not _stays(cluster, host, mark):
            return _hook(cluster, host, mark, state, policy)
        if mark.cause == HOOK_CAUSE:
            arns = tuple(i.arn for i in found if i.status == "DRAINING")
            reason = f"group {host.group} is not ending it (any more): back to ACTIVE"
            return Plan((ReactivateInstance(host.id, cluster.name, arns, reason),))
    if state == "empty":
        return _emptied(cluster, host, found, mark, policy)
    if mark.cause in VOLUNTARY:
        return _given_up(cluster, host, found, mark, policy)
    return _overdue(cluster, host, found, mark, state)


def _stays(cluster: Cluster, host: Host, mark: DrainMark) -> bool:
    """Whether Auto Scaling says, well after the hook's event, that the instance serves: the event was an old one."""
    seen = cluster.group(host.group)
    member = seen.member(host.id) if seen else None
    return member is not None and member.lifecycle == "InService" and cluster.seen_at > mark.since + SETTLED


def _hook(cluster: Cluster, host: Host, mark: DrainMark, state: Emptiness, policy: Policy) -> Plan:
    """The hook goes on when the instance is empty; until its deadline it is asked to wait, and after that it runs out by itself."""
    group = host.group or ""
    token = None if mark.hook == BY_INSTANCE else mark.hook
    if state == "empty":
        return Plan((CompleteLifecycleAction(host.id, group, HOOK_NAME, token, "its work has left"),))
    seen = cluster.group(group)
    hook = seen.hook(HOOK_NAME) if seen else None
    deadline = hook_deadline(mark, hook, policy)
    beat = timedelta(seconds=hook.heartbeat if hook else HEARTBEAT_LEAST)
    if cluster.seen_at + beat <= deadline:
        reason = f"work is still on it; the hook waits until {clock(deadline, cluster.seen_at)}"
        return Plan((RecordHeartbeat(host.id, group, HOOK_NAME, token, reason),))
    if cluster.seen_at < deadline - SOON:
        return Plan()  # the heartbeat that runs already lasts until the deadline, and that is not near
    message = (
        f"its time is up at {clock(deadline, cluster.seen_at)} and it still holds work: no more heartbeats, "
        f"so the hook runs out within {beat.total_seconds():.0f} s and group {group} ends the instance"
    )
    return Plan(findings=(Finding("hook-running-out", host.id, message),))


def _emptied(cluster: Cluster, host: Host, found: Sequence[ContainerInstance], mark: DrainMark, policy: Policy) -> Plan:
    """Nothing but daemons is left on it, and no hook waits."""
    late = cluster.seen_at > mark.deadline + GRACE
    kept = mark.cause in TAKEN_BY_EC2 and not (mark.cause in (RETIREMENT_CAUSE, STOP_CAUSE) and policy.draining.retired == "terminate")
    if kept and not late:
        message = f"its work has left; EC2 takes it at {clock(mark.deadline, cluster.seen_at)}"
        return Plan(findings=(Finding("left-to-ec2", host.id, message),))
    if host.group is None and mark.alone:
        return _given_back(cluster, host, found, mark)
    seen = cluster.group(host.group)
    member = seen.member(host.id) if seen else None
    if member is not None and member.lifecycle != "InService":
        message = f"its work has left, and group {host.group} is ending it already ({member.lifecycle})"
        return Plan(findings=(Finding("left-to-group", host.id, message),))
    if mark.cause == SCALE_IN_CAUSE and (stays := _kept_after_all(host, seen, member)):
        arns = tuple(i.arn for i in found if i.status == "DRAINING")
        return Plan((ReactivateInstance(host.id, cluster.name, arns, f"{stays}: back to ACTIVE"),))
    because = f"EC2 was to take it at {clock(mark.deadline, cluster.seen_at)} and has not" if kept else f"its work has left ({mark.cause})"
    decrement = mark.cause == SCALE_IN_CAUSE
    keeps = "gets along with one less" if decrement else "keeps its desired capacity"
    where = f"group {host.group} {keeps}" if host.group else "it belongs to no group any more"
    return Plan((TerminateInstance(host.id, host.group, f"{because}; {where}", decrement),))


def _kept_after_all(host: Host, group: Group | None, member: GroupMember | None) -> str | None:
    """Why an empty instance that its group was to do without stays; None: it goes."""
    if host.group is None:
        return "it has left its group, so it is not ours to end"
    weight = member.weight if member else 1
    if group is not None and group.desired - weight < group.min:
        return f"group {group.name} would have less than its minimum of {group.min}"
    return None


def _given_back(cluster: Cluster, host: Host, found: Sequence[ContainerInstance], mark: DrainMark) -> Plan:
    """Empty, and never in a group: it is not ours to end. After its deadline it goes back to whoever runs it."""
    if cluster.seen_at <= mark.deadline + GRACE:
        message = f"its work has left ({mark.cause}); it is in no group, so it is left to whoever runs it"
        return Plan(findings=(Finding("left-to-owner", host.id, message),))
    arns = tuple(i.arn for i in found if i.status == "DRAINING")
    reason = f"its time ({mark.cause}) was up at {clock(mark.deadline, cluster.seen_at)} and it runs on: back to ACTIVE"
    return Plan((ReactivateInstance(host.id, cluster.name, arns, reason),))


def _given_up(cluster: Cluster, host: Host, found: Sequence[ContainerInstance], mark: DrainMark, policy: Policy) -> Plan:
    """A voluntary drain whose reason has gone, or whose time is up with work still there, goes back to ACTIVE."""
    if mark.cause == REBALANCE_CAUSE and policy.draining.rebalance == "off":
        because = "the policy no longer drains on rebalance recommendations"
    elif mark.cause == SCALE_IN_CAUSE and not (policy.capacity.enabled and policy.capacity.scale_in):
        because = "the policy no longer scales in"
    elif not policy.draining.enabled:
        because = "the policy turns draining off"
    elif cluster.seen_at >= mark.deadline:
        because = f"its work did not leave until {clock(mark.deadline, cluster.seen_at)}"
    else:
        return Plan()
    arns = tuple(i.arn for i in found if i.status == "DRAINING")
    keep = None
    if host.group is None and mark.cause == REBALANCE_CAUSE:
        # It has left its group already, so it is not forgotten: it is tried again when its work fits elsewhere.
        keep = next_try(mark, cluster.seen_at, policy)
    return Plan((ReactivateInstance(host.id, cluster.name, arns, f"{because}: back to ACTIVE", keep),))


def _overdue(cluster: Cluster, host: Host, found: Sequence[ContainerInstance], mark: DrainMark, state: Emptiness) -> Plan:
    """EC2's deadline is over and the instance runs on, with work on it: waited for, and in the end given back."""
    if cluster.seen_at <= mark.deadline + GRACE:
        return Plan()
    since = clock(mark.deadline, cluster.seen_at)
    if state == "busy" and cluster.seen_at > mark.deadline + SPARED:
        arns = tuple(i.arn for i in found if i.status == "DRAINING")
        outside = "" if host.group else "; it belongs to no group any more: end it by hand when you can do without it"
        reason = f"its time ({mark.cause}) was up at {since}, it runs on, and work is still on it: back to ACTIVE{outside}"
        return Plan((ReactivateInstance(host.id, cluster.name, arns, reason),))
    message = f"its time ({mark.cause}) was up at {since} and it runs on; it is ended when its work has left"
    return Plan(findings=(Finding("overdue", host.id, message),))
