"""What an event says has happened is so when a function looks: Spot reclaims, terminate hooks, state changes, lost agents."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from tests.workbench.ecs_halves import RecordingEcs, one_group
from workbench.sandbox import Account
from workbench.sandbox.scenario import read_scenario

FIXED, OTHER, UNKNOWN = "i-0aaa0000000000001", "i-0aaa0000000000002", "i-0bbb0000000000001"
SPOT = ("aws.ec2", "EC2 Spot Instance Interruption Warning")
STATE = ("aws.ec2", "EC2 Instance State-change Notification")
HOOK = ("aws.autoscaling", "EC2 Instance-terminate Lifecycle Action")
FIRST, SECOND = "87654321-4321-4321-4321-210987654321", "87654321-4321-4321-4321-210987654322"
HOOKS = [{"name": "drain"}, {"name": "theirs"}, {"name": "check", "transition": "launching"}]


class Story:
    """The group ``web`` of the cluster ``orders``, three instances with a task each, and what happens to them."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.ecs = account.client("ecs")
        self.autoscaling = account.client("autoscaling")

    def event(self, kind: tuple[str, str], **detail: Any) -> dict[str, Any]:
        """An event of this source and detail-type, sent now."""
        return {"source": kind[0], "detail-type": kind[1], "time": f"{self.account.now:%Y-%m-%dT%H:%M:%SZ}", "detail": detail}

    def warn(self, action: str = "terminate", instance_id: str = FIXED) -> None:
        """A Spot warning."""
        self.account.happen(self.event(SPOT, **{"instance-id": instance_id, "instance-action": action}))

    def turn(self, state: str, instance_id: str = FIXED) -> None:
        """A state-change notification."""
        self.account.happen(self.event(STATE, **{"instance-id": instance_id, "state": state}))

    def hold(self, token: str = FIRST, **changes: Any) -> None:
        """A terminate hook's lifecycle action."""
        detail = {
            "LifecycleActionToken": token,
            "AutoScalingGroupName": "web",
            "LifecycleHookName": "drain",
            "EC2InstanceId": FIXED,
            "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
            "Origin": "AutoScalingGroup",
            "Destination": "EC2",
        }
        self.account.happen(self.event(HOOK, **(detail | changes)))

    def state(self, instance_id: str = FIXED) -> str:
        """The instance's state in EC2."""
        answer = self.account.client("ec2").describe_instances(InstanceIds=[instance_id])
        return str(answer["Reservations"][0]["Instances"][0]["State"]["Name"])

    def member(self, instance_id: str = FIXED) -> str | None:
        """The instance's lifecycle state in its group."""
        found = self.autoscaling.describe_auto_scaling_instances(InstanceIds=[instance_id])["AutoScalingInstances"]
        return found[0]["LifecycleState"] if found else None

    def registered(self, instance_id: str = FIXED) -> tuple[str, bool, int] | None:
        """Status, connection and running tasks of the instance's container instance; None if ECS lists none."""
        listed = self.ecs.list_container_instances(cluster="orders", filter=f"ec2InstanceId in ['{instance_id}']")
        if not listed["containerInstanceArns"]:
            return None
        one = self.ecs.describe_container_instances(cluster="orders", containerInstances=listed["containerInstanceArns"])
        found = one["containerInstances"][0]
        return found["status"], found["agentConnected"], found["runningTasksCount"]

    def tokens(self) -> dict[str, str]:
        """The tokens of the lifecycle actions in progress, by hook."""
        return {action.hook: action.token for action in self.account.groups.life("web").actions.in_progress}

    def everything(self) -> list[Any]:
        """All there is to see of EC2, the group and ECS."""
        hosts = self.account.client("ec2").describe_instances()["Reservations"]
        groups = self.autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]
        states = [(i["InstanceId"], i["State"]["Name"]) for r in hosts for i in r["Instances"]]
        return [states, groups, self.tokens(), self.registered(), self.registered(OTHER)]


@contextmanager
def story(*, connected: bool = True, **group: Any) -> Iterator[Story]:
    """The account of a story. ``group``: what is special about the group; ``connected``: whether the fixed instance's agent is."""
    fields = {"name": "web", "min": 1, "desired": 3, "max": 5, "hooks": HOOKS, "launch_delay": 20} | group
    instances = [{"id": FIXED, "zone": "us-east-1a", "connected": connected}, {"id": OTHER, "zone": "us-east-1b"}]
    services = [{"name": "api", "desired": 3, "constraints": ["distinctInstance"]}] if connected else []
    cluster = {"name": "orders", "groups": [fields], "instances": instances, "services": services}
    with Account(read_scenario({"clusters": [cluster]}, "test")) as account:
        yield Story(account)


def test_ec2_takes_a_spot_instance_two_minutes_after_the_first_warning() -> None:
    """Running at 124 s, gone at 125 s and deregistered with its tasks, whatever was said again meanwhile."""
    with story() as it:
        start = it.account.now
        it.warn()
        it.account.settle(60)
        it.warn()
        it.account.settle(64)
        assert (it.state(), it.registered()) == ("running", ("ACTIVE", True, 1))
        it.account.settle(1)
        assert (it.state(), it.registered(), it.account.now - start) == ("terminated", None, timedelta(seconds=125))
        host = it.account.client("ec2").describe_instances(InstanceIds=[FIXED])["Reservations"][0]["Instances"][0]
        assert host["StateReason"]["Code"] == "Server.SpotInstanceTermination"
        assert it.state(OTHER) == "running"


def test_the_end_comes_at_its_second_however_long_the_account_lives_at_once() -> None:
    """A reclaim in the middle of a step of the account's clock is not put off to its end."""
    with story() as it:
        due = it.account.now + timedelta(seconds=125)
        it.warn()
        it.account.settle(2)
        it.account.settle(600)
        assert it.account.ec2.ended[FIXED] == due


def test_a_warning_that_is_old_by_the_accounts_clock_is_carried_out_at_once() -> None:
    """The two minutes count from the event's own time; even then the instance goes in the account's life, not before."""
    with story() as it:
        event = it.event(SPOT, **{"instance-id": FIXED, "instance-action": "terminate"})
        it.account.settle(300)
        it.account.happen(event)
        assert it.state() == "running"
        it.account.settle(1)
        assert it.state() == "terminated"


def test_a_warned_instance_shows_in_its_spot_request_until_it_is_gone() -> None:
    """By status code: marked for what was announced, as long as it runs; an id that the account does not know is nowhere."""
    with story() as it:
        start = it.account.now

        def marked(code: str) -> list[tuple[str, Any]]:
            """Instances whose Spot request has the code, and since when."""
            pages = it.account.client("ec2").get_paginator("describe_spot_instance_requests")
            found = pages.paginate(Filters=[{"Name": "status-code", "Values": [code]}])
            return [(r["InstanceId"], r["Status"]["UpdateTime"]) for page in found for r in page["SpotInstanceRequests"]]

        assert marked("marked-for-termination") == []
        it.warn(instance_id=UNKNOWN)
        it.warn()
        it.account.settle(60)
        it.warn("stop", OTHER)
        assert (marked("marked-for-termination"), marked("marked-for-stop")) == ([(FIXED, start)], [(OTHER, it.account.now)])
        it.account.settle(65)
        assert (marked("marked-for-termination"), len(marked("marked-for-stop"))) == ([], 1)


@pytest.mark.parametrize("action", ["stop", "hibernate"])
def test_a_warning_of_anything_but_termination_takes_nothing(action: str) -> None:
    """Auto Scaling's Spot instances are terminated; the account does not stop them."""
    with story() as it:
        it.warn(action)
        it.account.settle(180)
        assert it.state() == "running"


@pytest.mark.parametrize("changes", [{}, {"spot_draining": True}], ids=["without", "with"])
def test_an_agent_that_drains_itself_does_so_within_the_next_second(changes: dict[str, Any]) -> None:
    """Only with spot_draining, for any kind of reclaim, a second after the warning, and without any mark of ours."""
    for action in ("terminate", "stop", "hibernate"):
        with story(**changes) as it:
            it.warn(action)
            it.account.settle(0.5)
            assert it.registered() == ("ACTIVE", True, 1)
            it.account.settle(0.5)
            assert it.registered() == ("DRAINING" if changes else "ACTIVE", True, 1)
            assert (
                it.ecs.list_attributes(cluster="orders", targetType="container-instance", attributeName="bulwark.drain")["attributes"] == []
            )
            assert it.registered(OTHER) == ("ACTIVE", True, 1)


def test_an_agent_drains_itself_once() -> None:
    """A second copy of the warning does not undo what somebody did after the first."""
    with story(spot_draining=True) as it:
        it.warn()
        it.account.settle(1)
        arn = it.ecs.list_container_instances(cluster="orders", status="DRAINING")["containerInstanceArns"]
        it.ecs.update_container_instances_state(cluster="orders", containerInstances=arn, status="ACTIVE")
        it.warn()
        it.account.settle(1)
        assert it.registered() == ("ACTIVE", True, 1)


def test_an_agent_out_of_touch_cannot_drain_itself() -> None:
    """ECS does not hear of it."""
    with story(connected=False, spot_draining=True) as it:
        it.warn()
        it.account.settle(5)
        assert it.registered() == ("ACTIVE", False, 0)


def test_a_terminate_hooks_event_begins_the_termination_with_its_token() -> None:
    """The member waits, its hooks both hold it, ours under the event's token; a replacement comes, as in an instance refresh."""
    with story() as it:
        it.hold(FIRST)
        assert it.member() == "Terminating:Wait"
        tokens = it.tokens()
        assert (sorted(tokens), tokens["drain"]) == (["drain", "theirs"], FIRST)
        assert tokens["theirs"] != FIRST
        it.account.settle(60)
        group = it.autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"][0]
        assert (group["DesiredCapacity"], len(group["Instances"]), it.state()) == (3, 4, "running")
        for hook, token in tokens.items():
            done = {"AutoScalingGroupName": "web", "LifecycleActionResult": "CONTINUE"}
            it.autoscaling.complete_lifecycle_action(LifecycleHookName=hook, LifecycleActionToken=token, **done)
        it.account.settle(5)
        assert (it.state(), it.member()) == ("terminated", None)


def test_a_later_event_brings_its_token_and_a_late_copy_of_an_earlier_one_does_not() -> None:
    """The wait is not begun again either: its deadline stays."""
    with story() as it:
        it.hold(FIRST)
        deadline = it.account.groups.life("web").actions.in_progress[0].deadline
        it.account.settle(30)
        it.hold(SECOND)
        assert it.tokens()["drain"] == SECOND
        it.hold(FIRST)
        assert it.tokens()["drain"] == SECOND
        assert it.account.groups.life("web").actions.in_progress[0].deadline == deadline


def test_an_event_for_what_waits_already_only_brings_its_token() -> None:
    """A termination that began by itself gets the token that its event then tells."""
    with story() as it:
        own = it.account.terminating("web", FIXED)
        it.hold(FIRST)
        assert it.tokens() == {"drain": FIRST, "theirs": own["theirs"]}


@pytest.mark.parametrize(
    "changes",
    [
        {"LifecycleHookName": "nobody"},
        {"LifecycleHookName": "check"},
        {"AutoScalingGroupName": "nobody"},
        {"EC2InstanceId": UNKNOWN},
        {"LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING"},
        {"Origin": "WarmPool"},
        {"Destination": "WarmPool"},
        {"Destination": "AutoScalingGroup"},
        {"LifecycleActionToken": ""},
        {"LifecycleActionToken": None},
        {"EC2InstanceId": [FIXED]},
    ],
    ids=str,
)
def test_a_lifecycle_event_that_is_not_about_this_account_changes_nothing(changes: dict[str, Any]) -> None:
    """Another hook, group or instance, another kind of move, or a field that is none."""
    with story() as it:
        before = it.everything()
        it.hold(**changes)
        assert it.everything() == before


def test_only_a_member_in_service_begins_to_end_with_the_event() -> None:
    """One on standby, and one still on its way in, stay as they are."""
    with story() as it:
        it.autoscaling.enter_standby(AutoScalingGroupName="web", InstanceIds=[FIXED], ShouldDecrementDesiredCapacity=False)
        it.account.settle(5)
        coming = next(i for i, m in ((i, it.member(i)) for i in it.account.ec2.ids) if m == "Pending")
        it.hold()
        it.hold(EC2InstanceId=coming)
        assert (it.member(), it.member(coming), it.tokens()) == ("Standby", "Pending", {})


@pytest.mark.parametrize("state", ["terminated", "stopped"])
def test_a_host_that_ends_without_a_word_leaves_a_ghost(state: str) -> None:
    """EC2 has the state; ECS lists it as before, with its task, and no connection. The group replaces it as it does any other."""
    with story(hooks=[]) as it:
        it.turn(state)
        assert (it.state(), it.registered()) == (state, ("ACTIVE", False, 1))
        assert it.member() == "InService"
        it.account.settle(150)
        assert it.member() is None
        assert it.registered() == ("ACTIVE", False, 1)
        group = it.autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"][0]
        assert [i["LifecycleState"] for i in group["Instances"]] == ["InService"] * 3


@pytest.mark.parametrize(("state", "code"), [("stopping", 64), ("shutting-down", 32)])
def test_a_host_on_its_way_down_is_still_connected(state: str, code: int) -> None:
    """EC2 shows the state, its filter finds it, and ECS knows the agent."""
    with story() as it:
        it.turn(state)
        assert it.registered() == ("ACTIVE", True, 1)
        filters = [{"Name": "instance-state-name", "Values": [state]}]
        hosts = [i for r in it.account.client("ec2").describe_instances(Filters=filters)["Reservations"] for i in r["Instances"]]
        assert [(h["InstanceId"], h["State"]["Name"], h["State"]["Code"]) for h in hosts] == [(FIXED, state, code)]


def test_a_state_that_is_behind_the_present_one_changes_nothing() -> None:
    """Events may come late: what has stopped is not stopping again, and a host that left in good order does not become a ghost."""
    with story() as it:
        it.turn("stopped")
        it.turn("stopping")
        it.turn("running")
        assert it.state() == "stopped"
        it.account.client("ec2").terminate_instances(InstanceIds=[OTHER])
        assert it.registered(OTHER) is None
        it.turn("terminated", OTHER)
        it.turn("stopped", OTHER)
        assert (it.state(OTHER), it.registered(OTHER)) == ("terminated", None)


def raw(kind: tuple[object, object], detail: object, time: object = "2020-01-01T00:00:00Z") -> dict[str, Any]:
    """An event with whatever in its fields."""
    return {"source": kind[0], "detail-type": kind[1], "time": time, "detail": detail}


REAL = {"instance-id": FIXED, "instance-action": "terminate"}


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"source": SPOT[0], "detail-type": SPOT[1]},
        raw(SPOT, []),
        raw(({}, [SPOT[1]]), REAL),
        raw(("my.app", SPOT[1]), REAL),
        *(raw(SPOT, REAL, time) for time in (None, 7, "noon", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:00")),
        raw(SPOT, {"instance-id": FIXED}),
        raw(SPOT, REAL | {"instance-id": UNKNOWN}),
        raw(STATE, {"instance-id": FIXED, "state": "asleep"}),
        raw(STATE, {"instance-id": UNKNOWN, "state": "terminated"}),
        raw(STATE, {"instance-id": {}, "state": ["terminated"]}),
        raw(HOOK, {"EC2InstanceId": FIXED}),
        raw(("aws.ec2", "EC2 Instance Rebalance Recommendation"), {"instance-id": FIXED}),
        raw(("aws.health", "AWS Health Event"), {"affectedEntities": [{"entityValue": FIXED}]}),
        raw(("aws.events", "Scheduled Event"), {}),
    ],
    ids=lambda event: str(event.get("detail-type"))[:30],
)
def test_other_and_malformed_events_change_nothing_and_raise_nothing(event: dict[str, Any]) -> None:
    """Neither at once nor in the next five minutes."""
    ecs = RecordingEcs()
    with Account(one_group(), ecs) as account:
        account.happen(event)
        account.settle(300)
        assert (account.ec2.ended, ecs.gone, ecs.disconnected, ecs.drained) == ({}, [], [], [])
        assert not account.groups.life("web").actions.in_progress


def test_vanish_makes_a_ghost() -> None:
    """EC2 has terminated it, ECS has not heard; once only, and only of what there is."""
    with story() as it:
        assert it.account.vanish(FIXED)
        assert (it.state(), it.registered()) == ("terminated", ("ACTIVE", False, 1))
        assert not it.account.vanish(FIXED)
        assert not it.account.vanish(UNKNOWN)


def test_terminating_gives_the_tokens_of_the_hooks() -> None:
    """By hook name, those on the way out only; asked again they are the same. Only a member can be terminated by its group."""
    with story() as it:
        tokens = it.account.terminating("web", FIXED)
        assert tokens == it.tokens()
        assert set(tokens) == {"drain", "theirs"}
        it.account.settle(10)
        assert it.account.terminating("web", FIXED) == tokens
        for group, instance_id in (("web", UNKNOWN), ("nobody", FIXED)):
            with pytest.raises(LookupError, match="is no member of the group"):
                it.account.terminating(group, instance_id)
