"""Auto Scaling's calls about groups, in AWS's words. An operation that returns None leaves the answer to moto."""

from datetime import UTC, datetime
from typing import Any

from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.core.responses import ActionResult, EmptyResult

from workbench.sandbox.autoscaling import AutoScalingPhysics
from workbench.sandbox.autoscaling_answers import MOST_RECORDS, Call, check_sizes, group_of, now, page_of, too_many
from workbench.sandbox.autoscaling_tags import check_filters

MOST_DESCRIBED = 50
"""Instance ids to a DescribeAutoScalingInstances call, and its page; also the usual page of groups."""
ACTIVITY_FILTERS = ("StartTimeLowerBound", "StartTimeUpperBound", "Status")
GROUPS_ALLOWED, CONFIGURATIONS_ALLOWED = 500, 200
"""Auto Scaling groups and launch configurations to a Region, by default quota."""


def create_group(call: Call, physics: AutoScalingPhysics) -> None:
    """CreateAutoScalingGroup: the name is free and the sizes are in order; moto does the rest."""
    name = call["AutoScalingGroupName"]
    if name in physics.backend.autoscaling_groups:
        raise AutoscalingClientError(
            "AlreadyExists", f"AutoScalingGroup by this name already exists - A group with the name {name} already exists"
        )
    check_sizes(call["MinSize"], call.get("DesiredCapacity"), call["MaxSize"])


def update_group(call: Call, physics: AutoScalingPhysics) -> Any:
    """UpdateAutoScalingGroup: sizes in order; a bound that passes the desired capacity takes it along."""
    group = group_of(physics, call["AutoScalingGroupName"]).model
    given = call.get("MinSize"), call.get("MaxSize")
    least, most = (g if g is not None else have for g, have in zip(given, (group.min_size, group.max_size), strict=True))
    desired = call.get("DesiredCapacity")
    check_sizes(least, desired, most)
    wanted = desired if desired is not None else min(max(group.desired_capacity, least), most)
    mixed = group.mixed_instances_policy
    group.capacity_rebalance = call.get("CapacityRebalance", group.capacity_rebalance)
    group.update(
        availability_zones=call.get("AvailabilityZones", []),
        desired_capacity=wanted,
        max_size=most,
        min_size=least,
        launch_config_name=call.get("LaunchConfigurationName"),
        launch_template=call.get("LaunchTemplate", {}),
        vpc_zone_identifier=call.get("VPCZoneIdentifier"),
        health_check_period=call.get("HealthCheckGracePeriod"),
        health_check_type=call.get("HealthCheckType"),
        new_instances_protected_from_scale_in=call.get("NewInstancesProtectedFromScaleIn"),
        mixed_instances_policy=call.get("MixedInstancesPolicy") or mixed,
    )
    return EmptyResult()


def delete_group(call: Call, physics: AutoScalingPhysics) -> Any:
    """DeleteAutoScalingGroup: refused while it has members, unless forced; then they end with it, no hook asked."""
    life = group_of(physics, call["AutoScalingGroupName"])
    members = list(life.model.instance_states)
    if members and not call.get("ForceDelete"):
        message = "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still in the group."
        raise AutoscalingClientError("ResourceInUse", message)
    for member in members:
        physics.ec2.terminate(member.instance_id, now())
        life.drop(member)
    return None


def set_desired(call: Call, physics: AutoScalingPhysics) -> Any:
    """SetDesiredCapacity: refused outside the group's bounds."""
    group = group_of(physics, call["AutoScalingGroupName"]).model
    desired = call.get("DesiredCapacity")
    if desired > group.max_size:
        raise ValidationError(f"New SetDesiredCapacity value {desired} is above max value {group.max_size} for the AutoScalingGroup.")
    if desired < group.min_size:
        raise ValidationError(f"New SetDesiredCapacity value {desired} is below min value {group.min_size} for the AutoScalingGroup.")
    group.set_desired_capacity(desired)
    return EmptyResult()


def describe_groups(call: Call, physics: AutoScalingPhysics) -> Any:
    """DescribeAutoScalingGroups: 50 groups to a page unless asked for up to 100."""
    names, filters = call.get("AutoScalingGroupNames", []), call.get("Filters", [])
    check_filters(filters)
    groups = physics.backend.describe_auto_scaling_groups(names, filters=filters)
    page, token = page_of(call, groups, default=MOST_DESCRIBED)
    return ActionResult({"AutoScalingGroups": page, "NextToken": token})


def describe_instances(call: Call, physics: AutoScalingPhysics) -> Any:
    """DescribeAutoScalingInstances: at most 50 ids, ids without a group left out; 50 to a page."""
    instance_ids = call.get("InstanceIds", [])
    too_many("instanceIds", len(instance_ids), MOST_DESCRIBED)
    found = [physics.member(i) for i in dict.fromkeys(instance_ids)]
    members = [f[1] for f in found if f is not None] if instance_ids else [m for g in physics.lives for m in g.model.instance_states]
    page, token = page_of(call, members, default=MOST_DESCRIBED, most=MOST_DESCRIBED)
    return ActionResult({"AutoScalingInstances": page, "NextToken": token})


def describe_activities(call: Call, physics: AutoScalingPhysics) -> Any:
    """DescribeScalingActivities: newest first, of one group or of all; by status and by the time of their start, if asked."""
    name, wanted = call.get("AutoScalingGroupName"), call.get("ActivityIds", [])
    lives = physics.lives if name is None else [group_of(physics, name)]
    records = [record for life in lives for record in reversed(life.activities.records)]
    records = [r for r in records if not wanted or r["ActivityId"] in wanted]
    for one in call.get("Filters", []):
        records = [r for r in records if _passes(r, one.get("Name") or "", one.get("Values") or [])]
    records.sort(key=lambda r: r["StartTime"], reverse=True)
    page, token = page_of(call, records, default=MOST_RECORDS)
    return ActionResult({"Activities": page, "NextToken": token})


def _passes(record: dict[str, Any], name: str, values: list[str]) -> bool:
    """Whether an activity passes one filter of DescribeScalingActivities; a bound of time is one of the values."""
    if name == "Status":
        return record["StatusCode"] in values
    if name not in ("StartTimeLowerBound", "StartTimeUpperBound"):
        raise ValidationError(f"Filter type {name} is not correct. Allowed Filter types are: {', '.join(ACTIVITY_FILTERS)}")
    try:
        bounds = [datetime.fromisoformat(value).replace(tzinfo=UTC) for value in values]
    except ValueError:
        raise ValidationError(f"The value of the filter {name} must be a timestamp.") from None
    began: datetime = record["StartTime"]
    return any(began >= bound if name == "StartTimeLowerBound" else began <= bound for bound in bounds)


def describe_limits(_call: Call, physics: AutoScalingPhysics) -> Any:
    """DescribeAccountLimits: the default quotas, and what is used of them."""
    used = {"NumberOfAutoScalingGroups": len(physics.lives), "NumberOfLaunchConfigurations": len(physics.backend.launch_configurations)}
    return ActionResult({"MaxNumberOfAutoScalingGroups": GROUPS_ALLOWED, "MaxNumberOfLaunchConfigurations": CONFIGURATIONS_ALLOWED, **used})


def group_exists(call: Call, physics: AutoScalingPhysics) -> None:
    """Any call that names a group and that moto answers well, once the group is known to exist."""
    group_of(physics, call["AutoScalingGroupName"])
