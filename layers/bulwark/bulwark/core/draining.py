"""Moving work off an instance that is about to leave: who drains, what replaces it, and what cannot leave in time.

Three decisions in the order in which their facts arrive. ``decide_cordon`` needs only where the instance is registered, so
that it is DRAINING before anything slower is read. ``decide_replacement`` needs what ECS already manages. ``decide_blockers``
needs the work on the instance and the room elsewhere, and only says; ECS moves the tasks itself.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from bulwark.core.cluster import Cluster, ContainerInstance, DrainMark, Host, Service, Task
from bulwark.core.packing import Need, Space, place_all
from bulwark.core.plan import Action, DrainInstance, Finding, Outcome, Plan, ReplaceInstance
from bulwark.core.policies import Policy
from bulwark.core.signals import SpotInterruption

SPOT_CAUSE = "spot-interruption"

NAMED = 3
"""Tasks that a finding names one by one."""

STILL_REGISTERING = "still-registering"
"""Finding that leaves its subject unfinished: an instance that registers takes tasks in a moment."""

GONE = frozenset({"shutting-down", "terminated"})
"""EC2 states in which there is nothing left to move."""


def decide_foreign(signals: Iterable[SpotInterruption], hosts: Sequence[Host]) -> Plan:
    """What to say of instances that no opted-in group owns, or that EC2 no longer knows: nothing is done about them."""
    seen = {h.id: h for h in hosts}
    findings = []
    for signal in signals:
        host = seen.get(signal.instance_id)
        if host is None:
            message = "EC2 does not know this instance (any more): nothing to drain"
            findings.append(Finding("instance-unknown", signal.instance_id, message))
        elif host.cluster is None:
            message = "not in a group that opted in with the tag bulwark:cluster: left alone"
            findings.append(Finding("not-opted-in", signal.instance_id, message))
    return Plan(findings=tuple(findings))


def decide_cordon(cluster: Cluster, signals: Iterable[SpotInterruption], policy: Policy) -> Plan:
    """Drain each instance that is registered and ACTIVE. The one decision that everything else waits for."""
    actions: list[Action] = []
    findings: list[Finding] = []
    for signal in _one_each(signals):
        subject = signal.instance_id
        host = cluster.host(subject)
        found = cluster.registrations(subject)
        active = tuple(i.arn for i in found if i.status == "ACTIVE")
        draining = next((i for i in found if i.status == "DRAINING"), None)
        if not active and signal.redelivered:
            active = tuple(i.arn for i in found if _unmarked(i))
        if not policy.draining.enabled:
            findings.append(Finding("draining-disabled", subject, f"the policy of cluster {cluster.name} turns draining off: left alone"))
        elif host is None or host.state in GONE:
            findings.append(Finding("instance-gone", subject, "EC2 has already ended this instance: nothing to drain"))
        elif active:
            reason = f"EC2 will {signal.action} this Spot Instance at {signal.deadline:%H:%M:%S} UTC"
            actions.append(DrainInstance(subject, cluster.name, active, DrainMark(SPOT_CAUSE, cluster.seen_at, signal.deadline), reason))
        elif draining is not None:
            findings.append(Finding("already-draining", subject, _already(draining)))
        elif any(i.status == "REGISTERING" for i in found) and cluster.seen_at < signal.deadline:
            findings.append(
                Finding("still-registering", subject, f"still registering with cluster {cluster.name}: looked at again shortly")
            )
        else:
            states = ", ".join(sorted({i.status for i in found})) or "not registered"
            message = f"in cluster {cluster.name} it is {states}: there is nothing ECS could drain"
            findings.append(Finding("not-registered", subject, message))
    return Plan(tuple(actions), tuple(findings))


def _unmarked(instance: ContainerInstance) -> bool:
    """DRAINING without a mark: somebody else's, or a drain of ours that died before it was marked."""
    return instance.status == "DRAINING" and instance.drain is None


def _already(instance: ContainerInstance) -> str:
    if instance.drain is None:
        return "already DRAINING, set by its ECS agent or by somebody else: nothing more to do"
    return f"already DRAINING by Bulwark since {instance.drain.since:%H:%M:%S} UTC ({instance.drain.cause}): nothing more to do"


def decide_replacement(cluster: Cluster, signals: Iterable[SpotInterruption], policy: Policy) -> Plan:
    """Replace what is being drained and is still in its group, unless ECS's managed scaling sizes that group.

    Also finishes what an earlier delivery of the same warning began: DRAINING with Bulwark's own mark, but still in the
    group. Detaching needs no figure of the group (docs/designs/0001-replacement.md), so none is read.
    """
    actions: list[Action] = []
    findings: list[Finding] = []
    for signal in _one_each(signals):
        host = cluster.host(signal.instance_id)
        found = cluster.registrations(signal.instance_id)
        if host is None or host.state in GONE or host.group is None or not _leaving(found, policy, redelivered=signal.redelivered):
            continue
        if not policy.draining.replace:
            message = f"the policy of cluster {cluster.name} turns replacement off: group {host.group} replaces it when it is gone"
            findings.append(Finding("replacement-disabled", host.id, message))
            continue
        if not all(i.described for i in found):
            message = f"whether ECS sizes group {host.group} itself could not be read: asked again with the next delivery"
            findings.append(Finding("replacement-postponed", host.id, message))
            continue
        name = next((i.capacity_provider for i in found if i.capacity_provider), None)
        provider = cluster.provider(name)
        if provider is not None and provider.managed_draining:
            message = f"capacity provider {provider.name} has managed draining, which sets it DRAINING too: nothing is done twice"
            findings.append(Finding("managed-draining", host.id, message))
        if name is not None and (provider is None or provider.managed_scaling):
            state = "has managed scaling" if provider else "could not be read"
            message = f"capacity provider {name} {state}: the size of group {host.group} is left to it"
            findings.append(Finding("left-to-capacity-provider", host.id, message))
            continue
        reason = f"asks group {host.group} for another at once, not when its health check notices"
        actions.append(ReplaceInstance(host.id, host.group, reason))
    return Plan(tuple(actions), tuple(findings))


def _leaving(found: Sequence[ContainerInstance], policy: Policy, *, redelivered: bool) -> bool:
    """Whether the instance is being drained by us now, or was by an earlier delivery, marked or not yet."""
    ours = any(i.status == "DRAINING" and i.drain is not None and i.drain.cause == SPOT_CAUSE for i in found)
    begun = redelivered and any(_unmarked(i) for i in found)
    return policy.draining.enabled and (ours or begun or any(i.status == "ACTIVE" for i in found))


def leaving_arns(plan: Plan) -> tuple[str, ...]:
    """The registrations that a plan drains: those whose work is worth looking at."""
    return tuple(arn for action in plan.actions if isinstance(action, DrainInstance) for arn in action.arns)


def decide_blockers(cluster: Cluster, signals: Iterable[SpotInterruption], leaving: Sequence[str]) -> Plan:
    """Say which tasks on the registrations ``leaving`` cannot leave before the deadline, and why."""
    deadlines = {s.instance_id: s.deadline for s in signals}
    arns = set(leaving)
    ids = {i.arn: i.ec2_id for i in cluster.instances}
    tasks = [t for t in cluster.tasks if t.instance_arn in arns and t.desired_status != "STOPPED" and t.last_status == "RUNNING"]
    findings: list[Finding] = []
    moving: list[tuple[Task, Service]] = []
    for task in tasks:
        host = ids[task.instance_arn]
        gone = f"it ends with {host} at {deadlines[host]:%H:%M:%S} UTC" if host in deadlines else f"it ends with {host}"
        service = cluster.service(task.service) if task.service else None
        if task.service is None:
            findings.append(
                Finding("standalone-task", task.id, f"{task.group or 'the task'} belongs to no service, so ECS does not move it: {gone}")
            )
        elif service is None:
            findings.append(
                Finding("service-unknown", task.id, f"service {task.service} could not be read: whether it moves is unknown; {gone}")
            )
        elif not service.daemon:
            moving.append((task, service))
    findings += _locked(moving)
    findings += _without_room([(t, s) for t, s in moving if not _is_locked(s)], cluster)
    findings += _unseen(cluster)
    return Plan(findings=tuple(findings))


def healthy_bounds(service: Service) -> tuple[int, int]:
    """Fewest and most tasks ECS keeps while it moves some: the lower bound rounds up, the upper down."""
    return math.ceil(service.desired * service.min_healthy_percent / 100), service.desired * service.max_percent // 100


def _is_locked(service: Service) -> bool:
    """Whether ECS may neither stop one of the service's tasks first nor start another first."""
    lower, upper = healthy_bounds(service)
    return service.running <= lower and service.running + service.pending >= upper


def _locked(moving: Sequence[tuple[Task, Service]]) -> list[Finding]:
    """One finding per service that its own deployment bounds hold in place."""
    held = {s.name: s for _, s in moving if _is_locked(s)}
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


def _without_room(moving: Sequence[tuple[Task, Service]], cluster: Cluster) -> list[Finding]:
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
    leaving = {i.arn for i in cluster.instances}
    spaces = [Space.of(i) for i in cluster.neighbours if i.arn not in leaving and i.status == "ACTIVE" and i.agent_connected]
    _, unplaced = place_all([Need.of(t, key=t.arn) for t in sized.values()], spaces)
    short: dict[str, list[Task]] = {}
    for need in unplaced:
        short.setdefault(services[need.key].name, []).append(sized[need.key])
    for name, tasks in sorted(short.items()):
        findings.append(
            _no_room(name, tasks, starts_first=_starts_first(services[tasks[0].arn]), looked_at=len(spaces), whole=cluster.neighbours_whole)
        )
    return findings


def _starts_first(service: Service) -> bool:
    """Whether ECS must see a replacement run before it may stop a task."""
    lower, _ = healthy_bounds(service)
    return service.running <= lower


def _no_room(name: str, tasks: Sequence[Task], *, starts_first: bool, looked_at: int, whole: bool) -> Finding:
    then = "they run until EC2 takes the instance" if starts_first else "they stop in time, and start again when there is room"
    if whole:
        return Finding("no-room-elsewhere", name, f"{_tasks(tasks)} fit on none of the {looked_at} other instances: {then}")
    message = f"{_tasks(tasks)} fit on none of the {looked_at} instances looked at, and the cluster has more: ECS may still find room"
    return Finding("room-not-proven", name, message)


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


def explain_refusals(cluster: Cluster, outcomes: Sequence[Outcome]) -> tuple[tuple[Outcome, ...], Plan]:
    """Why a group refused to detach an instance. What needs nothing more becomes ``skipped``; the rest stays ``failed``."""
    groups = {g.name: g for g in cluster.groups}
    judged: list[Outcome] = []
    findings: list[Finding] = []
    for outcome in outcomes:
        action = outcome.action
        if not isinstance(action, ReplaceInstance) or outcome.status != "failed" or "groups" in cluster.unread:
            judged.append(outcome)
            continue
        group = groups.get(action.group)
        member = next((m for m in group.members if m.id == action.target), None) if group else None
        if group is None or member is None:
            message, status = f"no longer in group {action.group}: there is nothing to replace", "skipped"
        elif group.cluster is None:
            message, status = f"group {group.name} no longer carries the tag bulwark:cluster: left alone", "skipped"
        elif member.lifecycle != "InService":
            message, status = f"{member.lifecycle} in group {group.name}: Auto Scaling is already dealing with it", "skipped"
        else:
            message, status = f"InService in group {group.name}, which refused to detach it: {outcome.error}", "failed"
        findings.append(Finding("replacement-refused", action.target, message))
        judged.append(Outcome(action, "skipped" if status == "skipped" else "failed", outcome.error))
    return tuple(judged), Plan(findings=tuple(findings))


def _one_each(signals: Iterable[SpotInterruption]) -> list[SpotInterruption]:
    """One signal per instance, the one with the earliest deadline: a duplicate has the effect of once."""
    first: dict[str, SpotInterruption] = {}
    for signal in signals:
        known = first.get(signal.instance_id)
        if known is None:
            first[signal.instance_id] = signal
        else:
            earlier = min(known, signal, key=lambda s: s.deadline)
            first[signal.instance_id] = replace(earlier, redelivered=known.redelivered or signal.redelivered)
    return list(first.values())
