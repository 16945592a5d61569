"""Tags of Auto Scaling groups, how groups are found by them, and what else a scenario's group may say about itself."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.workbench.test_autoscaling import FIXED, GROUP, Groups, open_group


def tags(groups: Groups) -> dict[str, tuple[str, bool]]:
    """The group's tags: value, and whether instances get it."""
    return {tag["Key"]: (tag["Value"], tag["PropagateAtLaunch"]) for tag in groups.describe()["Tags"]}


def tag(key: str, value: str | None = None, group: str = GROUP) -> dict[str, Any]:
    """A tag of a group, as the calls take it."""
    named = {"ResourceId": group, "ResourceType": "auto-scaling-group", "Key": key, "PropagateAtLaunch": False}
    return named if value is None else named | {"Value": value}


def found(groups: Groups, *filters: tuple[str, list[str]]) -> list[str]:
    """The groups that pass the filters."""
    asked = [{"Name": name, "Values": values} for name, values in filters]
    return [g["AutoScalingGroupName"] for g in groups.api.describe_auto_scaling_groups(Filters=asked)["AutoScalingGroups"]]


def test_a_scenarios_tags_are_the_groups_alone() -> None:
    """They show on the group and not on its instances, those of later launches included."""
    with open_group(tags={"team": "orders", "bulwark:hook": "own"}, desired=1) as groups:
        assert tags(groups) == {
            "Name": (GROUP, True),
            "bulwark:cluster": ("orders", True),
            "team": ("orders", False),
            "bulwark:hook": ("own", False),
        }
        groups.api.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=2)
        groups.account.settle(30)
        hosts = groups.account.client("ec2").describe_instances(InstanceIds=list(groups.states()))["Reservations"]
        keys = [{t["Key"] for t in i["Tags"]} for r in hosts for i in r["Instances"]]
        assert keys == [{"Name", "bulwark:cluster", "aws:autoscaling:groupName"}] * 2


@pytest.mark.parametrize("rebalances", [True, False])
def test_a_group_says_whether_it_rebalances_its_capacity(*, rebalances: bool) -> None:
    """CapacityRebalance is what the scenario says, and what an update makes of it."""
    with open_group(**({"capacity_rebalance": True} if rebalances else {})) as groups:
        assert groups.describe()["CapacityRebalance"] is rebalances
        groups.api.update_auto_scaling_group(AutoScalingGroupName=GROUP, CapacityRebalance=not rebalances)
        assert groups.describe()["CapacityRebalance"] is not rebalances


def test_tags_are_put_changed_and_deleted_by_key() -> None:
    """Forty beside the group's own; a tag without a value has an empty one; deleting what is not there is no error."""
    with open_group() as groups:
        groups.api.create_or_update_tags(Tags=[tag(f"key-{n}", "one") for n in range(40)])
        groups.api.create_or_update_tags(Tags=[tag("key-7", "two"), tag("empty")])
        held = tags(groups)
        assert (len(held), held["key-7"], held["key-8"], held["empty"]) == (43, ("two", False), ("one", False), ("", False))
        groups.api.delete_tags(Tags=[tag("key-7"), tag("nobody")])
        assert "key-7" not in tags(groups)
        assert len(tags(groups)) == 42


def test_groups_are_found_by_tag_and_by_key() -> None:
    """tag:NAME with any of several values, tag-key with any of several keys; several filters all have to pass."""
    with open_group(tags={"team": "web", "empty": ""}) as groups:
        template = {"LaunchTemplateName": "web-template", "Version": "$Default"}
        sizes = {"MinSize": 0, "MaxSize": 0, "AvailabilityZones": ["us-east-1a"], "LaunchTemplate": template}
        groups.api.create_auto_scaling_group(AutoScalingGroupName="bare", **sizes)
        groups.api.create_auto_scaling_group(AutoScalingGroupName="other", **sizes, Tags=[tag("team", "other", "other")])
        groups.api.create_or_update_tags(Tags=[tag("valueless", group="bare")])
        assert found(groups, ("tag:team", ["other", "nobody"])) == ["other"]
        assert found(groups, ("tag:team", ["other", "web"])) == [GROUP, "other"]
        assert found(groups, ("tag-key", ["valueless", "team"])) == [GROUP, "bare", "other"]
        assert found(groups, ("tag-key", ["team"]), ("tag:empty", [""])) == [GROUP]
        assert found(groups, ("tag:bulwark:cluster", ["orders"]), ("tag:team", ["other"])) == []
        assert "tag-keys" in groups.refusal("describe_auto_scaling_groups", Filters=[{"Name": "tag-keys", "Values": ["team"]}])


def test_tags_that_aws_would_not_take_are_refused_whole() -> None:
    """An unknown group, one of AWS's own keys, a key or value too long, and a fifty-first: none of the call's tags is put."""
    with open_group() as groups:
        before = tags(groups)
        good = tag("good", "one")
        assert groups.refusal("create_or_update_tags", Tags=[good, tag("a", "b", "nobody")]).startswith("AutoScalingGroup name not found")
        assert groups.refusal("delete_tags", Tags=[tag("Name"), tag("a", group="nobody")]).startswith("AutoScalingGroup name not found")
        for wrong in (tag("aws:mine", "x"), tag("v", "x" * 257)):
            assert groups.refusal("create_or_update_tags", Tags=[good, wrong])
        with pytest.raises(ClientError, match="LimitExceeded"):
            groups.api.create_or_update_tags(Tags=[tag(f"key-{n}", "one") for n in range(49)])
        assert tags(groups) == before


def test_only_a_member_is_terminated_through_its_group() -> None:
    """Not what was detached, and not by the name of another group; one that is named twice goes once."""
    with open_group(hooks=[{"name": "drain"}]) as groups:
        one, other = [i for i in groups.states() if i != FIXED]
        groups.api.detach_instances(AutoScalingGroupName=GROUP, InstanceIds=[other], ShouldDecrementDesiredCapacity=True)
        groups.account.settle(5)
        end = {"ShouldDecrementDesiredCapacity": False}
        call = "terminate_instance_in_auto_scaling_group"
        assert (
            groups.refusal(call, InstanceId=other, **end) == f"Instance Id not found - No managed instance found for instance ID: {other}"
        )
        message = groups.refusal(call, InstanceIds=[FIXED], AutoScalingGroupName="nobody", **end)
        assert message == f"The instance {FIXED} is not part of Auto Scaling group nobody."
        assert groups.states() == {FIXED: "InService", one: "InService"}
        answer = groups.api.terminate_instance_in_auto_scaling_group(InstanceIds=[FIXED, FIXED], AutoScalingGroupName=GROUP, **end)
        assert [a["Description"] for a in answer["Activities"]] == [f"Terminating EC2 instance: {FIXED}"]
        assert groups.states()[FIXED] == "Terminating:Wait"
