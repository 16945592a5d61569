"""Lifecycle hooks hold an instance, as long as AWS's do and no longer."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

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


def test_a_deleted_hook_lets_go_of_what_it_holds_on_the_way_out() -> None:
    """Its actions are completed with CONTINUE, so the other hook still holds; the last one gone, the instance ends."""
    with open_group(hooks=[DRAIN, DRAIN | {"name": "theirs"}]) as groups:
        end(groups)
        for name, state in (("drain", "Terminating:Wait"), ("theirs", "Terminating:Proceed")):
            groups.api.delete_lifecycle_hook(AutoScalingGroupName=GROUP, LifecycleHookName=name)
            assert groups.states()[FIXED] == state
        assert groups.api.describe_lifecycle_hooks(AutoScalingGroupName=GROUP)["LifecycleHooks"] == []
        groups.account.settle(5)
        assert groups.ec2_state(FIXED) == "terminated"


def test_a_deleted_launch_hook_abandons_what_it_holds() -> None:
    """The instance on its way in ends, and the next one is held by nothing."""
    with open_group(hooks=[DRAIN | {"name": "check", "transition": "launching", "heartbeat": 600}]) as groups:
        groups.api.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=4)
        groups.account.settle(30)
        held = next(i for i, state in groups.states().items() if state == "Pending:Wait")
        groups.api.delete_lifecycle_hook(AutoScalingGroupName=GROUP, LifecycleHookName="check")
        groups.account.settle(60)
        assert groups.ec2_state(held) == "terminated"
        assert groups.count() == {"InService": 4}


def test_deleting_a_hook_that_is_not_there_is_a_validation_error() -> None:
    """An unknown hook, and an unknown group."""
    with open_group(hooks=[DRAIN]) as groups:
        gone = {"AutoScalingGroupName": GROUP, "LifecycleHookName": "gone"}
        assert groups.refusal("delete_lifecycle_hook", **gone).startswith("No Lifecycle Hook found")
        message = groups.refusal("delete_lifecycle_hook", **(gone | {"AutoScalingGroupName": "nobody"}))
        assert message.startswith("AutoScalingGroup name not found")


def test_a_hook_is_described_as_it_was_put() -> None:
    """Its own values and AWS's defaults, the longest wait, and nothing that nobody said; an update keeps what it does not name."""
    with open_group() as groups:
        name = {"AutoScalingGroupName": GROUP, "LifecycleHookName": "drain"}

        def described() -> dict[str, Any]:
            """The hook."""
            (hook,) = groups.api.describe_lifecycle_hooks(AutoScalingGroupName=GROUP, LifecycleHookNames=["drain"])["LifecycleHooks"]
            return dict(hook)

        groups.api.put_lifecycle_hook(**name, LifecycleTransition="autoscaling:EC2_INSTANCE_TERMINATING")
        usual = {"HeartbeatTimeout": 3600, "GlobalTimeout": 172_800, "DefaultResult": "ABANDON"}
        assert described() == {**name, "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING", **usual}
        groups.api.put_lifecycle_hook(**name, HeartbeatTimeout=120, DefaultResult="CONTINUE", NotificationMetadata="ours")
        groups.api.put_lifecycle_hook(**name, HeartbeatTimeout=60)
        now = {"HeartbeatTimeout": 60, "GlobalTimeout": 6000, "DefaultResult": "CONTINUE", "NotificationMetadata": "ours"}
        assert described() == {**name, "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING", **now}


def test_hooks_that_aws_would_not_take_are_refused() -> None:
    """No transition for a new one, a result that is none, and a fifty-first; the fiftieth can still be changed."""
    with open_group() as groups:
        new = {"AutoScalingGroupName": GROUP, "LifecycleHookName": "drain"}
        transition = {"LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING"}
        assert "LifecycleTransition" in groups.refusal("put_lifecycle_hook", **new)
        assert "PERHAPS" in groups.refusal("put_lifecycle_hook", **new, **transition, DefaultResult="PERHAPS")
        for number in range(50):
            groups.api.put_lifecycle_hook(**(new | {"LifecycleHookName": f"hook-{number}"}), **transition)
        with pytest.raises(ClientError, match="LimitExceeded"):
            groups.api.put_lifecycle_hook(**new, **transition)
        groups.api.put_lifecycle_hook(**(new | {"LifecycleHookName": "hook-49"}), HeartbeatTimeout=60)


def test_terminating_twice_does_not_wait_twice() -> None:
    """The second request finds the first under way: the same activity, token and deadline. With decrement, desired falls again."""
    with open_group(hooks=[DRAIN]) as groups:
        request = {"InstanceId": FIXED, "ShouldDecrementDesiredCapacity": True}
        first = groups.api.terminate_instance_in_auto_scaling_group(**request)["Activity"]
        (held,) = groups.account.groups.life(GROUP).actions.in_progress
        before = held.token, held.deadline
        groups.account.settle(30)
        second = groups.api.terminate_instance_in_auto_scaling_group(**request)["Activity"]
        (held,) = groups.account.groups.life(GROUP).actions.in_progress
        assert (held.token, held.deadline) == before
        assert second["ActivityId"] == first["ActivityId"]
        assert groups.describe()["DesiredCapacity"] == 1


def test_a_token_and_an_instance_given_together_must_agree() -> None:
    """The token of one instance does not complete the action of another."""
    with open_group(hooks=[DRAIN]) as groups:
        token = groups.account.terminating(GROUP, FIXED)["drain"]
        other = next(i for i in groups.states() if i != FIXED)
        groups.account.terminating(GROUP, other)
        both = {"AutoScalingGroupName": GROUP, "LifecycleHookName": "drain", "LifecycleActionToken": token}
        message = groups.refusal("record_lifecycle_action_heartbeat", **both, InstanceId=other)
        assert message == f"No active Lifecycle Action found with token {token}"
        groups.api.complete_lifecycle_action(**both, InstanceId=FIXED, LifecycleActionResult="CONTINUE")
        assert (groups.states()[FIXED], groups.states()[other]) == ("Terminating:Proceed", "Terminating:Wait")
