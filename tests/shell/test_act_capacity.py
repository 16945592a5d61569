"""The writes that size a group, and Bulwark's own alarms: what is sent, what is an error, what is none."""

from typing import Any

import pytest

from bulwark.core.capacity_alarms import Alarm
from bulwark.core.plan import Plan, PutAlarm, RemoveAlarm, SetDesiredCapacity
from bulwark.core.policies import Mode
from bulwark.shell import translate_capacity as translate
from bulwark.shell.act import act
from bulwark.shell.act_capacity import perform
from bulwark.shell.ledger import Ledger
from tests.builders import NOW
from tests.fakes import FakeAws, FakeCalls, an_error

RESIZE = SetDesiredCapacity("orders-spot", 5, 3, "x")
PUT = PutAlarm("bulwark/orders/CPUReservation", "orders", "CPUReservation", 90, "x")
REMOVE = RemoveAlarm("bulwark/orders/CPUReservation", "x")


class Group(FakeCalls):
    """Auto Scaling with the one group, and what it is asked for just now."""

    def __init__(self, desired: int = 3, **answers: list[Any]) -> None:
        super().__init__(**answers)
        self.desired = desired

    def describe_auto_scaling_groups(self, **params: Any) -> dict[str, Any]:
        """As it is now."""
        self.calls.append(("describe_auto_scaling_groups", params))
        described = {"AutoScalingGroupName": "orders-spot", "MinSize": 0, "DesiredCapacity": self.desired, "MaxSize": 20}
        return {"AutoScalingGroups": [described | {"Instances": [], "Tags": []}]}

    def set_desired_capacity(self, **params: Any) -> None:
        """Within whatever bounds."""
        self.calls.append(("set_desired_capacity", params))
        if self.answers.get("set_desired_capacity"):
            raise self.answers["set_desired_capacity"].pop(0)
        self.desired = params["DesiredCapacity"]


def an_aws(group: Group | None = None, **cloudwatch: list[Any]) -> FakeAws:
    """An account with the group, and CloudWatch."""
    aws = FakeAws(autoscaling=group or Group())
    aws.cloudwatch = FakeCalls(**cloudwatch)  # type: ignore[assignment]
    return aws


def calls(client: Any, operation: str) -> list[dict[str, Any]]:
    """The parameters of each call of one operation."""
    return [params for name, params in client.calls if name == operation]


def test_desired_is_set_once_and_at_once() -> None:
    """Not while honouring a cooldown, and neither minimum nor maximum is written."""
    aws = an_aws()

    assert perform(aws, RESIZE) is None
    wanted = {"AutoScalingGroupName": "orders-spot", "DesiredCapacity": 5, "HonorCooldown": False}
    assert [wanted] == calls(aws.autoscaling, "set_desired_capacity")


def test_T8_what_somebody_raised_meanwhile_is_not_lowered() -> None:
    """Hazard T8: decided on three, and eight are asked for by now: five would end instances with work on them."""
    group = Group(desired=8)
    perform(an_aws(group), RESIZE)

    assert 8 == group.desired


def test_a_desired_that_is_still_as_it_was_is_raised() -> None:
    """Decided on three, and three it is."""
    group = Group(desired=3)

    assert perform(an_aws(group), RESIZE) is None
    assert 5 == group.desired


@pytest.mark.parametrize("code", ["ValidationError", "ResourceContention", "ScalingActivityInProgress", "AccessDenied"])
def test_what_auto_scaling_refuses_is_an_error(code: str) -> None:
    """The sweep decides anew in a minute."""
    group = Group(set_desired_capacity=[an_error(code, "SetDesiredCapacity")])

    assert code in (perform(an_aws(group), RESIZE) or "")


def test_an_alarm_wakes_and_does_nothing_else() -> None:
    """On the cluster's metric, tagged with the cluster; missing data is missing, and not zero."""
    aws = an_aws()

    assert perform(aws, PUT) is None
    (sent,) = calls(aws.cloudwatch, "put_metric_alarm")
    assert ("AWS/ECS", "CPUReservation", 90, 60, 1) == (
        sent["Namespace"], sent["MetricName"], sent["Threshold"], sent["Period"], sent["EvaluationPeriods"],
    )  # fmt: skip
    assert [{"Name": "ClusterName", "Value": "orders"}] == sent["Dimensions"]
    assert [{"Key": "bulwark:cluster", "Value": "orders"}] == sent["Tags"]
    assert (False, "missing") == (sent["ActionsEnabled"], sent["TreatMissingData"])


@pytest.mark.parametrize("code", ["ResourceNotFound", "ResourceNotFoundException"])
def test_an_alarm_that_is_gone_is_removed(code: str) -> None:
    """That is what was wanted."""
    assert perform(an_aws(delete_alarms=[an_error(code, "DeleteAlarms")]), REMOVE) is None


def test_only_the_alarm_that_is_named_is_deleted() -> None:
    """By its whole name."""
    aws = an_aws()

    assert perform(aws, REMOVE) is None
    assert [{"AlarmNames": [REMOVE.target]}] == calls(aws.cloudwatch, "delete_alarms")


@pytest.mark.parametrize("action", [PUT, REMOVE])
def test_what_cloudwatch_refuses_is_an_error(action: PutAlarm | RemoveAlarm) -> None:
    """Throttled: the next look is in ten minutes."""
    aws = an_aws(put_metric_alarm=[an_error()], delete_alarms=[an_error()])

    assert "ThrottlingException" in (perform(aws, action) or "")


@pytest.mark.parametrize(("mode", "status", "made"), [("observe", "skipped", 0), ("act", "done", 3)])
def test_in_observe_mode_none_is_performed(mode: Mode, status: str, made: int) -> None:
    """Rule 9: of all three kinds."""
    aws = an_aws()
    outcomes = act(aws, Plan((RESIZE, PUT, REMOVE)), mode, Ledger(aws, "bulwark"), NOW)

    assert [status] * 3 == [o.status for o in outcomes]
    assert made == len(calls(aws.autoscaling, "set_desired_capacity")) + len(aws.cloudwatch.calls)  # type: ignore[attr-defined]


def test_one_that_fails_takes_no_other_with_it() -> None:
    """Hazard T6: the group is refused, the alarms are put and removed."""
    aws = an_aws(Group(set_desired_capacity=[an_error()]))

    assert ["failed", "done", "done"] == [o.status for o in act(aws, Plan((RESIZE, PUT, REMOVE)), "act", Ledger(aws, "bulwark"), NOW)]


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        ({"Dimensions": [{"Name": "ClusterName", "Value": "orders"}]}, "orders"),
        ({"Dimensions": [{"Name": "ServiceName", "Value": "x"}]}, "billing"),
        ({}, "billing"),
    ],
)
def test_an_alarms_cluster_is_its_dimension_or_its_name(described: dict[str, Any], expected: str) -> None:
    """Of one without, the name says for whom it was made."""
    found = translate.alarm({"AlarmName": "bulwark/billing/CPUReservation", "MetricName": "CPUReservation", "Threshold": 90.0} | described)

    assert Alarm("bulwark/billing/CPUReservation", expected, "CPUReservation", 90) == found


@pytest.mark.parametrize(
    ("status", "description", "expected"),
    [
        ("Failed", "Launching a new EC2 instance.  Status Reason: x", True),
        ("Cancelled", "Launching a new EC2 instance", True),
        ("Successful", "Launching a new EC2 instance: i-1", False),
        ("InProgress", "Launching a new EC2 instance: i-1", None),
        ("Failed", "Terminating EC2 instance: i-1", None),
    ],
)
def test_activities_that_launch_and_are_over(status: str, description: str, expected: bool | None) -> None:
    """Failed or not; of others nothing is said."""
    found = translate.activity({"StatusCode": status, "Description": description, "StartTime": NOW, "StatusMessage": "m"})

    assert expected == (found.failed if found else None)
