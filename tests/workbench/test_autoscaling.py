"""Auto Scaling groups of the account in memory do what AWS's do: bounds, launches that take time, activities, refusals."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.workbench.ecs_halves import RecordingEcs, one_group
from workbench.sandbox import Account

FIXED = "i-0aaa0000000000001"
GROUP = "web"


class Groups:
    """The group ``web`` of an open account, as its tests look at it."""

    def __init__(self, account: Account, ecs: RecordingEcs) -> None:
        self.account = account
        self.ecs = ecs
        self.api = account.client("autoscaling")

    def describe(self) -> dict[str, Any]:
        """The group as DescribeAutoScalingGroups gives it."""
        group: dict[str, Any] = self.api.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])["AutoScalingGroups"][0]
        return group

    def states(self) -> dict[str, str]:
        """Lifecycle states by instance id."""
        return {i["InstanceId"]: i["LifecycleState"] for i in self.describe()["Instances"]}

    def count(self) -> Counter[str]:
        """How many members are in each lifecycle state."""
        return Counter(self.states().values())

    def activities(self) -> list[dict[str, Any]]:
        """The scaling activities, newest first."""
        records: list[dict[str, Any]] = self.api.describe_scaling_activities(AutoScalingGroupName=GROUP)["Activities"]
        return records

    def ec2_state(self, instance_id: str) -> str:
        """The instance's state in EC2."""
        answer = self.account.client("ec2").describe_instances(InstanceIds=[instance_id])
        state: str = answer["Reservations"][0]["Instances"][0]["State"]["Name"]
        return state

    def refusal(self, operation: str, **parameters: Any) -> str:
        """The message with which the group refuses a call, a ValidationError."""
        with pytest.raises(ClientError) as error:
            getattr(self.api, operation)(**parameters)
        assert error.value.response["Error"]["Code"] == "ValidationError"
        return error.value.response["Error"]["Message"]


@contextmanager
def open_group(**fields: Any) -> Iterator[Groups]:
    """An account with one group of these fields (1 to 5, desired 3, 20 s to launch), on a recording ECS half."""
    ecs = RecordingEcs()
    with Account(one_group(**fields), ecs) as account:
        yield Groups(account, ecs)


def test_a_group_starts_up_in_its_zones_with_its_tags() -> None:
    """The first instances are in service, one to a zone, of the real type, Spot where it says so, tagged with their cluster."""
    with open_group() as groups:
        answer = groups.account.client("ec2").describe_instances(Filters=[{"Name": "instance-id", "Values": sorted(groups.states())}])
        hosts = [i for r in answer["Reservations"] for i in r["Instances"]]
        assert sorted(h["Placement"]["AvailabilityZone"] for h in hosts) == ["us-east-1a", "us-east-1b", "us-east-1c"]
        assert {(h["InstanceType"], h["InstanceLifecycle"], h["State"]["Name"]) for h in hosts} == {("m5.large", "spot", "running")}
        for host in hosts:
            tags = {t["Key"]: t["Value"] for t in host["Tags"]}
            assert (tags["bulwark:cluster"], tags["aws:autoscaling:groupName"]) == ("orders", GROUP)
        assert FIXED in groups.ecs.registered
        assert len(groups.ecs.registered) == 3


def test_on_demand_and_foreign_groups_show_as_such() -> None:
    """An On-Demand instance has no InstanceLifecycle, and a group that did not opt in carries no cluster tag."""
    with open_group(market="on-demand", managed=False, instance_type="m6g.large") as groups:
        host = groups.account.client("ec2").describe_instances(InstanceIds=[FIXED])["Reservations"][0]["Instances"][0]
        assert "InstanceLifecycle" not in host
        assert host["Architecture"] == "arm64"
        assert "bulwark:cluster" not in {t["Key"] for t in host["Tags"]}


def test_a_launch_takes_its_time_and_then_registers() -> None:
    """Raising desired launches a Pending instance in the emptiest zone; after the delay it is in service and known to ECS."""
    with open_group() as groups:
        groups.api.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=4)
        assert groups.count() == {"InService": 3}
        groups.account.settle(5)
        assert groups.count() == {"InService": 3, "Pending": 1}
        assert len(groups.ecs.registered) == 3
        groups.account.settle(15)
        assert groups.count()["Pending"] == 1
        groups.account.settle(5)
        assert groups.count() == {"InService": 4}
        assert len(groups.ecs.registered) == 4
        newest = groups.activities()[0]
        assert newest["StatusCode"] == "Successful"
        assert "from 3 to 4" in newest["Cause"]


def test_desired_outside_the_bounds_is_refused() -> None:
    """SetDesiredCapacity outside min and max fails with AWS's texts and changes nothing."""
    with open_group() as groups:
        message = groups.refusal("set_desired_capacity", AutoScalingGroupName=GROUP, DesiredCapacity=6)
        assert message == "New SetDesiredCapacity value 6 is above max value 5 for the AutoScalingGroup."
        message = groups.refusal("set_desired_capacity", AutoScalingGroupName=GROUP, DesiredCapacity=0)
        assert message == "New SetDesiredCapacity value 0 is below min value 1 for the AutoScalingGroup."
        assert groups.describe()["DesiredCapacity"] == 3


def test_an_update_keeps_the_sizes_in_order() -> None:
    """UpdateAutoScalingGroup refuses sizes out of order; a bound that passes desired takes it along."""
    with open_group() as groups:
        assert "between" in groups.refusal("update_auto_scaling_group", AutoScalingGroupName=GROUP, DesiredCapacity=9)
        assert "Max bound, 1" in groups.refusal("update_auto_scaling_group", AutoScalingGroupName=GROUP, MinSize=2, MaxSize=1)
        groups.api.update_auto_scaling_group(AutoScalingGroupName=GROUP, MinSize=4)
        assert groups.describe()["DesiredCapacity"] == 4
        groups.account.settle(30)
        assert groups.count() == {"InService": 4}


def test_unknown_groups_and_instances_are_validation_errors() -> None:
    """A name or id nobody has is AWS's ValidationError, in every call that takes one."""
    with open_group() as groups:
        for operation, parameters in (
            ("set_desired_capacity", {"DesiredCapacity": 1}),
            ("update_auto_scaling_group", {}),
            ("detach_instances", {"InstanceIds": [FIXED], "ShouldDecrementDesiredCapacity": False}),
            ("suspend_processes", {}),
            ("describe_scaling_activities", {}),
            ("put_lifecycle_hook", {"LifecycleHookName": "drain"}),
        ):
            message = groups.refusal(operation, AutoScalingGroupName="nobody", **parameters)
            assert message.startswith("AutoScalingGroup name not found"), operation
        stranger = "i-0bbb0000000000001"
        end = {"InstanceId": stranger, "ShouldDecrementDesiredCapacity": False}
        assert stranger in groups.refusal("terminate_instance_in_auto_scaling_group", **end)
        assert stranger in groups.refusal("set_instance_health", InstanceId=stranger, HealthStatus="Unhealthy")


def test_detaching_keeps_the_instance_and_replaces_its_place() -> None:
    """Detached without decrement: the instance runs on, loses only the group's tag, and the group launches another at once."""
    with open_group() as groups:
        answer = groups.api.detach_instances(AutoScalingGroupName=GROUP, InstanceIds=[FIXED], ShouldDecrementDesiredCapacity=False)
        assert answer["Activities"][0]["Description"] == f"Detaching EC2 instance: {FIXED}"
        assert groups.states()[FIXED] == "Detaching"
        again = {"AutoScalingGroupName": GROUP, "InstanceIds": [FIXED], "ShouldDecrementDesiredCapacity": False}
        assert groups.refusal("detach_instances", **again) == f"The instance {FIXED} is not in InService or Standby."
        groups.account.settle(5)
        assert groups.count() == {"InService": 2, "Pending": 1}
        assert groups.refusal("detach_instances", **again) == f"The instance {FIXED} is not part of Auto Scaling group {GROUP}."
        host = groups.account.client("ec2").describe_instances(InstanceIds=[FIXED])["Reservations"][0]["Instances"][0]
        tags = {t["Key"] for t in host["Tags"]}
        assert host["State"]["Name"] == "running"
        assert "aws:autoscaling:groupName" not in tags
        assert "bulwark:cluster" in tags
        groups.account.settle(60)
        assert groups.count() == {"InService": 3}
        assert groups.ecs.gone == []


def test_detaching_works_at_the_maximum_and_with_decrement_not_below_the_minimum() -> None:
    """At max a detach without decrement still brings a replacement; with decrement the minimum holds."""
    with open_group(min=3, max=3) as groups:
        detach = {"AutoScalingGroupName": GROUP, "InstanceIds": [FIXED]}
        message = groups.refusal("detach_instances", **detach, ShouldDecrementDesiredCapacity=True)
        assert "min-size=3, max-size=3, and desired-size=3. To detach 1 instance" in message
        groups.api.detach_instances(**detach, ShouldDecrementDesiredCapacity=False)
        groups.account.settle(30)
        assert groups.count() == {"InService": 3}
        assert FIXED not in groups.states()


def test_more_than_twenty_instances_cannot_be_detached_at_once() -> None:
    """DetachInstances takes 20 ids; 21 are refused and nothing is detached."""
    with open_group(desired=25, max=25) as groups:
        ids = sorted(groups.states())
        parameters = {"AutoScalingGroupName": GROUP, "ShouldDecrementDesiredCapacity": False}
        assert "less than or equal to 20" in groups.refusal("detach_instances", InstanceIds=ids[:21], **parameters)
        assert groups.count() == {"InService": 25}
        groups.api.detach_instances(InstanceIds=ids[:20], **parameters)
        assert groups.count() == {"InService": 5, "Detaching": 20}


def test_terminating_through_the_group_replaces_or_shrinks() -> None:
    """Without decrement the instance is replaced; with it the group shrinks, though not below its minimum."""
    with open_group(min=3) as groups:
        end = {"InstanceId": FIXED}
        message = groups.refusal("terminate_instance_in_auto_scaling_group", **end, ShouldDecrementDesiredCapacity=True)
        assert message.startswith("Currently, desiredSize equals minSize (3).")
        groups.api.terminate_instance_in_auto_scaling_group(**end, ShouldDecrementDesiredCapacity=False)
        groups.account.settle(30)
        assert groups.ec2_state(FIXED) == "terminated"
        assert groups.ecs.gone == [FIXED]
        assert groups.count() == {"InService": 3}
    with open_group(min=1) as groups:
        groups.api.terminate_instance_in_auto_scaling_group(**end, ShouldDecrementDesiredCapacity=True)
        groups.account.settle(60)
        assert (groups.describe()["DesiredCapacity"], groups.count()) == (2, {"InService": 2})


def test_a_launch_without_capacity_fails_and_is_tried_again() -> None:
    """With no capacity to be had there is a Failed activity in EC2's words, another a minute later, and desired stays."""
    with open_group(launch="no-capacity") as groups:
        groups.api.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=5)
        groups.account.settle(30)
        failed = [a for a in groups.activities() if a["StatusCode"] == "Failed"]
        assert len(failed) == 1
        assert "There is no Spot capacity available that matches your request" in failed[0]["StatusMessage"]
        assert (groups.describe()["DesiredCapacity"], groups.count()) == (5, {"InService": 3})
        groups.account.settle(60)
        assert len([a for a in groups.activities() if a["StatusCode"] == "Failed"]) == 2
    with open_group(launch="no-capacity", market="on-demand") as groups:
        groups.api.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=4)
        groups.account.settle(30)
        assert "sufficient m5.large capacity in the Availability Zone you requested (us-east-1a)" in groups.activities()[0]["StatusMessage"]


def test_an_instance_that_never_registers_is_in_service_all_the_same() -> None:
    """Auto Scaling sees it in service; ECS never hears of it."""
    with open_group(launch="never-registers") as groups:
        groups.api.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=4)
        groups.account.settle(60)
        assert groups.count() == {"InService": 4}
        assert len(groups.ecs.registered) == 3


def test_suspended_processes_do_nothing() -> None:
    """With Launch and Terminate suspended, desired changes and nothing follows; resumed, it does."""
    with open_group(suspended=["Launch", "Terminate"]) as groups:
        assert {p["ProcessName"] for p in groups.describe()["SuspendedProcesses"]} == {"Launch", "Terminate"}
        for desired in (5, 1):
            groups.api.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=desired)
            groups.account.settle(60)
            assert groups.count() == {"InService": 3}
        groups.api.resume_processes(AutoScalingGroupName=GROUP)
        groups.account.settle(10)
        assert groups.count() == {"InService": 1}


def test_an_interrupted_instance_is_replaced_when_the_health_check_notices() -> None:
    """After EC2 takes an instance the group keeps it for a minute, then replaces it; with ReplaceUnhealthy suspended it never does."""
    with open_group() as groups:
        assert groups.account.interrupt(FIXED)
        assert not groups.account.interrupt(FIXED)
        assert groups.ecs.gone == [FIXED]
        host = groups.account.client("ec2").describe_instances(InstanceIds=[FIXED])["Reservations"][0]["Instances"][0]
        assert (host["State"]["Name"], host["StateReason"]["Code"]) == ("terminated", "Server.SpotInstanceTermination")
        groups.account.settle(30)
        assert groups.states()[FIXED] == "InService"
        groups.account.settle(90)
        assert FIXED not in groups.states()
        assert groups.count() == {"InService": 3}
    with open_group(suspended=["ReplaceUnhealthy"]) as groups:
        groups.account.client("ec2").terminate_instances(InstanceIds=[FIXED])
        groups.account.settle(180)
        assert {i["InstanceId"]: i["HealthStatus"] for i in groups.describe()["Instances"]}[FIXED] == "Unhealthy"
        assert len(groups.states()) == 3


def test_an_instance_marked_unhealthy_is_replaced() -> None:
    """SetInstanceHealth Unhealthy ends the instance and launches another."""
    with open_group() as groups:
        groups.api.set_instance_health(InstanceId=FIXED, HealthStatus="Unhealthy")
        groups.account.settle(40)
        assert groups.ec2_state(FIXED) == "terminated"
        assert groups.count() == {"InService": 3}


def test_scale_in_spares_the_protected_and_says_when_it_cannot() -> None:
    """Protected instances stay; with nothing else left a Failed activity says so, once."""
    with open_group() as groups:
        groups.api.set_instance_protection(AutoScalingGroupName=GROUP, InstanceIds=[FIXED], ProtectedFromScaleIn=True)
        groups.api.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=1)
        groups.account.settle(10)
        assert list(groups.states()) == [FIXED]
        groups.api.update_auto_scaling_group(AutoScalingGroupName=GROUP, MinSize=0, DesiredCapacity=0)
        groups.account.settle(60)
        assert list(groups.states()) == [FIXED]
        assert [a["StatusMessage"] for a in groups.activities() if a["StatusCode"] == "Failed"] == [
            "Could not scale to desired capacity because all remaining instances are protected from scale in."
        ]


def test_standby_takes_an_instance_out_and_brings_it_back() -> None:
    """EnterStandby with decrement lowers desired and launches nothing; ExitStandby raises it again."""
    with open_group() as groups:
        groups.api.enter_standby(AutoScalingGroupName=GROUP, InstanceIds=[FIXED], ShouldDecrementDesiredCapacity=True)
        groups.account.settle(60)
        assert groups.count() == {"InService": 2, "Standby": 1}
        groups.api.exit_standby(AutoScalingGroupName=GROUP, InstanceIds=[FIXED])
        assert (groups.describe()["DesiredCapacity"], groups.count()) == (3, {"InService": 3})


def test_lists_are_paged_and_limited_as_on_aws() -> None:
    """Members come 50 to a page and at most 50 by id; groups at most 100 to a page; a bad token is an error."""
    with open_group(desired=60, max=60) as groups:
        first = groups.api.describe_auto_scaling_instances()
        assert len(first["AutoScalingInstances"]) == 50
        rest = groups.api.describe_auto_scaling_instances(NextToken=first["NextToken"])
        assert len(rest["AutoScalingInstances"]) == 10
        assert "NextToken" not in rest
        assert "50" in groups.refusal("describe_auto_scaling_instances", InstanceIds=sorted(groups.states())[:51])
        assert "100" in groups.refusal("describe_auto_scaling_groups", MaxRecords=101)
        strangers = groups.api.describe_auto_scaling_instances(InstanceIds=[FIXED, "i-0bbb0000000000001"])["AutoScalingInstances"]
        assert [i["InstanceId"] for i in strangers] == [FIXED]
        with pytest.raises(ClientError, match="InvalidNextToken"):
            groups.api.describe_auto_scaling_groups(NextToken="nonsense")
        assert groups.api.describe_account_limits()["NumberOfAutoScalingGroups"] == 1


def test_fifty_groups_are_not_all_there_are() -> None:
    """The first page holds 50 groups; the paginator finds them all, and a filter by tag only the right ones."""
    with open_group() as groups:
        template = {"LaunchTemplateName": "web-template", "Version": "$Default"}
        for number in range(60):
            groups.api.create_auto_scaling_group(
                AutoScalingGroupName=f"group-{number}",
                LaunchTemplate=template,
                MinSize=0,
                MaxSize=0,
                AvailabilityZones=["us-east-1a"],
            )
        assert len(groups.api.describe_auto_scaling_groups()["AutoScalingGroups"]) == 50
        pages = groups.api.get_paginator("describe_auto_scaling_groups").paginate()
        assert len([g for page in pages for g in page["AutoScalingGroups"]]) == 61
        tagged = groups.api.describe_auto_scaling_groups(Filters=[{"Name": "tag:bulwark:cluster", "Values": ["orders"]}])
        assert [g["AutoScalingGroupName"] for g in tagged["AutoScalingGroups"]] == [GROUP]


def test_a_group_with_members_is_deleted_only_by_force() -> None:
    """DeleteAutoScalingGroup is refused while instances are left; forced, they end with it."""
    with open_group() as groups:
        with pytest.raises(ClientError, match="ResourceInUse"):
            groups.api.delete_auto_scaling_group(AutoScalingGroupName=GROUP)
        groups.api.delete_auto_scaling_group(AutoScalingGroupName=GROUP, ForceDelete=True)
        assert groups.api.describe_auto_scaling_groups()["AutoScalingGroups"] == []
        assert len(groups.ecs.gone) == 3
