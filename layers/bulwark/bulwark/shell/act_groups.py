"""Writes to Auto Scaling groups and to EC2: replacing and ending instances, and lifecycle hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bulwark.core.draining_hooks import FOUND, INSTALLING, OWN
from bulwark.core.signals import HOOK_NAME
from bulwark.shell.act_batches import Errors, already, each_or_alone
from bulwark.shell.aws import AWS_ERRORS, explain
from bulwark.shell.translate import HOOK_TAG

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bulwark.core.plan import (
        Action,
        CompleteLifecycleAction,
        InstallHook,
        RecordHeartbeat,
        RemoveHook,
        ReplaceInstance,
        TerminateInstance,
    )
    from bulwark.shell.aws import Aws

DETACH_BATCH = 20
"""Instances in one DetachInstances call."""

HOOK_OVER = {"ValidationError": ("No active Lifecycle Action",)}
"""Auto Scaling's answer when nothing waits (any more): somebody was quicker, or the hook has run out."""

NO_LONGER_THERE = {"ValidationError": ("not found", "not part of"), "InvalidInstanceID.NotFound": ("", "")}
"""How Auto Scaling and EC2 say that an instance is no member (any more), or not there at all."""


def replace(aws: Aws, replacements: Sequence[ReplaceInstance]) -> dict[Action, str]:
    """Detach without decrement: desired stays, so the group launches as many at once."""
    errors: dict[Action, str] = {}
    for group in sorted({r.group for r in replacements}):
        by_id: dict[str, Action] = {r.target: r for r in replacements if r.group == group}

        def detach(ids: list[str], group: str = group) -> Errors:
            aws.autoscaling.detach_instances(AutoScalingGroupName=group, InstanceIds=ids, ShouldDecrementDesiredCapacity=False)
            return {}

        errors |= {by_id[i]: error for i, error in each_or_alone(list(by_id), DETACH_BATCH, detach).items()}
    return errors


def terminate(aws: Aws, action: TerminateInstance) -> str | None:
    """End an instance, in its group or, if it has none, in EC2. Returns the error; that it is gone already is none."""
    try:
        if action.group is None:
            aws.ec2.terminate_instances(InstanceIds=[action.target])
        else:
            aws.autoscaling.terminate_instance_in_auto_scaling_group(
                InstanceId=action.target, ShouldDecrementDesiredCapacity=action.decrement
            )
    except AWS_ERRORS as error:
        return None if already(error, NO_LONGER_THERE) else explain(error)
    return None


def complete(aws: Aws, action: CompleteLifecycleAction) -> str | None:
    """Let the hook go on. Returns the error; that nothing waits any more is none."""
    return _on_action(action, lambda which: aws.autoscaling.complete_lifecycle_action(**which, LifecycleActionResult="CONTINUE"))


def beat(aws: Aws, action: RecordHeartbeat) -> str | None:
    """Let the hook wait on. Returns the error; that nothing waits any more is none: the next look finds the instance gone."""
    return _on_action(action, lambda which: aws.autoscaling.record_lifecycle_action_heartbeat(**which))


def _on_action(action: CompleteLifecycleAction | RecordHeartbeat, call: Callable[[Any], object]) -> str | None:
    """Call with what names the lifecycle action: its token, and if that is an earlier one's, the instance. Returns the error."""
    named = {"AutoScalingGroupName": action.group, "LifecycleHookName": action.hook}
    ways: list[dict[str, str]] = [{"InstanceId": action.target}]
    if action.token is not None:
        ways.insert(0, {"LifecycleActionToken": action.token})
    for way in ways:
        try:
            call({**named, **way})
        except AWS_ERRORS as error:
            if not already(error, HOOK_OVER):
                return explain(error)
        else:
            return None
    return None


def install_hook(aws: Aws, action: InstallHook) -> str | None:
    """Put the hook on the group and note whose it is. Returns the error.

    Noted as ours before it is there: after a death in between it is put there again, and not taken for somebody else's.
    """
    try:
        if action.heartbeat is None:
            _note_hook(aws, action.target, FOUND)
            return None
        _note_hook(aws, action.target, INSTALLING)
        aws.autoscaling.put_lifecycle_hook(
            AutoScalingGroupName=action.target,
            LifecycleHookName=HOOK_NAME,
            LifecycleTransition="autoscaling:EC2_INSTANCE_TERMINATING",
            HeartbeatTimeout=action.heartbeat,
            DefaultResult="CONTINUE",
        )
        _note_hook(aws, action.target, OWN)
    except AWS_ERRORS as error:
        return explain(error)
    return None


def _note_hook(aws: Aws, group: str, whose: str) -> None:
    tag: Any = {**_tag(group), "Value": whose, "PropagateAtLaunch": False}
    aws.autoscaling.create_or_update_tags(Tags=[tag])


def remove_hook(aws: Aws, action: RemoveHook) -> str | None:
    """Take the hook off the group, and then the note. Returns the error; that there is none (any more) is no error."""
    try:
        if action.delete:
            _delete_hook(aws, action.target)
        aws.autoscaling.delete_tags(Tags=[_tag(action.target)])
    except AWS_ERRORS as error:
        return explain(error)
    return None


def _delete_hook(aws: Aws, group: str) -> None:
    try:
        aws.autoscaling.delete_lifecycle_hook(AutoScalingGroupName=group, LifecycleHookName=HOOK_NAME)
    except AWS_ERRORS as error:
        if not already(error, {"ValidationError": ("No Lifecycle Hook",)}):
            raise


def _tag(group: str) -> Any:
    """Bulwark's note on a group, as Auto Scaling names a tag."""
    return {"ResourceId": group, "ResourceType": "auto-scaling-group", "Key": HOOK_TAG}
