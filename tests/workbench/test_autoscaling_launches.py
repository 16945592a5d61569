"""Launches that fail for want of capacity: what the group has on record, in AWS's words, and when they succeed again."""

from datetime import timedelta
from itertools import pairwise

import pytest

from tests.workbench.ecs_halves import RecordingEcs
from tests.workbench.test_autoscaling import GROUP, open_group
from workbench.sandbox import Account
from workbench.sandbox.scenario import read_scenario


@pytest.mark.parametrize(
    ("market", "text"),
    [
        ("spot", "There is no Spot capacity available that matches your request"),
        ("on-demand", "We currently do not have sufficient m5.large capacity in the Availability Zone you requested (us-east-1a)"),
    ],
)
def test_every_try_is_on_record_with_its_times(market: str, text: str) -> None:
    """One Failed activity a minute, newest first, with start, end and AWS's own text; desired stays as it was asked for."""
    with open_group(market=market, launch="no-capacity") as groups:
        groups.api.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=5)
        groups.account.settle(150)
        records = groups.activities()
        assert [r["StatusCode"] for r in records] == ["Failed"] * 3
        for record in records:
            assert text in record["StatusMessage"]
            assert text in record["Description"]
            assert record["StartTime"] <= record["EndTime"] <= groups.account.now
            assert "increasing the capacity from 3 to 5" in record["Cause"]
        assert [a["StartTime"] - b["StartTime"] for a, b in pairwise(records)] == [timedelta(seconds=60)] * 2
        assert (groups.describe()["DesiredCapacity"], groups.count()) == (5, {"InService": 3})


def test_activities_are_paged_and_filtered() -> None:
    """MaxRecords and the paginator; by status and by time of start. A filter that there is none of is refused."""
    with open_group(launch="no-capacity") as groups:
        groups.api.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=5)
        groups.account.settle(600)
        begun = [r["StartTime"] for r in groups.activities()]
        assert len(begun) == 10
        first = groups.api.describe_scaling_activities(AutoScalingGroupName=GROUP, MaxRecords=4)
        assert [r["StartTime"] for r in first["Activities"]] == begun[:4]
        pages = groups.api.get_paginator("describe_scaling_activities").paginate(
            AutoScalingGroupName=GROUP, PaginationConfig={"PageSize": 4}
        )
        assert [r["StartTime"] for page in pages for r in page["Activities"]] == begun
        bound = [{"Name": "StartTimeLowerBound", "Values": [begun[2].isoformat()]}, {"Name": "Status", "Values": ["Failed"]}]
        found = groups.api.describe_scaling_activities(AutoScalingGroupName=GROUP, Filters=bound)["Activities"]
        assert [r["StartTime"] for r in found] == begun[:3]
        upper = [{"Name": "StartTimeUpperBound", "Values": [f"{begun[-1]:%Y-%m-%dT%H:%M:%SZ}"]}]
        assert len(groups.api.describe_scaling_activities(AutoScalingGroupName=GROUP, Filters=upper)["Activities"]) == 1
        none = [{"Name": "Status", "Values": ["Successful"]}]
        assert groups.api.describe_scaling_activities(AutoScalingGroupName=GROUP, Filters=none)["Activities"] == []
        request = {"AutoScalingGroupName": GROUP, "Filters": [{"Name": "State", "Values": ["Failed"]}]}
        assert "Filter type State" in groups.refusal("describe_scaling_activities", **request)
        request = {"AutoScalingGroupName": GROUP, "Filters": [{"Name": "StartTimeLowerBound", "Values": ["soon"]}]}
        assert "timestamp" in groups.refusal("describe_scaling_activities", **request)


def test_launches_succeed_again_so_long_after_the_start() -> None:
    """Five minutes into the story capacity is back: what was desired all along is launched at the next try."""
    with open_group(launch="no-capacity", recovers=300) as groups:
        groups.api.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=5)
        groups.account.settle(295)
        assert groups.count() == {"InService": 3}
        groups.account.settle(90)
        assert groups.count() == {"InService": 5}
        assert [r["StatusCode"] for r in groups.activities()][:3] == ["Successful", "Successful", "Failed"]


def test_the_time_of_recovery_counts_from_the_scenarios_own_start() -> None:
    """Another start, the same seconds. A group that never registered anything recovers as well."""
    group = {"name": GROUP, "desired": 0, "max": 5, "launch": "never-registers", "launch_delay": 20, "recovers": 60}
    scenario = read_scenario({"start": "2026-01-01T00:00:00Z", "clusters": [{"name": "orders", "groups": [group]}]}, "test")
    ecs = RecordingEcs()
    with Account(scenario, ecs) as account:
        client = account.client("autoscaling")
        client.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=1)
        account.settle(55)
        assert ecs.registered == []
        account.settle(10)
        client.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=2)
        account.settle(30)
        assert len(ecs.registered) == 1


def test_a_member_that_is_protected_in_the_scenario_is_not_scaled_in() -> None:
    """ProtectedFromScaleIn shows on it alone, and a scale-in takes the others."""
    instances = [{"id": "i-0aaa0000000000001", "group": GROUP, "scale_in_protected": True}]
    group = {"name": GROUP, "min": 0, "desired": 3, "max": 5}
    with Account(read_scenario({"clusters": [{"groups": [group], "instances": instances}]}, "test"), RecordingEcs()) as account:
        client = account.client("autoscaling")
        shown = client.describe_auto_scaling_groups()["AutoScalingGroups"][0]["Instances"]
        assert {i["InstanceId"] for i in shown if i["ProtectedFromScaleIn"]} == {"i-0aaa0000000000001"}
        by_id = client.describe_auto_scaling_instances(InstanceIds=["i-0aaa0000000000001"])["AutoScalingInstances"][0]
        assert by_id["ProtectedFromScaleIn"]
        client.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=0)
        account.settle(60)
        shown = client.describe_auto_scaling_groups()["AutoScalingGroups"][0]["Instances"]
        assert [i["InstanceId"] for i in shown] == ["i-0aaa0000000000001"]
