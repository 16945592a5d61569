"""How drains are ended, helped and undone through boto3: each call as AWS takes it, and each answer for what it means."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bulwark.core.cluster import DRAIN_ATTRIBUTE
from bulwark.core.plan import (
    Action,
    CompleteLifecycleAction,
    DeregisterInstance,
    DrainInstance,
    InstallHook,
    MarkInstance,
    Outcome,
    Plan,
    RaiseMaxPercent,
    ReactivateInstance,
    RecordHeartbeat,
    RemoveHook,
    RestoreMaxPercent,
    RunTask,
    StopTask,
    TerminateInstance,
    UnmarkInstance,
)
from bulwark.core.policies import Mode
from bulwark.shell.act import act
from bulwark.shell.ledger import Ledger
from bulwark.shell.translate import read_mark, write_mark
from tests.builders import CLUSTER_ARN, NOW, SPOT, TOKEN, a_mark, instance_arn
from tests.fakes import FakeAws, FakeCalls, FakeEcs, an_error

ARN = instance_arn(SPOT)
SPAN = "spot 2026-11-24T03:00:00Z 2026-11-24T03:02:00Z"
OVER = an_error("ValidationError", "CompleteLifecycleAction", f"No active Lifecycle Action found with token {TOKEN}")
NO_MEMBER = an_error("ValidationError", message="Instance Id not found - No managed instance found")
NO_HOOK = an_error("ValidationError", message="No Lifecycle Hook found")
TASK = f"{CLUSTER_ARN}:task/orders/abc"
RERUN = RunTask(
    target="abc",
    cluster="orders",
    arn=TASK,
    definition=f"{CLUSTER_ARN}:task-definition/nightly:3",
    group="family:nightly",
    overrides='{"containerOverrides": [{"name": "main", "command": ["x"]}], "inferenceAcceleratorOverrides": []}',
    tags=(("aws:ecs:clusterName", "orders"), ("bulwark:on-drain", "rerun")),
    capacity_provider=None,
    execute_command=False,
    reason="why",
)
COMPLETE = CompleteLifecycleAction(SPOT, "orders-spot", "bulwark-drain", TOKEN, "why")
HEARTBEAT = RecordHeartbeat(SPOT, "orders-spot", "bulwark-drain", TOKEN, "why")
DEREGISTER = DeregisterInstance(SPOT, "orders", ("one", "two"), "why")


def one(action: Action, mode: Mode = "act", **clients: Any) -> tuple[Outcome, FakeAws]:
    """Perform one action on fake clients."""
    aws = FakeAws(**({name: FakeCalls() for name in ("ecs", "autoscaling", "ec2", "dynamodb")} | clients))
    (outcome,) = act(aws, Plan((action,)), mode, Ledger(aws, "bulwark"), NOW)
    return outcome, aws


def test_T12_our_hook_goes_on_by_name_group_and_token() -> None:
    """Hazard T12: CONTINUE for this hook, this group and this token, and for nothing else."""
    outcome, aws = one(COMPLETE)

    which = {"AutoScalingGroupName": "orders-spot", "LifecycleHookName": "bulwark-drain", "LifecycleActionToken": TOKEN}
    assert [("complete_lifecycle_action", which | {"LifecycleActionResult": "CONTINUE"})] == aws.autoscaling.calls
    assert "done" == outcome.status


def test_T14_an_action_that_is_over_is_done_and_never_beaten_for() -> None:
    """Hazard T14: "No active Lifecycle Action", by token and then by instance, means that it has come about already."""
    outcome, aws = one(COMPLETE, autoscaling=FakeCalls(complete_lifecycle_action=[OVER, OVER]))

    assert ("done", None) == (outcome.status, outcome.error)
    assert ["complete_lifecycle_action"] * 2 == aws.autoscaling.names()
    assert SPOT == aws.autoscaling.calls[1][1]["InstanceId"]


def test_T14_a_completion_that_failed_is_a_failure() -> None:
    """Hazard T14: throttled: failed, so that the event comes again; no heartbeat is sent in its place."""
    outcome, aws = one(COMPLETE, autoscaling=FakeCalls(complete_lifecycle_action=[an_error("Throttling")]))

    assert "failed" == outcome.status
    assert ["complete_lifecycle_action"] == aws.autoscaling.names()


def test_a_heartbeat_for_what_is_over_is_no_failure() -> None:
    """The next look finds the instance gone. A token that an old event left behind is no reason to let the hook run out."""
    outcome, aws = one(HEARTBEAT, autoscaling=FakeCalls(record_lifecycle_action_heartbeat=[OVER, OVER]))

    assert "done" == outcome.status
    assert [TOKEN, SPOT] == [params.get("LifecycleActionToken") or params["InstanceId"] for _, params in aws.autoscaling.calls]
    assert "failed" == one(HEARTBEAT, autoscaling=FakeCalls(record_lifecycle_action_heartbeat=[an_error()]))[0].status


@pytest.mark.parametrize(
    ("group", "service", "operation"),
    [("orders-spot", "autoscaling", "terminate_instance_in_auto_scaling_group"), (None, "ec2", "terminate_instances")],
)
def test_an_instance_ends_in_its_group_or_in_EC2(group: str | None, service: str, operation: str) -> None:
    """Never with decrement: desired is not ours to lower here."""
    outcome, aws = one(TerminateInstance(SPOT, group, "why"))

    ((called, params),) = getattr(aws, service).calls
    assert (operation, "done") == (called, outcome.status)
    assert params in ({"InstanceId": SPOT, "ShouldDecrementDesiredCapacity": False}, {"InstanceIds": [SPOT]})


@pytest.mark.parametrize(
    ("group", "clients", "status"),
    [
        ("g", {"autoscaling": FakeCalls(terminate_instance_in_auto_scaling_group=[NO_MEMBER])}, "done"),
        ("g", {"autoscaling": FakeCalls(terminate_instance_in_auto_scaling_group=[an_error("ScalingActivityInProgress")])}, "failed"),
        (None, {"ec2": FakeCalls(terminate_instances=[an_error("InvalidInstanceID.NotFound")])}, "done"),
        (None, {"ec2": FakeCalls(terminate_instances=[an_error("UnauthorizedOperation")])}, "failed"),
    ],
)  # fmt: skip
def test_what_is_gone_already_needs_no_ending(group: str | None, clients: dict[str, Any], status: str) -> None:
    """Somebody was quicker: done. Anything else: failed."""
    assert status == one(TerminateInstance(SPOT, group, "why"), **clients)[0].status


def test_a_ghost_is_forgotten_in_every_registration_by_force() -> None:
    """ECS refuses without force while it believes that tasks run."""
    outcome, aws = one(DEREGISTER)

    assert [("one", True), ("two", True)] == [(p["containerInstance"], p["force"]) for _, p in aws.ecs.calls]
    assert "done" == outcome.status


def test_a_ghost_that_is_forgotten_already_is_no_failure_and_takes_no_other_with_it() -> None:
    """The agent may have deregistered it a moment before."""
    gone = an_error("InvalidParameterException", message="The referenced container instance was not found")

    assert "done" == one(DEREGISTER, ecs=FakeCalls(deregister_container_instance=[gone]))[0].status
    outcome, aws = one(DEREGISTER, ecs=FakeCalls(deregister_container_instance=[an_error()]))
    assert ("failed", 2) == (outcome.status, len(aws.ecs.calls))


def test_back_to_ACTIVE_comes_before_the_mark_is_taken_off() -> None:
    """A death in between leaves an ACTIVE instance with a mark, which the sweep puts right; never DRAINING without one."""
    ecs = FakeCalls()
    outcome, _ = one(ReactivateInstance(SPOT, "orders", (ARN,), "why"), ecs=ecs)

    assert ["update_container_instances_state", "delete_attributes"] == ecs.names()
    assert ("ACTIVE", "done") == (ecs.calls[0][1]["status"], outcome.status)


def test_a_drain_that_is_tried_again_keeps_a_mark() -> None:
    """The new mark takes the old one's place."""
    ecs = FakeCalls()
    one(ReactivateInstance(SPOT, "orders", (ARN,), "why", keep=a_mark("rebalance-recommendation")), ecs=ecs)

    assert ["update_container_instances_state", "put_attributes"] == ecs.names()


def test_what_could_not_go_back_keeps_its_mark() -> None:
    """T4: a failure in a 200 answer is a failure, and then the mark stays."""
    ecs = FakeCalls(update_container_instances_state=[{"failures": [{"arn": ARN, "reason": "INACTIVE"}]}])
    outcome, _ = one(ReactivateInstance(SPOT, "orders", (ARN,), "why"), ecs=ecs)

    assert ("failed", ["update_container_instances_state"]) == (outcome.status, ecs.names())


def test_a_mark_on_what_is_gone_is_off() -> None:
    """TargetNotFound: there is nothing left to take it off from."""
    gone = FakeCalls(delete_attributes=[an_error("TargetNotFoundException")])

    assert "done" == one(UnmarkInstance(SPOT, "orders", (ARN,), "why"), ecs=gone)[0].status
    assert "failed" == one(UnmarkInstance(SPOT, "orders", (ARN,), "why"), ecs=FakeCalls(delete_attributes=[an_error()]))[0].status


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize(("hook", "begun"), [(None, None), (TOKEN, None), (TOKEN, NOW), ("by-instance", NOW)])
@pytest.mark.parametrize("cause", ["spot-interruption", "rebalance-recommendation"])
def test_a_mark_survives_its_own_writing(cause: str, hook: str | None, begun: Any, alone: bool) -> None:
    """What is written is what is read, the hook's token and its begin included, and ECS's limits hold, the longest mark's too."""
    mark = replace(a_mark(cause, minutes=60, hook=hook), hook_since=begun, alone=alone)
    text = write_mark(mark)

    assert mark == read_mark(text)
    assert len(text) <= 128
    one(MarkInstance(SPOT, "orders", (ARN,), mark, "why"))


@pytest.mark.parametrize(
    "text", ["", None, "x", "a b c", "spot 2026-11-24T03:00:00Z", "spot a b c d", "spot 2026-11-24T03:00:00Z soon token"]
)
def test_what_is_no_mark_is_none(text: str | None) -> None:
    """An attribute that somebody else wrote is not ours."""
    assert read_mark(text) is None


def test_what_is_not_urgent_is_marked_first() -> None:
    """A death in between leaves an intention; and what could not be marked is not drained."""
    ecs = FakeEcs()
    drain = DrainInstance(SPOT, "orders", (ARN,), a_mark("scheduled-stop"), "why", mark_first=True)

    outcome, _ = one(drain, ecs=ecs)

    assert ["put_attributes", "update_container_instances_state"] == [name for name, _ in ecs.calls]
    assert [ARN] == [i.arn for i in outcome.seen]
    refused = FakeEcs(fail={"put_attributes": [an_error()]})
    assert "failed" == one(drain, ecs=refused)[0].status
    assert {"ACTIVE"} == {i["status"] for i in refused.instances}


def test_a_task_is_started_again_as_it_was_and_only_then_stopped() -> None:
    """Definition, overrides and tags are kept, AWS's own tags and the family's own group left out."""
    ecs = FakeCalls(run_task=[{"tasks": [{"taskArn": "new"}]}])
    outcome, _ = one(RERUN, ecs=ecs)

    (ran, params), (stopped, _) = ecs.calls
    assert ("run_task", "stop_task", "done") == (ran, stopped, outcome.status)
    assert {"containerOverrides": [{"name": "main", "command": ["x"]}]} == params["overrides"]
    assert [{"key": "bulwark:on-drain", "value": "rerun"}] == params["tags"]
    assert "group" not in params
    assert len(params["clientToken"]) <= 64
    assert len(params["startedBy"]) <= 36


def test_a_task_never_runs_twice() -> None:
    """The client token is the old task's own: asked again after a death, ECS answers with the same new task."""
    tokens = []
    for _ in range(2):
        ecs = FakeCalls(run_task=[{"tasks": [{"taskArn": "new"}]}])
        one(RERUN, ecs=ecs)
        tokens.append(ecs.calls[0][1]["clientToken"])

    assert tokens[0] == tokens[1]


def test_a_task_without_room_elsewhere_goes_on_where_it_is() -> None:
    """T4: no task, only failures: skipped with ECS's reasons, and the old one is not stopped."""
    ecs = FakeCalls(run_task=[{"tasks": [], "failures": [{"reason": "RESOURCE:MEMORY"}]}])
    outcome, _ = one(RERUN, ecs=ecs)

    assert ("skipped", "no instance can take it now: RESOURCE:MEMORY") == (outcome.status, outcome.error)
    assert ["run_task"] == ecs.names()


def test_a_task_that_could_not_be_started_again_is_not_stopped() -> None:
    """AccessDenied, as without permission for its role: failed, and it runs on."""
    ecs = FakeCalls(run_task=[an_error("AccessDeniedException")])

    assert ("failed", ["run_task"]) == (one(RERUN, ecs=ecs)[0].status, ecs.names())


def test_a_task_that_has_stopped_already_is_stopped() -> None:
    """ECS no longer knows it."""
    gone = FakeCalls(stop_task=[an_error("InvalidParameterException", message="The referenced task was not found.")])

    assert "done" == one(StopTask("abc", "orders", TASK, "why"), ecs=gone)[0].status
    assert "failed" == one(StopTask("abc", "orders", TASK, "why"), ecs=FakeCalls(stop_task=[an_error()]))[0].status


SERVICE = {
    "services": [
        {
            "deploymentConfiguration": {
                "minimumHealthyPercent": 100,
                "maximumPercent": 100,
                "deploymentCircuitBreaker": {"enable": True, "rollback": True},
            }
        }
    ]
}


def test_a_bound_is_noted_before_it_is_raised_and_nothing_else_is_changed() -> None:
    """The note first, so that a death in between is undone; the rest of the deployment configuration is written back as it was."""
    ecs = FakeCalls(describe_services=[SERVICE])
    outcome, aws = one(RaiseMaxPercent("web", "orders", 100, 150, "why"), ecs=ecs)

    assert ["put_item"] == aws.dynamodb.names()
    assert {**SERVICE["services"][0]["deploymentConfiguration"], "maximumPercent": 150} == ecs.calls[1][1]["deploymentConfiguration"]
    assert "done" == outcome.status


def test_a_bound_that_could_not_be_noted_is_not_raised() -> None:
    """Otherwise nobody would give it back. Noted already: somebody else has raised it."""
    ecs = FakeCalls()
    table = FakeCalls(put_item=[an_error("ProvisionedThroughputExceededException")])

    assert ("failed", []) == (one(RaiseMaxPercent("web", "orders", 100, 150, "why"), ecs=ecs, dynamodb=table)[0].status, ecs.names())
    noted = FakeCalls(put_item=[an_error("ConditionalCheckFailedException")])
    assert ("done", []) == (one(RaiseMaxPercent("web", "orders", 100, 150, "why"), ecs=ecs, dynamodb=noted)[0].status, ecs.names())


@pytest.mark.parametrize(
    ("answers", "write", "forgotten", "status"),
    [
        ({"describe_services": [SERVICE]}, True, True, "done"),
        ({"describe_services": [SERVICE], "update_service": [an_error()]}, True, False, "failed"),
        ({"describe_services": [SERVICE], "update_service": [an_error("ServiceNotActiveException")]}, True, True, "done"),
        ({"describe_services": [{"services": []}]}, True, True, "done"),
        ({}, False, True, "done"),
    ],
)
def test_a_note_goes_only_when_the_bound_is_back(answers: dict[str, Any], write: bool, forgotten: bool, status: str) -> None:
    """Given back, or no longer ours or anybody's to give: only then is the note removed."""
    outcome, aws = one(
        RestoreMaxPercent("web", "orders", 100, "why", write=write), ecs=FakeCalls(**{k: list(v) for k, v in answers.items()})
    )

    assert (status, ["delete_item"] if forgotten else []) == (outcome.status, aws.dynamodb.names())


def test_a_hook_is_put_on_with_CONTINUE_between_two_notes() -> None:
    """ABANDON would skip everybody else's hooks and may retain the instance."""
    outcome, aws = one(InstallHook("orders-spot", 300, "why"))

    assert ["create_or_update_tags", "put_lifecycle_hook", "create_or_update_tags"] == aws.autoscaling.names()
    put = aws.autoscaling.calls[1][1]
    assert ("CONTINUE", 300) == (put["DefaultResult"], put["HeartbeatTimeout"])
    assert ["installing", "own"] == [aws.autoscaling.calls[n][1]["Tags"][0]["Value"] for n in (0, 2)]
    assert "done" == outcome.status


def test_a_hook_that_could_not_be_put_on_is_not_noted_as_ours() -> None:
    """The note says that it was being put there: the next sweep does it again."""
    outcome, aws = one(InstallHook("orders-spot", 300, "why"), autoscaling=FakeCalls(put_lifecycle_hook=[an_error()]))

    assert ("failed", ["create_or_update_tags", "put_lifecycle_hook"]) == (outcome.status, aws.autoscaling.names())


def test_a_hook_that_was_found_is_noted_as_such() -> None:
    """It is not ours to remove later."""
    _, aws = one(InstallHook("orders-spot", None, "why"))

    assert ["create_or_update_tags"] == aws.autoscaling.names()
    assert "found" == aws.autoscaling.calls[0][1]["Tags"][0]["Value"]


@pytest.mark.parametrize(
    ("answers", "delete", "names", "status"),
    [
        ({}, True, ["delete_lifecycle_hook", "delete_tags"], "done"),
        ({}, False, ["delete_tags"], "done"),
        ({"delete_lifecycle_hook": [NO_HOOK]}, True, ["delete_lifecycle_hook", "delete_tags"], "done"),
        ({"delete_lifecycle_hook": [an_error()]}, True, ["delete_lifecycle_hook"], "failed"),
        ({"delete_tags": [an_error()]}, False, ["delete_tags"], "failed"),
    ],
)  # fmt: skip
def test_a_hook_is_taken_off_and_then_its_note(answers: dict[str, Any], delete: bool, names: list[str], status: str) -> None:
    """The note goes last: what failed is tried again with the next sweep."""
    outcome, aws = one(RemoveHook("orders-spot", "why", delete=delete), autoscaling=FakeCalls(**{k: list(v) for k, v in answers.items()}))

    assert (names, status) == (aws.autoscaling.names(), outcome.status)


@pytest.mark.parametrize(
    "action", [COMPLETE, HEARTBEAT, DEREGISTER, RERUN, InstallHook("g", 300, "why"), RaiseMaxPercent("w", "o", 1, 2, "y")]
)
def test_observing_makes_no_call(action: Action) -> None:
    """Rule 9, for every kind that is a call of its own."""
    outcome, aws = one(action, mode="observe")

    assert "skipped" == outcome.status
    assert [] == aws.ecs.calls + aws.autoscaling.calls + aws.ec2.calls + aws.dynamodb.calls


def test_a_lease_is_taken_only_if_nobody_holds_it() -> None:
    """Conditional on absence, expiry or ourselves; a refusal is no error, anything else is."""
    aws = FakeAws(dynamodb=FakeCalls(put_item=[{}, an_error("ConditionalCheckFailedException"), an_error("AccessDeniedException")]))
    ledger = Ledger(aws, "bulwark")

    assert ledger.lease("orders", "me", NOW)
    assert not ledger.lease("orders", "other", NOW)
    with pytest.raises(Exception, match="AccessDenied"):
        ledger.lease("orders", "other", NOW)
    assert "attribute_not_exists(pk)" in aws.dynamodb.calls[0][1]["ConditionExpression"]


def test_a_lease_that_cannot_be_given_back_expires() -> None:
    """It holds nothing up for longer than that."""
    aws = FakeAws(dynamodb=FakeCalls(delete_item=[an_error()]))

    Ledger(aws, "bulwark").release("orders", "me")

    assert ["delete_item"] == aws.dynamodb.names()


def test_marks_carry_the_attribute_s_name() -> None:
    """The name that rule, sweep and console rely on."""
    assert "bulwark.drain" == DRAIN_ATTRIBUTE
    assert a_mark().deadline == NOW + timedelta(seconds=120)
