"""Moving work off an instance that is about to leave, whatever the reason: who drains, and what replaces it.

``decide_cordon`` needs only where the instance is registered, so that it is DRAINING before anything slower is read.
``decide_replacement`` needs what ECS already manages. What cannot leave is in ``draining_blockers``, how a drain ends in
``draining_ends``, what is our own choice in ``draining_voluntary``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bulwark.core.cluster import Cluster, ContainerInstance, DrainMark, Host
from bulwark.core.draining_marks import (
    MAINTENANCE_CAUSE,
    RETIREMENT_CAUSE,
    SPARED,
    SPOT_CAUSE,
    STOP_CAUSE,
    STOPPING_CAUSE,
    URGENT,
    clock,
    mark_of,
    mark_on,
    one_each,
    strongest,
)
from bulwark.core.plan import CompleteLifecycleAction, DrainInstance, Finding, Outcome, Plan, ReplaceInstance
from bulwark.core.policies import Policy
from bulwark.core.signals import HOOK_NAME, InstanceState, Notice, ScheduledChange, SpotInterruption, TerminateHook

STILL_REGISTERING = "still-registering"
"""Finding that leaves its subject unfinished: an instance that registers takes tasks in a moment."""

GONE = frozenset({"shutting-down", "terminated"})
"""EC2 states in which there is nothing left to move."""

OVER = GONE | {"stopping", "stopped"}
"""EC2 states in which nothing is left to be drained: what remains is to see that ECS forgets the instance."""

REPLACED = frozenset({SPOT_CAUSE, RETIREMENT_CAUSE, STOP_CAUSE, MAINTENANCE_CAUSE})
"""Causes for which a replacement is brought when the drain begins. A group replaces by itself what its hook holds or what stops."""


def decide_foreign(notices: Iterable[Notice], hosts: Sequence[Host]) -> Plan:
    """What to say of instances that no opted-in group owns, or that EC2 no longer knows: nothing is done about them."""
    seen = {h.id: h for h in hosts}
    findings = []
    for subject in dict.fromkeys(n.instance_id for n in notices):
        host = seen.get(subject)
        if host is None:
            findings.append(Finding("instance-unknown", subject, "EC2 does not know this instance (any more): nothing to drain"))
        elif host.cluster is None:
            findings.append(Finding("not-opted-in", subject, "not in a group that opted in with the tag bulwark:cluster: left alone"))
    return Plan(findings=tuple(findings))


def decide_cordon(cluster: Cluster, notices: Sequence[Notice], policy: Policy) -> Plan:
    """Drain each instance that is registered and ACTIVE. The one decision that everything else waits for."""
    plan = Plan()
    for subject, said in one_each(notices).items():
        about = [n for n in said if _still_so(cluster, n)]
        if not about:
            message = f"EC2 says it is {_state_of(cluster, subject)} now: the event is late, or about something that is over"
            plan += _said(Finding("state-outdated", subject, message))
        mark = strongest(mark_of(n, cluster.seen_at, policy) for n in about)
        if mark is not None:
            plan += _cordon(cluster, subject, about, mark, policy)
    return plan


def _still_so(cluster: Cluster, notice: Notice) -> bool:
    """Whether a notice still holds: what EC2 says now counts, not what an event said once, and what was due long ago did not come."""
    if isinstance(notice, ScheduledChange):
        return cluster.seen_at <= notice.deadline + SPARED
    host = cluster.host(notice.instance_id)
    return not isinstance(notice, InstanceState) or host is None or host.state in OVER


def _state_of(cluster: Cluster, subject: str) -> str:
    host = cluster.host(subject)
    return host.state if host else "unknown"


def _cordon(cluster: Cluster, subject: str, about: Sequence[Notice], mark: DrainMark, policy: Policy) -> Plan:
    """The decision about one instance. ``mark``: what the notices say together."""
    found = cluster.registrations(subject)
    hooked = [n for n in about if isinstance(n, TerminateHook)]
    declined = _declined(cluster, subject, mark, policy, hooked=bool(hooked))
    if declined is not None:
        return _said(declined)
    host = cluster.host(subject)
    mark = strongest([mark_on(found), replace(mark, alone=host is not None and host.group is None)]) or mark
    due = _due(found, mark, adopt=bool(hooked) or any(isinstance(n, SpotInterruption) and n.redelivered for n in about))
    if due:
        reason = "; ".join(dict.fromkeys(_reason(n, cluster) for n in about))
        mark_first = mark.cause not in URGENT
        return Plan((DrainInstance(subject, cluster.name, due, mark, reason, mark_first=mark_first),))
    draining = next((i for i in found if i.status == "DRAINING"), None)
    if draining is not None:
        return _said(Finding("already-draining", subject, _already(draining)))
    if any(i.status == "REGISTERING" for i in found) and cluster.seen_at < mark.deadline:
        message = f"still registering with cluster {cluster.name}: looked at again shortly"
        return _said(Finding("still-registering", subject, message))
    states = ", ".join(sorted({i.status for i in found})) or "not registered"
    message = f"in cluster {cluster.name} it is {states}: there is nothing ECS could drain"
    plan = _said(Finding("not-registered", subject, message))
    return plan + let_go(hooked[-1], "it is not registered with ECS, so there is nothing to wait for") if hooked else plan


def _declined(cluster: Cluster, subject: str, mark: DrainMark, policy: Policy, *, hooked: bool) -> Finding | None:
    """Why nothing is done about an instance at all; None: it is to be drained."""
    host = cluster.host(subject)
    if not policy.draining.enabled:
        return Finding("draining-disabled", subject, f"the policy of cluster {cluster.name} turns draining off: left alone")
    if host is None or (host.state in GONE and mark.cause != STOPPING_CAUSE):
        return Finding("instance-gone", subject, "EC2 has already ended this instance: nothing to drain")
    return _managed(cluster, cluster.registrations(subject), subject) if hooked else None


def _said(finding: Finding) -> Plan:
    return Plan(findings=(finding,))


def _due(found: Sequence[ContainerInstance], mark: DrainMark, *, adopt: bool) -> tuple[str, ...]:
    """Registrations to drain or to mark anew: ACTIVE ones, ours with another mark, and with ``adopt`` those without any."""
    return tuple(
        i.arn for i in found if i.status == "ACTIVE" or (i.status == "DRAINING" and i.drain != mark and (adopt or i.drain is not None))
    )


def let_go(notice: TerminateHook, because: str) -> Plan:
    """Let our hook go on, as told by ``notice``."""
    return Plan((CompleteLifecycleAction(notice.instance_id, notice.group, HOOK_NAME, notice.token, because),))


def _managed(cluster: Cluster, found: Sequence[ContainerInstance], subject: str) -> Finding | None:
    """Whether ECS's managed draining already answers the group's hooks, or may: then it is left to it."""
    name = next((i.capacity_provider for i in found if i.capacity_provider), None)
    if name is None:
        return None
    provider = cluster.provider(name)
    if provider is not None and not provider.managed_draining:
        return None
    state = "has managed draining" if provider else "could not be read, so it may have managed draining"
    message = (
        f"capacity provider {name} {state}: ECS drains by a hook of its own, and ours is left to run out; take {HOOK_NAME} off the group"
    )
    return Finding("hook-left-to-managed-draining", subject, message)


def _reason(notice: Notice, cluster: Cluster) -> str:
    """Why the instance drains, as a person would say it."""
    match notice:
        case SpotInterruption():
            return f"EC2 will {notice.action} this Spot Instance at {notice.deadline:%H:%M:%S} UTC"
        case TerminateHook():
            return f"group {notice.group} is ending it, and its hook {HOOK_NAME} waits for its work to leave"
        case ScheduledChange():
            what = {"retirement": "retire its host", "stop": "stop it", "maintenance": "maintain its host"}[notice.kind]
            return f"EC2 will {what} at {clock(notice.deadline, cluster.seen_at)}"
        case InstanceState():
            return f"EC2 says it is {notice.state}"
        case _:
            return "EC2 recommends to move its work"


def _already(instance: ContainerInstance) -> str:
    if instance.drain is None:
        return "already DRAINING, set by its ECS agent or by somebody else: nothing more to do"
    return f"already DRAINING by Bulwark since {instance.drain.since:%H:%M:%S} UTC ({instance.drain.cause}): nothing more to do"


def decide_replacement(cluster: Cluster, notices: Sequence[Notice], policy: Policy) -> Plan:
    """Replace what is being drained and is still in its group, unless ECS's managed scaling sizes that group.

    Also finishes what an earlier delivery of the same notice began: DRAINING with Bulwark's own mark, but still in the
    group. Detaching needs no figure of the group (docs/designs/0001-replacement.md), so none is read.
    """
    plan = Plan()
    for subject, about in one_each(notices).items():
        losing = [n for n in about if isinstance(n, SpotInterruption | ScheduledChange) and _still_so(cluster, n)]
        host = cluster.host(subject)
        found = cluster.registrations(subject)
        if losing and host is not None and host.state not in GONE and _leaving(found, losing, policy):
            plan += replace_host(cluster, host, found, policy)
    return plan


def replace_host(cluster: Cluster, host: Host, found: Sequence[ContainerInstance], policy: Policy) -> Plan:
    """Bring another instance for ``host``, or say why not. Nothing at all if it is in no group (any more), or held by our hook."""
    mark = mark_on(found)
    if host.group is None or (mark is not None and mark.hook is not None):
        return Plan()
    if not policy.draining.replace:
        message = f"the policy of cluster {cluster.name} turns replacement off: group {host.group} replaces it when it is gone"
        return _said(Finding("replacement-disabled", host.id, message))
    if not all(i.described for i in found):
        message = f"whether ECS sizes group {host.group} itself could not be read: asked again with the next delivery"
        return _said(Finding("replacement-postponed", host.id, message))
    name = next((i.capacity_provider for i in found if i.capacity_provider), None)
    provider = cluster.provider(name)
    plan = Plan()
    if provider is not None and provider.managed_draining:
        message = f"capacity provider {provider.name} has managed draining, which sets it DRAINING too: nothing is done twice"
        plan += _said(Finding("managed-draining", host.id, message))
    if name is not None and (provider is None or provider.managed_scaling):
        state = "has managed scaling" if provider else "could not be read"
        message = f"capacity provider {name} {state}: the size of group {host.group} is left to it"
        return plan + _said(Finding("left-to-capacity-provider", host.id, message))
    reason = f"asks group {host.group} for another at once, not when its health check notices"
    return plan + Plan((ReplaceInstance(host.id, host.group, reason),))


def _leaving(found: Sequence[ContainerInstance], losing: Sequence[Notice], policy: Policy) -> bool:
    """Whether the instance is being drained by us now, or was by an earlier delivery, marked or not yet."""
    ours = any(i.status == "DRAINING" and i.drain is not None and i.drain.cause in REPLACED for i in found)
    redelivered = any(isinstance(n, SpotInterruption) and n.redelivered for n in losing)
    begun = redelivered and any(i.status == "DRAINING" and i.drain is None for i in found)
    return policy.draining.enabled and (ours or begun or any(i.status == "ACTIVE" for i in found))


def decide_lost_hooks(cluster: Cluster) -> tuple[TerminateHook, ...]:
    """Instances that our hook holds although nobody told us: lifecycle events are best effort. Found in the groups themselves."""
    return tuple(
        TerminateHook(member.id, group.name, cluster.seen_at)
        for group in cluster.groups
        if group.hook(HOOK_NAME) is not None
        for member in group.members
        if member.lifecycle == "Terminating:Wait" and not _hooked(cluster.registrations(member.id))
    )


def _hooked(found: Sequence[ContainerInstance]) -> bool:
    """Whether the instance is being drained for a hook already."""
    mark = mark_on(found)
    return mark is not None and mark.hook is not None and all(i.status == "DRAINING" for i in found)


def leaving_arns(plan: Plan) -> tuple[str, ...]:
    """The registrations that a plan drains: those whose work is worth looking at."""
    return tuple(arn for action in plan.actions if isinstance(action, DrainInstance) for arn in action.arns)


def explain_refusals(cluster: Cluster, outcomes: Sequence[Outcome]) -> tuple[tuple[Outcome, ...], Plan]:
    """Why a group refused to detach an instance. What needs nothing more becomes ``skipped``; the rest stays ``failed``."""
    judged: list[Outcome] = []
    findings: list[Finding] = []
    for outcome in outcomes:
        action = outcome.action
        if not isinstance(action, ReplaceInstance) or outcome.status != "failed" or "groups" in cluster.unread:
            judged.append(outcome)
            continue
        group = cluster.group(action.group)
        member = group.member(action.target) if group else None
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
