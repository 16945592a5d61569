"""Lifecycle hooks hold an instance, as long as AWS's do and no longer."""

from typing import Any

import pytest

from tests.workbench.test_autoscaling import FIXED, GROUP, Groups, open_group

DRAIN = {"name": "drain", "transition": "terminating", "heartbeat": 60}
HELD = {"AutoScalingGroupName": GROUP, "LifecycleHookName": "drain", "InstanceId": FIXED}


def end(groups: Groups) -> None:
    """Terminate the fixed instance through its group, and let the group begin."""
    groups.api.terminate_instance_in_auto_scaling_group(InstanceId=FIXED, ShouldDecrementDesiredCapacity=False)
    groups.account.settle(5)


def test_a_terminate_hook_holds_the_instance_until_it_is_completed() -> None:
    """Terminating:Wait while it is held, running all the time; after CONTINUE it ends. The replacement does not wait for it."""
    with open_group(hooks=[DRAIN]) as groups:
        end(groups)
        assert groups.states()[FIXED] == "Terminating:Wait"
        assert groups.ec2_state(FIXED) == "running"
        groups.account.settle(30)
        assert groups.count() == {"InService": 3, "Terminating:Wait": 1}
        groups.api.complete_lifecycle_action(**HELD, LifecycleActionResult="CONTINUE")
        assert groups.states()[FIXED] == "Terminating:Proceed"
        groups.account.settle(5)
        assert groups.ec2_state(FIXED) == "terminated"
        assert FIXED not in groups.states()


def test_a_hook_that_nobody_completes_times_out() -> None:
    """After the heartbeat time-out the default result applies; heartbeats put it off."""
    with open_group(hooks=[DRAIN]) as groups:
        end(groups)
        for _ in range(3):
            groups.account.settle(50)
            groups.api.record_lifecycle_action_heartbeat(**HELD)
        assert groups.states()[FIXED] == "Terminating:Wait"
        groups.account.settle(70)
        assert groups.ec2_state(FIXED) == "terminated"


def test_heartbeats_do_not_hold_an_instance_for_ever() -> None:
    """A hook of 30 s holds for 100 heartbeats, 3,000 s, whatever is recorded."""
    with open_group(hooks=[DRAIN | {"heartbeat": 30}]) as groups:
        end(groups)
        for _ in range(148):
            groups.account.settle(20)
            groups.api.record_lifecycle_action_heartbeat(**HELD)
        assert groups.states()[FIXED] == "Terminating:Wait"
        for _ in range(4):
            groups.account.settle(20)
            if groups.states().get(FIXED) == "Terminating:Wait":
                groups.api.record_lifecycle_action_heartbeat(**HELD)
        assert groups.ec2_state(FIXED) == "terminated"


@pytest.mark.parametrize("operation", ["complete_lifecycle_action", "record_lifecycle_action_heartbeat"])
def test_completing_what_is_not_held_is_a_validation_error(operation: str) -> None:
    """Nothing waiting, another hook's name, a token nobody has, or a second completion: AWS's text each time."""
    result: dict[str, Any] = {"LifecycleActionResult": "CONTINUE"} if operation.startswith("complete") else {}
    with open_group(hooks=[DRAIN]) as groups:
        nothing = f"No active Lifecycle Action found with instance ID {FIXED}"
        assert groups.refusal(operation, **HELD, **result) == nothing
        end(groups)
        assert groups.refusal(operation, **{**HELD, "LifecycleHookName": "other"}, **result) == nothing
        token = "00000000-0000-0000-0000-000000000000"
        by_token = {"AutoScalingGroupName": GROUP, "LifecycleHookName": "drain", "LifecycleActionToken": token}
        assert groups.refusal(operation, **by_token, **result) == f"No active Lifecycle Action found with token {token}"
        groups.api.complete_lifecycle_action(**HELD, LifecycleActionResult="CONTINUE")
        assert groups.refusal(operation, **HELD, **result) == nothing


def test_the_token_completes_the_action_it_belongs_to() -> None:
    """The token of an action in progress completes exactly that one."""
    with open_group(hooks=[DRAIN]) as groups:
        end(groups)
        action = groups.account.groups.life(GROUP).actions.in_progress[0]
        groups.api.complete_lifecycle_action(
            AutoScalingGroupName=GROUP, LifecycleHookName="drain", LifecycleActionToken=action.token, LifecycleActionResult="CONTINUE"
        )
        assert groups.states()[FIXED] == "Terminating:Proceed"


@pytest.mark.parametrize(("result", "held"), [("CONTINUE", True), ("ABANDON", False)])
def test_two_hooks_both_hold_and_abandon_ends_both(result: str, *, held: bool) -> None:
    """With two hooks one CONTINUE is not enough; one ABANDON skips the other."""
    with open_group(hooks=[DRAIN, DRAIN | {"name": "theirs"}]) as groups:
        end(groups)
        groups.api.complete_lifecycle_action(**HELD, LifecycleActionResult=result)
        groups.account.settle(5)
        assert (groups.ec2_state(FIXED) == "running") is held


def test_a_launch_hook_holds_a_new_instance() -> None:
    """Pending:Wait until completed: it is registered with ECS but not in service; ABANDON ends it and another is launched."""
    with open_group(hooks=[DRAIN | {"name": "check", "transition": "launching", "heartbeat": 600}]) as groups:
        groups.api.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=4)
        groups.account.settle(30)
        first = next(i for i, state in groups.states().items() if state == "Pending:Wait")
        assert first in groups.ecs.registered
        wait = {"AutoScalingGroupName": GROUP, "LifecycleHookName": "check"}
        groups.api.complete_lifecycle_action(**wait, InstanceId=first, LifecycleActionResult="ABANDON")
        groups.account.settle(30)
        assert groups.ec2_state(first) == "terminated"
        second = next(i for i, state in groups.states().items() if state == "Pending:Wait")
        groups.api.complete_lifecycle_action(**wait, InstanceId=second, LifecycleActionResult="CONTINUE")
        assert groups.count() == {"InService": 4}


def test_a_hook_does_not_hold_what_is_detached() -> None:
    """Detaching asks no hook."""
    with open_group(hooks=[DRAIN]) as groups:
        groups.api.detach_instances(AutoScalingGroupName=GROUP, InstanceIds=[FIXED], ShouldDecrementDesiredCapacity=False)
        groups.account.settle(5)
        assert FIXED not in groups.states()
        assert groups.ec2_state(FIXED) == "running"


def test_a_heartbeat_aws_would_not_take_is_refused() -> None:
    """PutLifecycleHook takes 30 to 7,200 s."""
    with open_group() as groups:
        hook = {"AutoScalingGroupName": GROUP, "LifecycleHookName": "drain", "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING"}
        assert "between 30 and 7200" in groups.refusal("put_lifecycle_hook", **hook, HeartbeatTimeout=10)
        groups.api.put_lifecycle_hook(**hook, HeartbeatTimeout=30)
        assert groups.api.describe_lifecycle_hooks(AutoScalingGroupName=GROUP)["LifecycleHooks"][0]["HeartbeatTimeout"] == 30
