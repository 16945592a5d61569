"""An event that tells of a failed launch is true of the account: the activity is on record, and capacity stays away."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.workbench.test_autoscaling import GROUP, Groups, open_group

SENT = Path(__file__).parents[2] / "events" / "launch_unsuccessful.json"


def failed(groups: Groups, *, at: str | None = None, **detail: Any) -> dict[str, Any]:
    """The sample event about the group, sent now unless ``at`` says otherwise."""
    event: dict[str, Any] = json.loads(SENT.read_text(encoding="utf-8"))
    event["time"] = at or f"{groups.account.now:%Y-%m-%dT%H:%M:%SZ}"
    event["detail"] |= {"AutoScalingGroupName": GROUP} | detail
    return event


def test_the_failure_is_on_record_once_and_launches_fail_from_then_on() -> None:
    """The event sent twice is one activity, with its id, text and duration; what is asked for next finds no capacity either."""
    with open_group(market="spot") as groups:
        event = failed(groups)
        groups.account.happen(event)
        groups.account.happen(event)
        records = groups.activities()
        assert [(r["ActivityId"], r["StatusCode"]) for r in records] == [(event["detail"]["ActivityId"], "Failed")]
        assert records[0]["StatusMessage"] == event["detail"]["StatusMessage"][:255]
        assert (records[0]["Description"], records[0]["Cause"]) == (event["detail"]["Description"], event["detail"]["Cause"])
        assert json.loads(records[0]["Details"]) == event["detail"]["Details"]
        assert records[0]["EndTime"] == groups.account.now
        assert 1 < (records[0]["EndTime"] - records[0]["StartTime"]).total_seconds() < 2
        groups.api.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=5)
        groups.account.settle(120)
        assert groups.count() == {"InService": 3}
        assert "no Spot capacity" in groups.activities()[0]["StatusMessage"]


def test_another_failure_is_on_record_and_keeps_nothing_from_launching() -> None:
    """A key that is missing is no want of capacity."""
    with open_group() as groups:
        groups.account.happen(failed(groups, StatusMessage="The key pair 'ops' does not exist. Launching EC2 instance failed."))
        assert "key pair" in groups.activities()[0]["StatusMessage"]
        groups.api.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=5)
        groups.account.settle(60)
        assert groups.count() == {"InService": 5}


def test_capacity_comes_back_when_the_scenario_says_so_unless_it_failed_after_that() -> None:
    """``recovers`` ends what an event began, and an event later than that begins anew."""
    with open_group(recovers=300) as groups:
        groups.account.happen(failed(groups))
        groups.api.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=4)
        groups.account.settle(290)
        assert groups.count() == {"InService": 3}
        groups.account.settle(110)
        assert groups.count() == {"InService": 4}
        groups.account.happen(failed(groups, ActivityId="9a8b7c6d-5e4f-4a3b-9c2d-1e0f9a8b7c6e"))
        groups.api.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=5)
        groups.account.settle(120)
        assert groups.count() == {"InService": 4}


@pytest.mark.parametrize(
    "detail",
    [{"AutoScalingGroupName": "other"}, {"AutoScalingGroupName": 3}, {"StatusMessage": None}, {"ActivityId": ""}],
)
def test_an_event_about_nothing_the_account_has_changes_nothing(detail: dict[str, Any]) -> None:
    """An unknown group, a malformed name, no text or no activity: no record, and launches go on."""
    with open_group() as groups:
        groups.account.happen(failed(groups, **detail))
        assert groups.activities() == []
        groups.api.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=4)
        groups.account.settle(60)
        assert groups.count() == {"InService": 4}


def test_times_that_make_no_sense_are_not_taken_over() -> None:
    """An activity that ends before it began, or says no times, took no time; one without a time of its own is of now."""
    with open_group() as groups:
        groups.account.happen(failed(groups, at="soon", StartTime="2026-11-24T12:00:01Z", EndTime="2026-11-24T12:00:00Z"))
        record = groups.activities()[0]
        assert record["StartTime"] == record["EndTime"] == groups.account.now
