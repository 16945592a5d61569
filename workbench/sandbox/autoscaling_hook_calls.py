"""Auto Scaling's calls about lifecycle hooks, in AWS's words. moto keeps the hooks; what it makes up about them is put right here."""

from typing import Any

from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.core.responses import EmptyResult

from workbench.sandbox.autoscaling import AutoScalingPhysics
from workbench.sandbox.autoscaling_answers import Call, group_of, now
from workbench.sandbox.autoscaling_hooks import LAUNCHING, LONGEST, TERMINATING

HEARTBEAT = range(30, 7201)
"""Seconds a hook's heartbeat may be."""
USUAL_HEARTBEAT = 3600
"""Seconds of a heartbeat that nobody gave."""
BEATS = 100
"""A hook holds for so many heartbeats, or for ``LONGEST`` if that is less."""
MOST_HOOKS = 50
"""Hooks to a group, by default quota."""

_KEPT = {"RoleARN": "role_arn", "NotificationTargetARN": "notification_target_arn", "NotificationMetadata": "notification_metadata"}
"""Optional fields of PutLifecycleHook, and where moto's serialiser looks for them."""


def put_hook(call: Call, physics: AutoScalingPhysics) -> Any:
    """PutLifecycleHook: a new hook needs its transition; of one that is there, what is not given stays as it is."""
    life = group_of(physics, call["AutoScalingGroupName"])
    name, hooks = call["LifecycleHookName"], physics.hooks(life)
    before = next((hook for hook in hooks if hook.name == name), None)
    beat = call.get("HeartbeatTimeout", before.heartbeat_timeout if before else USUAL_HEARTBEAT)
    transition = call.get("LifecycleTransition") or (before and before.lifecycle_transition)
    result = call.get("DefaultResult") or (before and before.default_result) or "ABANDON"
    if beat not in HEARTBEAT:
        raise ValidationError(f"Heartbeat timeout must be between {HEARTBEAT[0]} and {HEARTBEAT[-1]} seconds.")
    if transition not in (LAUNCHING, TERMINATING):
        raise ValidationError(f"LifecycleTransition is required for a new hook: {LAUNCHING} or {TERMINATING}.")
    if result not in ("CONTINUE", "ABANDON"):
        raise ValidationError(f"The DefaultResult {result} is not valid: it must be CONTINUE or ABANDON.")
    if before is None and len(hooks) >= MOST_HOOKS:
        raise AutoscalingClientError("LimitExceeded", f"You already have {MOST_HOOKS} lifecycle hooks on this group.")
    hook: Any = physics.backend.create_lifecycle_hook(name, life.model.name, transition, int(beat), result)
    hook.global_timeout = min(int(LONGEST.total_seconds()), BEATS * int(beat))
    for given, field in _KEPT.items():
        setattr(hook, field, call.get(given, getattr(before, field, None)) or None)
    return EmptyResult()


def delete_hook(call: Call, physics: AutoScalingPhysics) -> Any:
    """DeleteLifecycleHook: what it still holds is completed first: CONTINUE on the way out, ABANDON on the way in."""
    life, name = group_of(physics, call["AutoScalingGroupName"]), call["LifecycleHookName"]
    if all(hook.name != name for hook in physics.hooks(life)):
        raise ValidationError(f"No Lifecycle Hook found with name {name}")
    for action in [action for action in life.actions.in_progress if action.hook == name]:
        physics.complete(life, action, "CONTINUE" if action.transition == TERMINATING else "ABANDON", now())
    physics.backend.delete_lifecycle_hook(life.model.name, name)
    return EmptyResult()
