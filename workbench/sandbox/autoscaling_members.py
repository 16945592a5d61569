"""Auto Scaling's calls about the instances of a group, in AWS's words."""

from typing import Any

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import InstanceState
from moto.core.responses import ActionResult, EmptyResult

from workbench.sandbox.autoscaling import AutoScalingPhysics, GroupLife, units
from workbench.sandbox.autoscaling_answers import Call, group_of, now, too_many
from workbench.sandbox.autoscaling_hooks import LifecycleAction

MOST_MOVED = 20
"""Instances to a DetachInstances, EnterStandby or ExitStandby call."""
MOST_TERMINATED = 100
"""Instances to a TerminateInstanceInAutoScalingGroup call."""


def set_health(call: Call, physics: AutoScalingPhysics) -> Any:
    """SetInstanceHealth: an Unhealthy member is replaced by the group's next round."""
    instance_id, health = call["InstanceId"], call["HealthStatus"]
    _, member = _managed(physics, instance_id)
    if health not in ("Healthy", "Unhealthy"):
        raise ValidationError("Valid instance health states are: [Healthy, Unhealthy].")
    member.health_status = health
    return EmptyResult()


def _managed(physics: AutoScalingPhysics, instance_id: str) -> tuple[GroupLife, InstanceState]:
    """The group and the record of an instance, or AWS's error that no group has it."""
    found = physics.member(instance_id)
    if found is None:
        raise ValidationError(f"Instance Id not found - No managed instance found for instance ID: {instance_id}")
    return found


def _members(life: GroupLife, instance_ids: list[str], states: tuple[str, ...]) -> list[InstanceState]:
    """The group's records of the instances, all of them in one of the states; AWS's error about the first that is not."""
    too_many("instanceIds", len(instance_ids), MOST_MOVED)
    found = []
    for instance_id in dict.fromkeys(instance_ids):
        member = life.member(instance_id)
        if member is None:
            raise ValidationError(f"The instance {instance_id} is not part of Auto Scaling group {life.model.name}.")
        if member.lifecycle_state not in states:
            raise ValidationError(f"The instance {instance_id} is not in {' or '.join(states)}.")
        found.append(member)
    return found


def _decrement(life: GroupLife, members: list[InstanceState], intent: str) -> None:
    """Lower the desired capacity by what the members count for; refused if it would pass the minimum."""
    group, count = life.model, len(members)
    if group.desired_capacity - units(members) < group.min_size:
        noun = "instance" if count == 1 else "instances"
        raise ValidationError(
            f"AutoScalingGroup {group.name} has min-size={group.min_size}, max-size={group.max_size}, and "
            f"desired-size={group.desired_capacity}. To {intent} {count} {noun}, please update the AutoScalingGroup sizes appropriately."
        )
    group.desired_capacity -= units(members)


def detach(call: Call, physics: AutoScalingPhysics) -> Any:
    """DetachInstances: at most 20 members in service or on standby; they live on, and without decrement are replaced."""
    life = group_of(physics, call["AutoScalingGroupName"])
    members = _members(life, call.get("InstanceIds", []), ("InService", "Standby"))
    if call.get("ShouldDecrementDesiredCapacity"):
        _decrement(life, [m for m in members if m.lifecycle_state == "InService"], "detach")
    return ActionResult({"Activities": [physics.detach(life, member, now()) for member in members]})


def enter_standby(call: Call, physics: AutoScalingPhysics) -> Any:
    """EnterStandby: at most 20 members in service; without decrement they are replaced."""
    life = group_of(physics, call["AutoScalingGroupName"])
    members = _members(life, call.get("InstanceIds", []), ("InService",))
    if call.get("ShouldDecrementDesiredCapacity"):
        _decrement(life, members, "place into standby")
    return _moved(life, members, "Standby", "Moving EC2 instance to Standby", "was moved to standby in response to a user request.")


def exit_standby(call: Call, physics: AutoScalingPhysics) -> Any:
    """ExitStandby: at most 20 members on standby; the desired capacity rises by what they count for, and not above the maximum."""
    life = group_of(physics, call["AutoScalingGroupName"])
    members = _members(life, call.get("InstanceIds", []), ("Standby",))
    group = life.model
    if group.desired_capacity + units(members) > group.max_size:
        raise ValidationError(
            f"AutoScalingGroup {group.name} has min-size={group.min_size}, max-size={group.max_size}, and "
            f"desired-size={group.desired_capacity}. To move {len(members)} out of standby, raise the maximum size."
        )
    group.desired_capacity += units(members)
    text = "was moved out of standby in response to a user request."
    return _moved(life, members, "InService", "Moving EC2 instance out of Standby", text)


def _moved(life: GroupLife, members: list[InstanceState], state: str, what: str, why: str) -> ActionResult:
    """Put the members into a lifecycle state, and answer with the activities."""
    activities = []
    for member in members:
        member.lifecycle_state = state
        activities.append(life.activities.start(now(), f"{what}: {member.instance_id}", f"instance {member.instance_id} {why}"))
        life.activities.end_about(member.instance_id, what, now())
    return ActionResult({"Activities": activities})


def terminate(call: Call, physics: AutoScalingPhysics) -> Any:
    """TerminateInstanceInAutoScalingGroup: through the hooks, whatever the protection; a decrement, by weight, may not pass the minimum.

    Takes one InstanceId, or up to 100 InstanceIds of the group it names. Asked again of an instance that is being terminated it
    answers with the activity under way, and lowers desired again if it is told to (cluster-autoscaler's issue 4095).
    """
    single, many, name = call.get("InstanceId"), call.get("InstanceIds", []), call.get("AutoScalingGroupName")
    too_many("instanceIds", len(many), MOST_TERMINATED)
    found = [_managed(physics, instance_id) for instance_id in ([single] if single else dict.fromkeys(many))]
    for life, member in found:
        if not single and life.model.name != name:
            raise ValidationError(f"The instance {member.instance_id} is not part of Auto Scaling group {name}.")
    if call.get("ShouldDecrementDesiredCapacity"):
        for group in {id(life): life.model for life, _ in found}.values():
            leaving = units(member for life, member in found if life.model is group)
            if group.desired_capacity - leaving < group.min_size:
                raise ValidationError(
                    f"Currently, desiredSize equals minSize ({group.min_size}). Terminating instance without replacement will violate "
                    "group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size."
                )
            group.desired_capacity -= leaving
    cause = "instance {} was taken out of service in response to a user request."
    activities = [physics.retire(life, member, cause.format(member.instance_id), now()) for life, member in found]
    return ActionResult({"Activity": activities[0]} if single else {"Activities": activities})


def complete(call: Call, physics: AutoScalingPhysics) -> Any:
    """CompleteLifecycleAction: CONTINUE or ABANDON, by token or by instance; an error if nothing is waiting."""
    life, action = _action(call, physics)
    result = call["LifecycleActionResult"]
    if result not in ("CONTINUE", "ABANDON"):
        raise ValidationError(f"The LifecycleActionResult {result} is not valid: it must be CONTINUE or ABANDON.")
    physics.complete(life, action, result, now())
    return EmptyResult()


def record_heartbeat(call: Call, physics: AutoScalingPhysics) -> Any:
    """RecordLifecycleActionHeartbeat: restarts the heartbeat clock, not the global one."""
    _, action = _action(call, physics)
    action.beat(now())
    return EmptyResult()


def _action(call: Call, physics: AutoScalingPhysics) -> tuple[GroupLife, LifecycleAction]:
    """The lifecycle action in progress that the call names, or AWS's error that there is none."""
    life = group_of(physics, call["AutoScalingGroupName"])
    token, instance_id = call.get("LifecycleActionToken"), call.get("InstanceId")
    action = life.actions.find(call["LifecycleHookName"], token, instance_id)
    if action is None or action.deadline <= now():
        which = f"token {token}" if token else f"instance ID {instance_id}"
        raise ValidationError(f"No active Lifecycle Action found with {which}")
    return life, action
