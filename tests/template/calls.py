"""Calls to AWS as IAM sees them: which action on which resources, with which condition keys.

The record comes from botocore's own events, so it holds what really was asked, by whatever code. What each operation is
authorised on is from the service authorization reference of its service:
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import botocore.handlers

from tests.template.iam import Request
from tests.template.translated import ACCOUNT
from workbench.template import PSEUDO_PARAMETERS

Tags = Mapping[str, str]

GROUP_TAG = "aws:autoscaling:groupName"
"""The tag by which an instance names its group."""

TASKS_SERVICE = "ecs-tasks.amazonaws.com"
"""Whom ECS passes the roles of a task to."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What IAM knows of what a call is about, beside the call itself.

    Tags of ``groups`` by name and of EC2 ``instances`` by id, and the ``roles`` that tasks of a task definition get, by its ARN;
    tags of ``alarms`` by name.
    """

    groups: Mapping[str, Tags] = field(default_factory=dict)
    instances: Mapping[str, Tags] = field(default_factory=dict)
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    alarms: Mapping[str, Tags] = field(default_factory=dict)

    @classmethod
    def of(cls, client: Callable[[str], Any]) -> "Facts":
        """Those of an account, as they are now, through ``client(service)``."""
        groups = client("autoscaling").describe_auto_scaling_groups(MaxRecords=100)["AutoScalingGroups"]
        instances = [i for r in client("ec2").describe_instances()["Reservations"] for i in r["Instances"]]
        definitions = [
            client("ecs").describe_task_definition(taskDefinition=arn)["taskDefinition"]
            for arn in client("ecs").list_task_definitions()["taskDefinitionArns"]
        ]
        cloudwatch = client("cloudwatch")
        alarms = {a["AlarmName"]: a["AlarmArn"] for a in cloudwatch.describe_alarms()["MetricAlarms"]}
        return cls(
            {g["AutoScalingGroupName"]: _tags(g) for g in groups},
            {i["InstanceId"]: _tags(i) for i in instances},
            {d["taskDefinitionArn"]: tuple(d[key] for key in ROLES if d.get(key)) for d in definitions},
            {name: _tags(cloudwatch.list_tags_for_resource(ResourceARN=arn)) for name, arn in alarms.items()},
        )


IAM_NAMES = {"monitoring": "cloudwatch"}
"""What IAM calls a service that signs its requests otherwise."""

ROLES = ("taskRoleArn", "executionRoleArn")
"""Fields of a task definition, and of a task's overrides, that hold a role."""


def _tags(described: Mapping[str, Any]) -> Tags:
    """Tags as AWS lists them, by key."""
    return {tag["Key"]: tag["Value"] for tag in described.get("Tags", ())}


@dataclass(frozen=True, slots=True)
class Call:
    """One call: ``operation`` as in IAM (``ecs:ListTasks``), and the parameters it was given."""

    operation: str
    parameters: Mapping[str, Any]


@contextlib.contextmanager
def recorded_calls() -> Iterator[list[Call]]:
    """Every call of every botocore session that is made within the block."""
    calls: list[Call] = []

    def note(params: Mapping[str, Any], model: Any, **_: Any) -> None:
        """A ``before-parameter-build`` handler."""
        service = model.service_model.signing_name
        calls.append(Call(f"{IAM_NAMES.get(service, service)}:{model.name}", dict(params)))

    # A session copies this list when it is made; there is no public way to reach the one that a function makes.
    handlers: list[Any] = botocore.handlers.BUILTIN_HANDLERS
    entry = ("before-parameter-build.*.*", note)
    handlers.append(entry)
    try:
        yield calls
    finally:
        handlers.remove(entry)


def requests_of(call: Call, facts: Facts) -> list[Request]:
    """What IAM is asked for ``call``. LookupError for an operation not known here, or for something that ``facts`` lack."""
    given = call.parameters
    match call.operation.partition(":")[0]:
        case "ecs":
            asked = _ecs(call, facts)
        case "autoscaling":
            asked = _autoscaling(call, facts)
        case "ec2":
            asked = _ec2(call, facts)
        case "cloudwatch":
            asked = _cloudwatch(call, facts)
        case "ssm":
            # GetParametersByPath is authorised on the path that is asked for, whatever lies below it.
            known = {"ssm:GetParametersByPath": "Path", "ssm:GetParameterHistory": "Name"}
            asked = [Request(call.operation, f"arn:aws:ssm:{ACCOUNT}:parameter{given[_known(call, known)]}")]
        case "dynamodb" if call.operation in ("dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:Query"):
            asked = [Request(call.operation, f"arn:aws:dynamodb:{ACCOUNT}:table/{given['TableName']}")]
        case _:
            raise _unknown(call)
    region = PSEUDO_PARAMETERS["AWS::Region"]
    return [Request(r.action, r.resource, {"aws:RequestedRegion": region, **r.context}) for r in asked]


def _unknown(call: Call) -> LookupError:
    """The error for a call that nobody has looked up."""
    return LookupError(f"{call.operation}: say in tests/template/calls.py which resources it is authorised on")


def _known(call: Call, known: Mapping[str, str]) -> str:
    """What ``known`` has for the operation. Raises LookupError."""
    if call.operation not in known:
        raise _unknown(call)
    return known[call.operation]


def _ec2(call: Call, facts: Facts) -> list[Request]:
    """An operation of EC2's."""
    match call.operation:
        case (
            "ec2:DescribeInstances"
            | "ec2:DescribeInstanceTypes"
            | "ec2:DescribeLaunchTemplateVersions"
            | "ec2:DescribeSpotInstanceRequests"
            | "ec2:DescribeSubnets"
        ):
            return [Request(call.operation, "*")]
        case "ec2:TerminateInstances":
            return [
                Request(call.operation, f"arn:aws:ec2:{ACCOUNT}:instance/{i}", _tagged(facts.instances[i], "ec2:ResourceTag"))
                for i in call.parameters["InstanceIds"]
            ]
        case _:
            raise _unknown(call)


def _cloudwatch(call: Call, facts: Facts) -> list[Request]:
    """An operation of CloudWatch's. Whoever makes an alarm with tags also asks to tag it; whoever lists alarms asks for all of them."""
    given, arn = call.parameters, f"arn:aws:cloudwatch:{ACCOUNT}:alarm:"
    match call.operation.partition(":")[2]:
        case "DescribeAlarms":
            return [Request(call.operation, f"{arn}*")]
        case "DeleteAlarms":
            return [Request(call.operation, f"{arn}{name}", _tagged(facts.alarms.get(name, {}))) for name in given["AlarmNames"]]
        case "PutMetricAlarm":
            tags = _tags(given)
            asked: dict[str, str | tuple[str, ...]] = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
            asked |= {"aws:TagKeys": tuple(tags)} if tags else {}
            acts = {"cloudwatch:AlarmActions": tuple(given["AlarmActions"])} if given.get("AlarmActions") else {}
            tagging = [Request("cloudwatch:TagResource", f"{arn}{given['AlarmName']}", asked)] if tags else []
            return [Request(call.operation, f"{arn}{given['AlarmName']}", asked | acts), *tagging]
        case _:
            raise _unknown(call)


def _tagged(tags: Tags, *more: str) -> dict[str, str | tuple[str, ...]]:
    """The condition keys that hold a resource's tags; ``more``: prefixes by which the service has them as well."""
    return {f"{prefix}/{key}": value for prefix in ("aws:ResourceTag", *more) for key, value in tags.items()}


def _autoscaling(call: Call, facts: Facts) -> list[Request]:
    """An operation of EC2 Auto Scaling's. All that write are authorised on the group, with its tags as they are before."""
    given = call.parameters
    match call.operation.partition(":")[2]:
        case "DescribeAutoScalingGroups" | "DescribeLifecycleHooks" | "DescribeScalingActivities":
            return [Request(call.operation, "*")]
        case "CreateOrUpdateTags" | "DeleteTags":
            names = sorted({tag["ResourceId"] for tag in given["Tags"]})
            keys = {name: tuple(tag["Key"] for tag in given["Tags"] if tag["ResourceId"] == name) for name in names}
            return [_on_group(call, facts, name, {"aws:TagKeys": keys[name]}) for name in names]
        case "TerminateInstanceInAutoScalingGroup":
            return [_on_group(call, facts, facts.instances[given["InstanceId"]][GROUP_TAG])]
        case (
            "CompleteLifecycleAction"
            | "DeleteLifecycleHook"
            | "DetachInstances"
            | "PutLifecycleHook"
            | "RecordLifecycleActionHeartbeat"
            | "SetDesiredCapacity"
        ):
            return [_on_group(call, facts, given["AutoScalingGroupName"])]
        case _:
            raise _unknown(call)


def _on_group(call: Call, facts: Facts, name: str, more: Mapping[str, tuple[str, ...]] | None = None) -> Request:
    """A request on a group. Auto Scaling makes up the id in the middle."""
    arn = f"arn:aws:autoscaling:{ACCOUNT}:autoScalingGroup:5b5e0f1c:autoScalingGroupName/{name}"
    return Request(call.operation, arn, {**_tagged(facts.groups[name], "autoscaling:ResourceTag"), **(more or {})})


def _ecs(call: Call, facts: Facts) -> list[Request]:
    """An operation of ECS's."""
    given = call.parameters
    cluster = _arn("cluster", given.get("cluster", "default").rpartition("/")[2])  # ECS takes "default" where a call names none
    within: dict[str, str | tuple[str, ...]] = {"ecs:cluster": cluster}
    match call.operation.partition(":")[2]:
        case "DescribeTaskDefinition":
            return [Request(call.operation, "*")]
        case "DescribeCapacityProviders":
            names = given.get("capacityProviders")
            return [Request(call.operation, _arn("capacity-provider", name)) for name in names] if names else [Request(call.operation, "*")]
        case "ListServices" | "ListTasks" if "containerInstance" not in given:
            return [Request(call.operation, "*", within)]
        case "ListContainerInstances" | "DeregisterContainerInstance":
            return [Request(call.operation, cluster)]
        case "RunTask":
            return [Request(call.operation, given["taskDefinition"], within), *_with_run_task(given, facts)]
        case _:
            return [Request(call.operation, resource, within) for resource in _in_cluster(call)]


def _with_run_task(given: Mapping[str, Any], facts: Facts) -> Iterator[Request]:
    """What RunTask asks for besides: to tag the new task, and to pass it its roles, those of its overrides first."""
    if given.get("tags"):
        task = _arn("task", f"{given['cluster'].rpartition('/')[2]}/0123456789abcdef0123456789abcdef")
        keys = tuple(tag["key"] for tag in given["tags"])
        yield Request("ecs:TagResource", task, {"ecs:CreateAction": "RunTask", "aws:TagKeys": keys})
    overridden = [role for key in ROLES if (role := given.get("overrides", {}).get(key))]
    for role in dict.fromkeys([*overridden, *facts.roles[given["taskDefinition"]]]):
        yield Request("iam:PassRole", role, {"iam:PassedToService": TASKS_SERVICE})


def _in_cluster(call: Call) -> list[str]:
    """The resources of an ECS operation that is authorised on something in a cluster, and knows the condition key ecs:cluster."""
    given = call.parameters
    match call.operation.partition(":")[2]:
        case "DescribeContainerInstances" | "UpdateContainerInstancesState":
            kind, names = "container-instance", given["containerInstances"]
        case "PutAttributes" | "DeleteAttributes":
            kind, names = "container-instance", [attribute["targetId"] for attribute in given["attributes"]]
        case "ListTasks":
            kind, names = "container-instance", [given["containerInstance"]]
        case "DescribeTasks" | "GetTaskProtection":
            kind, names = "task", given["tasks"]
        case "StopTask":
            kind, names = "task", [given["task"]]
        case "DescribeServices":
            kind, names = "service", given["services"]
        case "UpdateService":
            kind, names = "service", [given["service"]]
        case _:
            raise _unknown(call)
    cluster = given["cluster"].rpartition("/")[2]
    return [name if name.startswith("arn:") else _arn(kind, f"{cluster}/{name}") for name in names]


def _arn(kind: str, name: str) -> str:
    """The ARN of something of ECS's."""
    return f"arn:aws:ecs:{ACCOUNT}:{kind}/{name}"
