"""Drains that are our own choice: a rebalance recommendation moves work off an instance if that costs nobody anything.

A recommendation marks its instance, which stays ACTIVE: so nothing is forgotten, and nothing waits in a function. When its turn
comes, replacement capacity is brought first; the instance drains only when its work provably fits elsewhere, within the
budget, and goes back to ACTIVE when that stops being true.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from bulwark.core.cluster import Cluster, ContainerInstance, DrainMark, Host, Task
from bulwark.core.draining import GONE, OVER, replace_host
from bulwark.core.draining_blockers import is_locked, rooms
from bulwark.core.draining_ends import emptiness, is_daemon
from bulwark.core.draining_marks import REBALANCE_CAUSE, clock, drains, mark_on, next_try
from bulwark.core.packing import Need, Space, place_all
from bulwark.core.plan import DrainInstance, Finding, MarkInstance, Plan, ReactivateInstance, UnmarkInstance
from bulwark.core.policies import Policy
from bulwark.core.signals import RebalanceRecommendation

BOOT = timedelta(minutes=5)
"""How long replacement capacity may take to come up before a drain whose work fits nowhere is taken back."""


def decide_marks(cluster: Cluster, recommended: Sequence[RebalanceRecommendation], policy: Policy) -> Plan:
    """Mark what EC2 recommends to move, or say why it is not to be moved."""
    plan = Plan()
    for subject in dict.fromkeys(n.instance_id for n in recommended):
        host, found = cluster.host(subject), cluster.registrations(subject)
        active = tuple(i.arn for i in found if i.status == "ACTIVE")
        group = cluster.group(host.group) if host else None
        if policy.draining.rebalance == "off" or not policy.draining.enabled:
            plan += _said(
                Finding("rebalance-off", subject, f"the policy of cluster {cluster.name} does not drain on rebalance recommendations")
            )
        elif host is None or host.state in GONE:
            plan += _said(Finding("instance-gone", subject, "EC2 has already ended this instance: nothing to drain"))
        elif host.group is None:
            plan += _said(Finding("not-in-group", subject, "in no group (any more), so nothing would replace it: left alone"))
        elif mark_on(found) is not None or not active:
            plan += _said(Finding("already-draining", subject, _state(found)))
        elif group is not None and group.capacity_rebalance:
            message = f"group {group.name} has Capacity Rebalancing on: it replaces the instance itself, and its hook drains it"
            plan += _said(Finding("capacity-rebalancing", subject, message))
        else:
            mark = DrainMark(REBALANCE_CAUSE, cluster.seen_at, cluster.seen_at + timedelta(minutes=policy.draining.rebalance_minutes))
            plan += Plan((MarkInstance(subject, cluster.name, active, mark, "EC2 recommends to move its work: drained when it may be"),))
    return plan


def _said(finding: Finding) -> Plan:
    return Plan(findings=(finding,))


def _state(found: Sequence[ContainerInstance]) -> str:
    mark = mark_on(found)
    if mark is not None:
        return f"already marked by Bulwark since {mark.since:%H:%M:%S} UTC ({mark.cause}): nothing more to do"
    return f"it is {', '.join(sorted({i.status for i in found})) or 'not registered'}: nothing more to do"


def marked(cluster: Cluster, plan: Plan) -> Cluster:
    """The snapshot as it is once the marks of ``plan`` are set."""
    marks = {arn: a.mark for a in plan.actions if isinstance(a, MarkInstance) for arn in a.arns}
    return replace(cluster, instances=tuple(replace(i, drain=marks.get(i.arn, i.drain)) for i in cluster.instances))


def waiting(cluster: Cluster) -> tuple[str, ...]:
    """Instances that EC2 recommends to leave and whose turn has not come, the oldest first."""
    queue = [
        (mark.since, subject)
        for subject, found in drains(cluster).items()
        if (mark := mark_on(found)) and mark.cause == REBALANCE_CAUSE and any(i.status == "ACTIVE" for i in found)
    ]
    return tuple(subject for _, subject in sorted(queue))


def budget(cluster: Cluster, policy: Policy) -> int:
    """How many instances may be out of service at a time: the policy's share of the cluster, but at least one unless it is 0."""
    share = policy.disruption.budget_percent
    return max(1, len(_hosts(cluster.instances)) * share // 100) if share else 0


def out_of_service(cluster: Cluster) -> set[str]:
    """What counts against the budget: whatever is DRAINING, and what has left its group to be drained."""
    draining = {i.ec2_id for i in cluster.instances if i.status == "DRAINING"}
    detached = {i for i in waiting(cluster) if (host := cluster.host(i)) is not None and host.group is None}
    return draining | detached


def breaker(cluster: Cluster, policy: Policy) -> str | None:
    """Why nothing voluntary may begin: too many agents are away. None: it may."""
    hosts = _hosts(cluster.instances)
    away = _hosts(i for i in cluster.instances if i.status == "ACTIVE" and not i.agent_connected)
    if len(away) * 100 <= policy.disruption.breaker_percent * len(hosts):
        return None
    return f"the agents of {len(away)} of {len(hosts)} instances are away, above {policy.disruption.breaker_percent} %"


def _hosts(instances: Iterable[ContainerInstance]) -> set[str]:
    return {i.ec2_id for i in instances if i.status in ("ACTIVE", "DRAINING")}


def decide_turns(cluster: Cluster, policy: Policy) -> Plan:
    """Begin as many of the drains that wait as budget and room allow, and take back what no longer fits.

    ``cluster`` holds every container instance, and the tasks of those in question. Only under the cluster's lease: two such
    decisions at once would each spend the whole budget.
    """
    plan = Plan()
    if policy.draining.rebalance == "off" or not policy.draining.enabled:
        for subject in waiting(cluster):
            host = cluster.host(subject)
            if host is not None and host.group is None:
                plan += _waits(subject, "the policy no longer asks for it, but it has left its group: end it by hand, or allow it again")
            else:
                plan += Plan((UnmarkInstance(subject, cluster.name, _active(cluster, subject), "the policy no longer asks for it"),))
        return plan
    given = _Given(out_of_service(cluster), budget(cluster, policy), breaker(cluster, policy))
    for subject in waiting(cluster):
        host, mark = cluster.host(subject), mark_on(cluster.registrations(subject))
        if host is not None and mark is not None and host.state not in OVER:
            plan += _turn(cluster, host, mark, policy, given)
    return plan + _taken_back(cluster, policy)


@dataclass(slots=True)
class _Given:
    """What one decision has given out so far: the budget, and room on instances that stay."""

    out: set[str]
    most: int
    trouble: str | None
    taken: list[Need] = field(default_factory=list)
    begun: set[str] = field(default_factory=set)


def _turn(cluster: Cluster, host: Host, mark: DrainMark, policy: Policy, given: _Given) -> Plan:
    """One instance's turn, if it has come."""
    if cluster.seen_at < mark.since:
        return _waits(host.id, f"tried in vain, and tried again at {clock(mark.since, cluster.seen_at)}")
    if cluster.seen_at >= mark.deadline:
        return _expired(cluster, host, mark, policy)
    because = given.trouble
    if because is None and host.id not in given.out and len(given.out) >= given.most:
        because = f"{len(given.out)} instances are out of service already, and the budget is {given.most}"
    because = because or _immovable(cluster, host.id)
    if because is not None:
        return _waits(host.id, because)
    given.out.add(host.id)
    plan = replace_host(cluster, host, cluster.registrations(host.id), policy)
    needs = _needs(cluster, host.id)
    if not _fit([*given.taken, *needs], cluster, {*given.begun, host.id}):
        return plan + _waits(host.id, "its work does not fit elsewhere yet")
    given.taken += needs
    given.begun.add(host.id)
    reason = "EC2 recommends to move its work, and it fits elsewhere"
    arns = _active(cluster, host.id)
    return plan + Plan((DrainInstance(host.id, cluster.name, arns, replace(mark, since=cluster.seen_at), reason, mark_first=True),))


def _waits(subject: str, because: str) -> Plan:
    return _said(Finding("drain-waits", subject, f"{because}: its drain waits for its turn"))


def _active(cluster: Cluster, subject: str) -> tuple[str, ...]:
    return tuple(i.arn for i in cluster.registrations(subject) if i.status == "ACTIVE")


def _expired(cluster: Cluster, host: Host, mark: DrainMark, policy: Policy) -> Plan:
    """Its turn did not come in time. What has left its group is not forgotten: it waits on."""
    arns = _active(cluster, host.id)
    if host.group is not None:
        reason = f"its turn did not come until {clock(mark.deadline, cluster.seen_at)}: it stays"
        return Plan((UnmarkInstance(host.id, cluster.name, arns, reason),))
    later = replace(mark, deadline=cluster.seen_at + timedelta(minutes=policy.draining.rebalance_minutes))
    return Plan((MarkInstance(host.id, cluster.name, arns, later, "it has left its group, and is drained when its work fits elsewhere"),))


def _work(cluster: Cluster, subject: str) -> list[Task]:
    """The tasks that would have to move."""
    tasks = cluster.tasks_on(cluster.registrations(subject))
    return [t for t in tasks if t.alive and t.desired_status != "STOPPED" and not is_daemon(cluster, t)]


def _needs(cluster: Cluster, subject: str) -> list[Need]:
    """What these tasks ask of another instance, as far as it is known."""
    return [replace(Need.of(t, key=t.arn), attributes=t.requires or ()) for t in _work(cluster, subject)]


def _immovable(cluster: Cluster, subject: str) -> str | None:
    """Why the work on an instance cannot be proven to move; None: it can, given room."""
    found = cluster.registrations(subject)
    examined = {i.arn for i in found} <= cluster.tasks_examined
    if not examined and emptiness(cluster, found) != "empty":
        return "the tasks on it were not looked at"
    reasons = (_held(cluster, t) for t in _work(cluster, subject))
    return next((reason for reason in reasons if reason is not None), None)


def held(cluster: Cluster, task: Task) -> str | None:
    """Why a task cannot be moved by choice, wherever there is room; None: it can."""
    service = cluster.service(task.service) if task.service else None
    if task.service is None:
        return f"task {task.id} ({task.group}) is standalone"
    if service is None or not task.known_size:
        return f"task {task.id} of {task.service} could not be read in full"
    if is_locked(service):
        return f"service {service.name} may not move its tasks (min {service.min_healthy_percent} %, max {service.max_percent} %)"
    if "task protection" in cluster.unread:
        return "whether its tasks are protected could not be read"
    if task.protected_until is not None and task.protected_until > cluster.seen_at:
        return f"task {task.id} of {service.name} is protected until {clock(task.protected_until, cluster.seen_at)}"
    return None


def _held(cluster: Cluster, task: Task) -> str | None:
    """Why one task cannot be proven to move."""
    why = held(cluster, task)
    if why is not None:
        return why
    if task.requires is None:
        return f"task {task.id} of {task.service} could not be read in full"
    service = cluster.service(task.service or "")
    if task.eni or (service is not None and service.constrained):
        return f"placement constraints or network interfaces of service {task.service} are not judged here"
    return None


def _fit(needs: Sequence[Need], cluster: Cluster, leaving: set[str]) -> bool:
    """Whether all of these find room at once on instances that do not leave."""
    if not needs:
        return True
    arns = [i.arn for i in cluster.instances if i.ec2_id in leaving]
    spaces: list[Space] = rooms(cluster, arns)
    return not place_all(needs, spaces)[1]


def _taken_back(cluster: Cluster, policy: Policy) -> Plan:
    """Voluntary drains whose work no longer fits anywhere, though replacement capacity has had its time (services grew)."""
    plan = Plan()
    for subject, found in drains(cluster).items():
        mark, host = mark_on(found), cluster.host(subject)
        arns = tuple(i.arn for i in found if i.status == "DRAINING")
        if mark is None or host is None or mark.cause != REBALANCE_CAUSE or len(arns) < len(found):
            continue
        if not mark.since + BOOT <= cluster.seen_at < mark.deadline:
            continue  # too early to tell, or given up for its time already
        if not set(arns) <= cluster.tasks_examined or _fit(_needs(cluster, subject), cluster, {subject}):
            continue
        keep = None if host.group else next_try(mark, cluster.seen_at, policy)
        reason = "its work no longer fits elsewhere: back to ACTIVE"
        plan += Plan((ReactivateInstance(subject, cluster.name, arns, reason, keep),))
    return plan
