"""Groups with a mixed-instances policy: desired capacity in units, types by weight or in turn, and members that are kept."""

from typing import Any

import pytest

from tests.workbench.test_autoscaling import FIXED, GROUP, Groups, open_group

WEIGHTED = [{"type": "m5.large", "weight": 1}, {"type": "m5.xlarge", "weight": 2}]


def mixed(**fields: Any) -> Any:
    """An open account whose group may launch both types."""
    return open_group(**({"types": WEIGHTED, "pick": "in-turn", "max": 12} | fields))


def members(groups: Groups) -> list[tuple[str, str | None]]:
    """Type and weight of each member, in the order of the answer."""
    return [(i["InstanceType"], i.get("WeightedCapacity")) for i in groups.describe()["Instances"]]


@pytest.mark.parametrize(("market", "on_demand"), [("spot", 0), ("on-demand", 100)])
def test_a_mixed_group_says_what_it_may_launch(market: str, on_demand: int) -> None:
    """Overrides with weights as text, a distribution that fits the market, no launch template beside the policy; zones as always."""
    with mixed(market=market) as groups:
        group = groups.describe()
        policy = group["MixedInstancesPolicy"]
        overrides = [{"InstanceType": "m5.large", "WeightedCapacity": "1"}, {"InstanceType": "m5.xlarge", "WeightedCapacity": "2"}]
        assert policy["LaunchTemplate"]["Overrides"] == overrides
        assert policy["InstancesDistribution"]["OnDemandPercentageAboveBaseCapacity"] == on_demand
        assert "LaunchTemplate" not in group
        assert group["AvailabilityZones"] == ["us-east-1a", "us-east-1b", "us-east-1c"]
        named = policy["LaunchTemplate"]["LaunchTemplateSpecification"]
        versions = groups.account.client("ec2").describe_launch_template_versions(
            LaunchTemplateId=named["LaunchTemplateId"], Versions=[named["Version"]]
        )
        assert "InstanceMarketOptions" not in versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]


def test_a_plain_group_names_its_type_in_its_launch_template() -> None:
    """No policy and no weights: the template, asked for by the group's own id and version, tells the instance type and the market."""
    with open_group(instance_type="m6g.large") as groups:
        group = groups.describe()
        assert "MixedInstancesPolicy" not in group
        assert members(groups) == [("m6g.large", None)] * 3
        template = group["LaunchTemplate"]
        answer = groups.account.client("ec2").describe_launch_template_versions(
            LaunchTemplateId=template["LaunchTemplateId"], Versions=[template["Version"]]
        )
        data = answer["LaunchTemplateVersions"][0]["LaunchTemplateData"]
        assert (data["InstanceType"], data["InstanceMarketOptions"]["MarketType"]) == ("m6g.large", "spot")


def test_types_without_weights_count_for_one_each() -> None:
    """The first is launched by default; overrides and members have no weight."""
    with open_group(types=[{"type": "m5.xlarge"}, {"type": "m6g.large"}]) as groups:
        overrides = groups.describe()["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"]
        assert overrides == [{"InstanceType": "m5.xlarge"}, {"InstanceType": "m6g.large"}]
        assert members(groups) == [("m5.xlarge", None)] * 3


def test_launches_go_on_until_the_weights_reach_what_is_desired() -> None:
    """In turn: one unit, two units and so on; the last launch may pass the mark by less than its weight."""
    with mixed(desired=3) as groups:
        assert members(groups) == [("m5.large", "1"), ("m5.xlarge", "2")]
        groups.api.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=8)
        groups.account.settle(300)
        assert members(groups)[2:] == [("m5.large", "1"), ("m5.xlarge", "2"), ("m5.large", "1"), ("m5.xlarge", "2")]
        assert groups.count() == {"InService": 6}
        by_id = groups.api.describe_auto_scaling_instances(InstanceIds=[FIXED])["AutoScalingInstances"][0]
        assert (by_id["InstanceType"], by_id["WeightedCapacity"]) == ("m5.large", "1")


def test_the_first_type_is_launched_unless_they_come_in_turn() -> None:
    """And each with the image of its own architecture."""
    types = [{"type": "m6g.large", "weight": 1}, {"type": "m5.large", "weight": 1}]
    for pick, wanted in (("first", {"m6g.large": 2}), ("in-turn", {"m6g.large": 1, "m5.large": 1})):
        with open_group(types=types, pick=pick, desired=2) as groups:
            hosts = [i for r in groups.account.client("ec2").describe_instances()["Reservations"] for i in r["Instances"]]
            found = [h["InstanceType"] for h in hosts]
            assert {name: found.count(name) for name in found} == wanted
            assert len({h["ImageId"] for h in hosts}) == len(wanted)
            assert {h["Architecture"] for h in hosts if h["InstanceType"] == "m6g.large"} == {"arm64"}


def test_scale_in_leaves_what_counts_for_more_than_the_surplus() -> None:
    """Three units over two instances, two desired: the one of one unit goes. With one unit too many left the larger one stays."""
    with mixed(desired=3, min=0) as groups:
        groups.api.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=2)
        groups.account.settle(60)
        assert members(groups) == [("m5.xlarge", "2")]
        groups.api.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=1)
        groups.account.settle(300)
        assert members(groups) == [("m5.xlarge", "2")]
        groups.api.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=0)
        groups.account.settle(60)
        assert members(groups) == []


def test_a_member_that_goes_takes_its_weight_from_desired() -> None:
    """Terminating with decrement lowers desired by the weight; one that would pass the minimum is refused, as is detaching it."""
    with mixed(desired=6, min=4) as groups:
        assert members(groups) == [("m5.large", "1"), ("m5.xlarge", "2"), ("m5.large", "1"), ("m5.xlarge", "2")]
        heavy = [i["InstanceId"] for i in groups.describe()["Instances"] if i["InstanceType"] == "m5.xlarge"]
        groups.api.terminate_instance_in_auto_scaling_group(InstanceId=heavy[0], ShouldDecrementDesiredCapacity=True)
        groups.account.settle(60)
        assert (groups.describe()["DesiredCapacity"], len(members(groups))) == (4, 3)
        request = {"InstanceId": heavy[1], "ShouldDecrementDesiredCapacity": True}
        assert "min size" in groups.refusal("terminate_instance_in_auto_scaling_group", **request)
        request = {"AutoScalingGroupName": GROUP, "InstanceIds": [FIXED], "ShouldDecrementDesiredCapacity": True}
        assert "min-size=4" in groups.refusal("detach_instances", **request)


def test_standby_counts_by_weight_both_ways() -> None:
    """EnterStandby with decrement takes the weight from desired; ExitStandby gives it back."""
    with mixed(desired=3) as groups:
        heavy = [i["InstanceId"] for i in groups.describe()["Instances"] if i["InstanceType"] == "m5.xlarge"]
        groups.api.enter_standby(AutoScalingGroupName=GROUP, InstanceIds=heavy, ShouldDecrementDesiredCapacity=True)
        assert groups.describe()["DesiredCapacity"] == 1
        groups.api.exit_standby(AutoScalingGroupName=GROUP, InstanceIds=heavy)
        assert groups.describe()["DesiredCapacity"] == 3


def test_a_replacement_takes_the_next_turn() -> None:
    """Terminated without decrement, the units are made up for; where the turn begins is after the last launch."""
    with mixed(desired=3) as groups:
        heavy = next(i["InstanceId"] for i in groups.describe()["Instances"] if i["InstanceType"] == "m5.xlarge")
        groups.api.terminate_instance_in_auto_scaling_group(InstanceId=heavy, ShouldDecrementDesiredCapacity=False)
        groups.account.settle(90)
        assert members(groups) == [("m5.large", "1"), ("m5.large", "1"), ("m5.xlarge", "2")]
