"""Calls to AWS as IAM sees them: which action on which resources, with which condition keys.

The record comes from botocore's own events, so it holds what really was asked, by whatever code. What each operation is
authorised on is from the service authorization reference of its service:
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import botocore.handlers

from tests.template.iam import Request
from tests.template.translated import ACCOUNT
from workbench.template import PSEUDO_PARAMETERS

Tags = Callable[[str], Mapping[str, str]]
"""Tags of an Auto Scaling group, by its name."""


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
        calls.append(Call(f"{model.service_model.signing_name}:{model.name}", dict(params)))

    # A session copies this list when it is made; there is no public way to reach the one that a function makes.
    handlers: list[Any] = botocore.handlers.BUILTIN_HANDLERS
    entry = ("before-parameter-build.*.*", note)
    handlers.append(entry)
    try:
        yield calls
    finally:
        handlers.remove(entry)


def requests_of(call: Call, tags: Tags) -> list[Request]:
    """What IAM is asked for ``call``. LookupError for an operation not known here."""
    given = call.parameters
    context = {"aws:RequestedRegion": PSEUDO_PARAMETERS["AWS::Region"]}
    match call.operation:
        case "ec2:DescribeInstances" | "autoscaling:DescribeAutoScalingGroups":
            resources = ["*"]
        case "ecs:ListContainerInstances":
            resources = [_cluster(given)]
        case "ecs:DescribeCapacityProviders":
            resources = [_ecs("capacity-provider", name) for name in given["capacityProviders"]]
        case operation if operation.startswith("ecs:"):
            resources = _in_cluster(call)
            context["ecs:cluster"] = _cluster(given)
        case "autoscaling:DetachInstances":
            name = given["AutoScalingGroupName"]
            # Auto Scaling makes up the id in the middle.
            resources = [f"arn:aws:autoscaling:{ACCOUNT}:autoScalingGroup:5b5e0f1c:autoScalingGroupName/{name}"]
            context |= {f"aws:ResourceTag/{key}": value for key, value in tags(name).items()}
        case "ssm:GetParametersByPath":
            # Authorised on the path that is asked for, whatever lies below it.
            resources = [f"arn:aws:ssm:{ACCOUNT}:parameter{given['Path']}"]
        case "ssm:GetParameterHistory":
            resources = [f"arn:aws:ssm:{ACCOUNT}:parameter{given['Name']}"]
        case "dynamodb:PutItem":
            resources = [f"arn:aws:dynamodb:{ACCOUNT}:table/{given['TableName']}"]
        case _:
            raise LookupError(f"{call.operation}: say in tests/template/calls.py which resources it is authorised on")
    return [Request(call.operation, resource, context) for resource in resources]


def _in_cluster(call: Call) -> list[str]:
    """The resources of an ECS operation that knows the condition key ecs:cluster."""
    given = call.parameters
    match call.operation:
        case "ecs:DescribeContainerInstances" | "ecs:UpdateContainerInstancesState":
            kind, names = "container-instance", given["containerInstances"]
        case "ecs:PutAttributes":
            kind, names = "container-instance", [attribute["targetId"] for attribute in given["attributes"]]
        case "ecs:ListTasks":
            kind, names = "container-instance", [given["containerInstance"]]
        case "ecs:DescribeTasks":
            kind, names = "task", given["tasks"]
        case "ecs:DescribeServices":
            kind, names = "service", given["services"]
        case _:
            raise LookupError(f"{call.operation}: say in tests/template/calls.py which resources it is authorised on")
    cluster = given["cluster"].rpartition("/")[2]
    return [name if name.startswith("arn:") else _ecs(kind, f"{cluster}/{name}") for name in names]


def _cluster(given: Mapping[str, Any]) -> str:
    """The ARN of the cluster a call names, by name or ARN; ECS takes "default" where it names none."""
    return _ecs("cluster", given.get("cluster", "default").rpartition("/")[2])


def _ecs(kind: str, name: str) -> str:
    """The ARN of something of ECS's."""
    return f"arn:aws:ecs:{ACCOUNT}:{kind}/{name}"
