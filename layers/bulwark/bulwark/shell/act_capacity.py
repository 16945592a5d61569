"""Writes that size a group, and Bulwark's own alarms on a cluster's reservation."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from bulwark.core.plan import PutAlarm, RemoveAlarm, SetDesiredCapacity
from bulwark.shell.act_batches import already
from bulwark.shell.aws import AWS_ERRORS, explain

if TYPE_CHECKING:
    from bulwark.shell.aws import Aws

NAMESPACE = "AWS/ECS"
PERIOD = 60
"""Seconds; ECS publishes its reservation metrics once a minute (developer guide, CloudWatch metrics)."""

NO_LONGER_THERE = {"ResourceNotFound": ("",), "ResourceNotFoundException": ("",)}
"""How CloudWatch says that there is no such alarm."""

CLUSTER_TAG = "bulwark:cluster"
"""On an alarm too, it names the cluster; what the role may delete rests on it."""


def perform(aws: Aws, action: SetDesiredCapacity | PutAlarm | RemoveAlarm) -> str | None:
    """Perform one. Returns the error."""
    match action:
        case SetDesiredCapacity():
            return resize(aws, action)
        case PutAlarm():
            return put_alarm(aws, action)
        case RemoveAlarm():
            return remove_alarm(aws, action)
        case _:
            assert_never(action)


def resize(aws: Aws, action: SetDesiredCapacity) -> str | None:
    """Ask a group for so many. Returns the error.

    Never for fewer than it is asked for by now: Auto Scaling would end instances of its own choice, with their work. Not while honouring
    a cooldown: the snapshot counts what is on its way, which is what a cooldown guesses at.
    """
    try:
        found = aws.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[action.target])["AutoScalingGroups"]
        now = found[0]["DesiredCapacity"] if found else action.before
        if now >= action.desired:
            return None
        if now < action.before:
            return f"its desired capacity was {action.before} when that was decided and is {now} by now: decided anew with the next look"
        aws.autoscaling.set_desired_capacity(AutoScalingGroupName=action.target, DesiredCapacity=action.desired, HonorCooldown=False)
    except AWS_ERRORS as error:
        return explain(error)
    return None


def put_alarm(aws: Aws, action: PutAlarm) -> str | None:
    """Create the alarm or change its threshold. Returns the error. It has no action: its state changes are events as they are.

    A metric without data points, which is what an idle cluster has, is not zero: the alarm then says INSUFFICIENT_DATA.
    """
    try:
        aws.cloudwatch.put_metric_alarm(
            AlarmName=action.target,
            AlarmDescription="Wakes Bulwark; made and removed by it",
            ActionsEnabled=False,
            Namespace=NAMESPACE,
            MetricName=action.metric,
            Dimensions=[{"Name": "ClusterName", "Value": action.cluster}],
            Statistic="Average",
            Period=PERIOD,
            EvaluationPeriods=1,
            Threshold=action.threshold,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
            TreatMissingData="missing",
            Tags=[{"Key": CLUSTER_TAG, "Value": action.cluster}],
        )
    except AWS_ERRORS as error:
        return explain(error)
    return None


def remove_alarm(aws: Aws, action: RemoveAlarm) -> str | None:
    """Delete the alarm. Returns the error; that there is none (any more) is none."""
    try:
        aws.cloudwatch.delete_alarms(AlarmNames=[action.target])
    except AWS_ERRORS as error:
        return None if already(error, NO_LONGER_THERE) else explain(error)
    return None
