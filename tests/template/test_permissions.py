"""Every AWS call the draining function makes is granted to its role, and its role is granted nothing that no call needs.

The real handler runs on the account in memory, through every branch that calls something of its own; what it asked for is
laid beside the statements of the translated template, resources and conditions included.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.template.calls import Call, recorded_calls, requests_of
from tests.template.iam import Request, Statement, denied, statements
from tests.template.translated import Stack
from workbench.sandbox import Account
from workbench.sandbox.scenario import read_scenario
from workbench.template import load_rules
from workbench.wake import Handlers, Woken

EVENT = json.loads((Path(__file__).resolve().parents[2] / "events" / "spot_interruption_warning.json").read_text(encoding="utf-8"))
INSTANCE = EVENT["detail"]["instance-id"]
GROUP = "orders-spot"
TABLE = "bulwark"

LAMBDA_ITSELF = frozenset(
    {"logs:CreateLogStream", "logs:PutLogEvents", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
)
"""What Lambda does in the role's name, around the handler: writing its log, and reading its queue."""

Change = Callable[[Account], object]


@dataclass(frozen=True, slots=True)
class Story:
    """One run: the account's own group and policy, what is ``done`` to the account before the warning, and the mode."""

    group: Mapping[str, Any] = field(default_factory=dict)
    done: Change = lambda _: None
    mode: str = "act"


def invalid_policy(account: Account) -> None:
    """A policy that cannot be read: earlier versions are looked for."""
    account.client("ssm").put_parameter(Name="/bulwark/policy/default", Value="{", Type="String")


def terminating(account: Account) -> None:
    """Auto Scaling is already ending the instance: it refuses to detach it."""
    account.client("autoscaling").terminate_instance_in_auto_scaling_group(InstanceId=INSTANCE, ShouldDecrementDesiredCapacity=False)


def cluster_gone(account: Account) -> None:
    """The tag names a cluster that does not exist: the decision is left undone, and written to the journal."""
    account.client("ec2").create_tags(Resources=[INSTANCE], Tags=[{"Key": "bulwark:cluster", "Value": "orders-gone"}])


STORIES = {
    "a warning": Story(),
    "observing": Story(mode="observe"),
    "a capacity provider in front": Story({"capacity_provider": {"name": "orders-provider", "managed_draining": False}}),
    "an invalid policy": Story(done=invalid_policy),
    "a refused detach": Story({"hooks": [{"name": "wait", "transition": "terminating"}]}, done=terminating),
    "a cluster that is gone": Story(done=cluster_gone),
}


@dataclass(frozen=True, slots=True)
class Told:
    """What a story came to: the function's answer, its calls, and those as IAM is asked about them."""

    woken: Woken
    calls: list[Call]
    requests: list[Request]


def tell(story: Story) -> Told:
    """Run one story."""
    group = {"name": GROUP, "min": 1, "desired": 3, "max": 6, **story.group}
    web = {"name": "web", "desired": 4, "cpu": 256, "memory": 512}
    orders = {"name": "orders", "groups": [group], "instances": [{"id": INSTANCE, "group": GROUP}], "services": [web]}
    (rule,) = load_rules()
    with Account(read_scenario({"clusters": [orders]}, "permissions")) as account:
        story.done(account)
        handlers = Handlers({"BULWARK_TABLE": TABLE, "BULWARK_MODE": story.mode})
        with recorded_calls() as calls:
            woken = handlers.wake(rule, EVENT | {"time": f"{account.now:%Y-%m-%dT%H:%M:%SZ}"}, account.now)
        groups = account.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        tags = {g["AutoScalingGroupName"]: {t["Key"]: t["Value"] for t in g["Tags"]} for g in groups}
        return Told(woken, calls, [r for call in calls for r in requests_of(call, tags.__getitem__)])


@pytest.fixture(scope="module")
def told() -> Mapping[str, Told]:
    """Every story, told once."""
    return {name: tell(story) for name, story in STORIES.items()}


def role(**parameters: str) -> tuple[Statement, ...]:
    """What the function's role may do in a stack with these parameters."""
    return statements(Stack(parameters, {"Table": TABLE}), "DrainingRole")


def weaker(granted: tuple[Statement, ...]) -> Iterator[tuple[str, tuple[Statement, ...]]]:
    """The role with one action or one resource less, for each it has on the function's own account, and what was taken away."""
    for index, statement in enumerate(granted):
        if LAMBDA_ITSELF.issuperset(statement.actions):
            continue
        for less in statement.narrower():
            lost = {*statement.actions, *statement.resources} - {*less.actions, *less.resources}
            yield f"{statement.sid}: {sorted(lost)}", (*granted[:index], less, *granted[index + 1 :])


def everything(told: Mapping[str, Told]) -> list[Request]:
    """The requests of all stories."""
    return [request for one in told.values() for request in one.requests]


@pytest.mark.parametrize("name", STORIES)
def test_every_call_is_granted(told: Mapping[str, Told], name: str) -> None:
    """Whatever the function calls in a story, the stack's role allows, on that very resource; in observe mode, the observing role."""
    assert told[name].requests
    assert denied(role(Mode=STORIES[name].mode), told[name].requests) == []


def test_nothing_is_granted_that_no_call_needs(told: Mapping[str, Told]) -> None:
    """Take any one action or any one resource from the role, and some call of the stories is denied."""
    granted = role(Mode="act")
    requests = everything(told)
    assert [what for what, left in weaker(granted) if not denied(left, requests)] == []
    used = {r.action for r in requests} | LAMBDA_ITSELF
    assert {a for s in granted for a in s.actions} == used


def test_every_branch_was_taken(told: Mapping[str, Told]) -> None:
    """The stories are about what they say: each makes the call it is there for."""
    made = {name: {call.operation for call in one.calls} for name, one in told.items()}
    assert {"ecs:UpdateContainerInstancesState", "ecs:PutAttributes", "autoscaling:DetachInstances"} <= made["a warning"]
    assert not {o for o in made["observing"] if not o.split(":")[1].startswith(("Describe", "List", "Get"))}
    assert "ecs:DescribeCapacityProviders" in made["a capacity provider in front"]
    assert "ssm:GetParameterHistory" in made["an invalid policy"]
    assert "autoscaling:DescribeAutoScalingGroups" in made["a refused detach"]
    assert "dynamodb:PutItem" in made["a cluster that is gone"]
    assert told["a warning"].woken.error is None


def test_in_observe_mode_every_write_would_be_denied(told: Mapping[str, Told]) -> None:
    """Even a function that tried could not write: in an observing stack its role allows the reads and nothing else."""
    refused = {r.action for r in denied(role(Mode="observe"), told["a warning"].requests)}
    assert refused == {"ecs:UpdateContainerInstancesState", "ecs:PutAttributes", "autoscaling:DetachInstances"}


def test_a_group_that_did_not_opt_in_is_out_of_reach(told: Mapping[str, Told]) -> None:
    """The same detach on a group without the tag is denied."""
    detach = [r for r in told["a warning"].requests if r.action == "autoscaling:DetachInstances"]
    untagged = [Request(r.action, r.resource, {k: v for k, v in r.context.items() if not k.startswith("aws:ResourceTag/")}) for r in detach]
    assert detach
    assert denied(role(Mode="act"), detach) == []
    assert denied(role(Mode="act"), untagged) == untagged


def test_a_cluster_outside_the_pattern_is_out_of_reach(told: Mapping[str, Told]) -> None:
    """With ClusterPattern set to other names, neither the cluster nor its groups can be written to, or looked into."""
    requests = told["a warning"].requests
    refused = {r.action for r in denied(role(Mode="act", ClusterPattern="billing-*"), requests)}
    not_of_a_cluster = {"ec2:DescribeInstances", "ssm:GetParametersByPath"}
    assert refused == {r.action for r in requests} - not_of_a_cluster
    assert denied(role(Mode="act", ClusterPattern="ord*"), requests) == []
