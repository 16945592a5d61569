"""Bulwark's terminate hook on the groups: offered or put there by policy, and taken off again when they opt out."""

from collections.abc import Collection, Iterable, Mapping

from bulwark.core.cluster import Group
from bulwark.core.draining_marks import HOOK_BEATS
from bulwark.core.plan import Finding, InstallHook, Plan, RemoveHook
from bulwark.core.policies import Policy
from bulwark.core.signals import HOOK_NAME

OWN, FOUND, INSTALLING = "own", "found", "installing"
"""Values of the group's tag ``bulwark:hook``: whose the terminate hook is; or that Bulwark is just about to put it there."""

SHORTEST, LONGEST = 300, 7200
"""Seconds of heartbeat that Bulwark gives its hook: several sweeps may fail before it runs out, and Auto Scaling's most."""


def heartbeat_for(policy: Policy) -> int:
    """The hook's heartbeat in seconds: long enough that a hundred of them cover what the policy allows a drain."""
    needed = -(-policy.draining.hook_minutes * 60 // HOOK_BEATS)
    return min(max(needed, SHORTEST), LONGEST)


def decide_hooks(groups: Iterable[Group], policies: Mapping[str, Policy], drained_by_ecs: Collection[str], *, offer: bool) -> Plan:
    """What is to be done about the terminate hooks of ``groups``; ``policies`` by cluster.

    ``drained_by_ecs``: groups whose capacity provider has managed draining. ``offer``: also say which groups lack a hook though
    nobody asked for one.
    """
    plan = Plan()
    for group in groups:
        policy = policies.get(group.cluster or "")
        wanted = policy is not None and policy.draining.enabled and policy.draining.hook == "install" and group.name not in drained_by_ecs
        if group.hook_tag is not None and not wanted and any(m.lifecycle == "Terminating:Wait" for m in group.members):
            # Auto Scaling lets go on whatever a hook holds when it is deleted: instances with work on them, perhaps.
            message = "holds an instance just now, and is taken off when it holds none"
            plan += Plan(findings=(Finding("hook-still-holds", group.name, message),))
        elif group.hook_tag is not None and not wanted:
            plan += _removed(group, opted_in=policy is not None)
        elif policy is not None and wanted and group.hook_tag in (None, INSTALLING) and group.hooks is not None:
            plan += _installed(group, policy)
        elif policy is not None and not wanted and offer and group.hooks is not None and group.hook(HOOK_NAME) is None:
            plan += _offered(group, by_ecs=group.name in drained_by_ecs)
    return plan


def _removed(group: Group, *, opted_in: bool) -> Plan:
    """The hook is no longer wanted."""
    because = "the policy no longer asks for it" if opted_in else "the group has opted out"
    return Plan((RemoveHook(group.name, f"{because}: {HOOK_NAME} is taken off, if Bulwark put it there", delete=group.hook_tag != FOUND),))


def _installed(group: Group, policy: Policy) -> Plan:
    """The hook is wanted, and nothing is noted about it yet."""
    if group.hook(HOOK_NAME) is not None and group.hook_tag is None:
        return Plan((InstallHook(group.name, None, f"{HOOK_NAME} is there already, and stays as it is"),))
    heartbeat = heartbeat_for(policy)
    reason = f"so that what the group ends is drained first; each heartbeat lasts {heartbeat} s, and it continues if nobody answers"
    return Plan((InstallHook(group.name, heartbeat, reason),))


def _offered(group: Group, *, by_ecs: bool) -> Plan:
    """The group has no hook of ours, and none was asked for."""
    if by_ecs:
        return Plan()
    message = (
        f'has no hook {HOOK_NAME}: what it ends by itself is not drained; "draining": {{"hook": "install"}} in the policy puts it there'
    )
    return Plan(findings=(Finding("hook-missing", group.name, message),))
