"""Stories in which the capacity function calls all that it ever calls: the real handler, on the account in memory."""

from dataclasses import replace
from typing import Any

from tests.template.stories import BEHIND_ECS, CLUSTER, GROUP, INSTANCE, STANDALONE, SWEEP, Step, Story, after, invalid_policy, opted_out
from workbench.sandbox import Account

ALARM = "reservation_alarm.json"
UNPLACED = "placement_failure.json"
NOT_STARTED = "task_failed_to_start.json"
NOT_LAUNCHED = "launch_unsuccessful.json"
REGISTERED = "container_instance_registered.json"


def service(desired: int, memory: int = 2048, **more: Any) -> dict[str, Any]:
    """The cluster's only service. Three of the usual tasks fit on an instance."""
    return {"services": [{"name": "web", "desired": desired, "cpu": 256, "memory": memory, **more}]}


def wants(desired: int) -> Step:
    """The service is to have so many tasks."""
    return lambda account: account.client("ecs").update_service(cluster=CLUSTER, service="web", desiredCount=desired)


def begun(account: Account) -> None:
    """The instance, with work on it, is drained as the group could do without it."""
    ecs = account.client("ecs")
    (arn,) = ecs.list_container_instances(cluster=CLUSTER, filter=f"ec2InstanceId == {INSTANCE}")["containerInstanceArns"]
    value = f"scale-in {account.now:%Y-%m-%dT%H:%M:%SZ} {account.now.replace(hour=5):%Y-%m-%dT%H:%M:%SZ} by-instance"
    ecs.put_attributes(cluster=CLUSTER, attributes=[{"name": "bulwark.drain", "value": value, "targetId": arn}])
    ecs.update_container_instances_state(cluster=CLUSTER, containerInstances=[arn], status="DRAINING")


def grown(account: Account) -> None:
    """The operator has asked for two more."""
    account.client("autoscaling").set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=5)


EMPTY: dict[str, Any] = {"instances": []}
AT_ONCE = {"policy": {"capacity": {"window_minutes": 0}}}
ONE_ZONE = {"zones": ["us-east-1a"]}
DRY = {"launch": "no-capacity"}

_STORIES = {
    "an alarm": Story((ALARM,), {"ecs:ListServices", "autoscaling:SetDesiredCapacity"}, {"SetDesiredCapacity"}, cluster=service(12)),
    "a task that found no room": Story((UNPLACED, NOT_STARTED), {"dynamodb:DeleteItem"}, {"SetDesiredCapacity"}, cluster=service(12)),
    "a registration that something waits for": Story(
        (UNPLACED, after(60), REGISTERED), {"ecs:DescribeContainerInstances"}, cluster=service(12)
    ),
    "instances on their way": Story((grown, after(20), ALARM), {"ec2:DescribeInstances"}, cluster=service(12)),
    "a group that cannot launch": Story(
        (grown, after(60), NOT_LAUNCHED), {"autoscaling:DescribeScalingActivities"}, group=DRY, cluster=service(12)
    ),
    "from nothing": Story((ALARM,), {"ec2:DescribeInstanceTypes"}, {"SetDesiredCapacity"}, {"min": 0, "desired": 0}, EMPTY | service(5)),
    "tasks with interfaces of their own": Story((ALARM,), {"ec2:DescribeSubnets"}, cluster=service(12, network="awsvpc")),
    "one task to an instance": Story((ALARM,), {"ecs:ListTasks"}, cluster=service(5, 512, constraints=["distinctInstance"])),
    "tasks of a capacity provider": Story((ALARM,), {"ecs:ListTasks", "ecs:DescribeCapacityProviders"}, group=BEHIND_ECS),
    "an idle cluster": Story(
        (ALARM,),
        {"ecs:UpdateContainerInstancesState", "ecs:PutAttributes", "autoscaling:TerminateInstanceInAutoScalingGroup"},
        {"DrainInstance", "TerminateInstance"},
        cluster={"services": []} | AT_ONCE,
    ),
    "work that fits on fewer": Story(
        (ALARM,), {"ecs:DescribeTasks", "ecs:GetTaskProtection", "ecs:ListTasks"}, {"DrainInstance"}, ONE_ZONE, service(3, 512) | AT_ONCE
    ),
    "a task of nobody's": Story((ALARM,), {"ecs:DescribeTasks"}, group=ONE_ZONE, cluster=STANDALONE | service(3, 512) | AT_ONCE),
    "an instance that is needed after all": Story(
        (begun, wants(9), after(20), UNPLACED), {"ecs:DeleteAttributes"}, {"ReactivateInstance"}, cluster=service(4)
    ),
    "alarms": Story(
        (SWEEP, opted_out, after(600), SWEEP),
        {"cloudwatch:DescribeAlarms", "cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms"},
        {"PutAlarm", "RemoveAlarm"},
    ),
    "an invalid policy": Story((invalid_policy, ALARM), {"ssm:GetParameterHistory"}),
}

STORIES = {name: replace(story, function="capacity") for name, story in _STORIES.items()}
"""Every way in which the function comes to call something that it calls nowhere else."""

OBSERVED = tuple(STORIES)
"""Stories that are told in a stack that observes, too."""
