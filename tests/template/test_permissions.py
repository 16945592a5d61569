"""Every AWS call that a function makes is granted to its role, and its role is granted nothing that no call needs.

The real handler of each runs on the account in memory, through every branch that calls something of its own (``stories``); what it asked
for is laid beside the statements of the translated template, resources and conditions included.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import get_args

import pytest

from bulwark.core import plan
from tests.template import stories, stories_capacity
from tests.template.iam import LAMBDA_ITSELF, Request, Statement, denied, statements, unneeded
from tests.template.stories import ROLE, TABLE, Mode, Story, tell
from tests.template.translated import Stack
from workbench.template import load_rules

TOLD_OF: Mapping[str, tuple[Mapping[str, Story], Sequence[str]]] = {
    "draining": (stories.STORIES, stories.OBSERVED),
    "capacity": (stories_capacity.STORIES, stories_capacity.OBSERVED),
}
"""The functions that rules wake: their stories, and which of those are told in a stack that observes, too."""

OF_NO_CLUSTER = {
    "draining": {
        "ec2:DescribeInstances", "ec2:DescribeSpotInstanceRequests", "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DescribeLifecycleHooks", "ecs:DescribeTaskDefinition", "ecs:DescribeCapacityProviders",
        "ssm:GetParametersByPath", "ssm:GetParameterHistory", "dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:Query", "iam:PassRole",
    },
    "capacity": {
        "ec2:DescribeInstances", "ec2:DescribeInstanceTypes", "ec2:DescribeLaunchTemplateVersions", "ec2:DescribeSubnets",
        "autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeScalingActivities", "ecs:DescribeTaskDefinition",
        "ecs:DescribeCapacityProviders", "cloudwatch:DescribeAlarms", "ssm:GetParametersByPath", "ssm:GetParameterHistory",
        "dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:Query",
    },
}  # fmt: skip
"""What a function asks about nothing that belongs to a cluster, or to no one cluster."""

REMOVALS = frozenset({"autoscaling:DeleteLifecycleHook", "autoscaling:DeleteTags"})
"""How a group that has opted out is left as it was found."""

OPT_IN = "aws:ResourceTag/bulwark:cluster"
NOTE = "aws:ResourceTag/bulwark:hook"
ROLES_LIKE = "tasks/orders-*"

every_function = pytest.mark.parametrize("stem", TOLD_OF)
every_story = pytest.mark.parametrize(("stem", "name"), [(stem, name) for stem, (told, _) in TOLD_OF.items() for name in told])
every_observed = pytest.mark.parametrize(("stem", "name"), [(stem, name) for stem, (_, names) in TOLD_OF.items() for name in names])


@cache
def role(stem: str = "draining", mode: Mode = "act", clusters: str = "*", roles: str = ROLES_LIKE) -> tuple[Statement, ...]:
    """What a function's role may do in a stack of that mode, with these patterns of clusters and of roles."""
    stack = Stack({"Mode": mode, "ClusterPattern": clusters, "TaskRolePattern": roles}, {"Table": TABLE})
    return statements(stack, f"{stem.title()}Role")


def is_write(action: str) -> bool:
    """Whether an action changes something that is not the function's own: its table holds what it remembers."""
    service, _, name = action.partition(":")
    return service != "dynamodb" and not name.startswith(("Describe", "List", "Get"))


def everything(stem: str = "draining", mode: Mode = "act") -> list[Request]:
    """The requests of all of a function's stories that are told in a stack of that mode, each once."""
    told, observed = TOLD_OF[stem]
    names = told if mode == "act" else observed
    return list({repr(request): request for name in names for request in tell(told[name], mode).requests}.values())


def asked(stem: str, action: str, *more: str) -> list[Request]:
    """The requests of all of a function's stories for these actions. There are some."""
    found = [request for request in everything(stem) if request.action in (action, *more)]
    assert {request.action for request in found} == {action, *more}
    return found


def test_every_function_that_a_rule_wakes_has_its_stories() -> None:
    """A new function needs its own, or nobody would see what it calls; each story is about the function it is kept with."""
    assert {rule.function.stem for rule in load_rules()} == set(TOLD_OF)
    assert {(stem, story.function) for stem, (told, _) in TOLD_OF.items() for story in told.values()} == {(stem, stem) for stem in TOLD_OF}


@every_story
def test_every_call_is_granted(stem: str, name: str) -> None:
    """Whatever a function calls in a story, the stack's role allows, on that very resource."""
    requests = tell(TOLD_OF[stem][0][name]).requests
    assert requests
    assert denied(role(stem), requests) == []


@every_function
def test_nothing_is_granted_that_no_call_needs(stem: str) -> None:
    """Take any one action or any one resource from the role, and some call of the stories is denied."""
    assert list(unneeded(role(stem), everything(stem))) == []
    assert {a for s in role(stem) for a in s.actions} == {r.action for r in everything(stem)} | LAMBDA_ITSELF


@every_function
def test_an_observing_role_is_granted_nothing_that_no_call_needs(stem: str) -> None:
    """The same of a stack that only observes, but for the notes in its table, which only an acting one needs."""
    assert list(unneeded(role(stem, "observe"), everything(stem, "observe"))) == ["OwnTable: ['dynamodb:DeleteItem']"]


@every_story
def test_every_branch_was_taken(stem: str, name: str) -> None:
    """The stories are about what they say: each makes the calls and performs the actions it is there for, and does not fail."""
    story = TOLD_OF[stem][0][name]
    told = tell(story)
    assert story.calls <= told.made
    assert story.done <= told.done
    assert any(w.error is not None for w in told.woken) == story.fails, [w.error for w in told.woken]


def test_every_action_is_performed_in_some_story() -> None:
    """A new action needs a story, in which the calls that it makes are seen."""
    done = {kind for told, _ in TOLD_OF.values() for story in told.values() for kind in tell(story).done}
    assert done == {action.__name__ for action in get_args(plan.Action)}


@every_observed
def test_observing_writes_nothing(stem: str, name: str) -> None:
    """The same story in a stack that observes: its role grants every call, and the only ones that write are to its own table."""
    told = tell(TOLD_OF[stem][0][name], "observe")
    assert told.requests
    assert denied(role(stem, "observe"), told.requests) == []
    assert {operation for operation in told.made if is_write(operation)} == set()
    assert told.done == set()


@every_function
def test_in_observe_mode_every_write_would_be_denied(stem: str) -> None:
    """Even a function that tried could not write: in an observing stack its role allows the reads and nothing else."""
    refused = {r.action for r in denied(role(stem, "observe"), everything(stem))}
    assert refused == {r.action for r in everything(stem) if is_write(r.action)}
    assert (
        refused
        >= {
            "draining": {"ecs:RunTask", "ecs:TagResource", "iam:PassRole", "ec2:TerminateInstances", "autoscaling:DetachInstances"},
            "capacity": {"autoscaling:SetDesiredCapacity", "cloudwatch:PutMetricAlarm", "cloudwatch:TagResource", "ecs:PutAttributes"},
        }[stem]
    )


@every_function
def test_a_group_that_did_not_opt_in_is_out_of_reach(stem: str) -> None:
    """Whatever is written to a group is denied on one without the tag, but for taking off what Bulwark has put there."""
    on_groups = [r for r in everything(stem) if r.action.startswith("autoscaling:") and is_write(r.action)]
    untagged = [r.without(OPT_IN) for r in on_groups]
    assert on_groups
    assert denied(role(stem), on_groups) == []
    assert denied(role(stem), untagged) == [r for r in untagged if r.action not in REMOVALS]
    assert {r.action for r in untagged} & REMOVALS == (REMOVALS if stem == "draining" else set())


def test_only_our_own_hook_is_taken_off_a_group_that_has_opted_out() -> None:
    """By the note, which names whose the hook was: without it, or with another word on it, the group is nobody's."""
    removals = asked("draining", *sorted(REMOVALS))
    assert all(r.context.keys() >= {NOTE} for r in removals)
    without = [r.without(NOTE) for r in removals]
    other = [replace(r, context={**r.context, NOTE: "theirs"}) for r in removals]
    assert denied(role(), [*without, *other]) == [*without, *other]


@every_function
def test_a_cluster_outside_the_pattern_is_out_of_reach(stem: str) -> None:
    """With ClusterPattern set to other names, neither the cluster nor its groups can be written to, or looked into."""
    requests = everything(stem)
    elsewhere = role(stem, clusters="billing-*")
    allowed = [r for r in requests if not denied(elsewhere, [r])]
    removals = REMOVALS if stem == "draining" else set()
    assert {r.action for r in allowed} == OF_NO_CLUSTER[stem] | removals
    # A group that has opted out belongs to no cluster; one that has not is not even rid of its hook.
    assert not any(OPT_IN in r.context for r in allowed if r.action in REMOVALS)
    opted_in = [replace(r, context={**r.context, OPT_IN: "orders"}) for r in allowed if r.action in REMOVALS]
    assert denied(elsewhere, opted_in) == opted_in
    assert denied(role(stem, clusters="ord*"), requests) == []


def test_an_instance_without_the_tag_cannot_be_terminated() -> None:
    """Nor one that carries the name of a cluster outside the pattern."""
    endings = asked("draining", "ec2:TerminateInstances")
    untagged = [r.without("ec2:ResourceTag/bulwark:cluster") for r in endings]
    elsewhere = [replace(r, context={**r.context, "ec2:ResourceTag/bulwark:cluster": "billing"}) for r in endings]
    assert denied(role(), endings) == []
    assert denied(role(), untagged) == untagged
    assert denied(role(clusters="ord*"), elsewhere) == elsewhere


@pytest.mark.parametrize("keys", [("bulwark:cluster",), ("Name",), ("bulwark:hook", "bulwark:cluster"), ("bulwark:hook:x",), ()])
def test_tags_other_than_bulwark_hook_cannot_be_written(keys: tuple[str, ...]) -> None:
    """Whoever could write bulwark:cluster could opt any group in, or out; not even beside our own note is it allowed."""
    tagging = asked("draining", "autoscaling:CreateOrUpdateTags", "autoscaling:DeleteTags")
    others = [replace(r, context={**r.context, "aws:TagKeys": keys}) for r in tagging]
    assert denied(role(), others) == others


def test_only_what_is_just_started_can_be_tagged() -> None:
    """A task gets the tags of the one it takes the place of; to anything else ECS's tags cannot be written."""
    tagging = asked("draining", "ecs:TagResource")
    running = [r.without("ecs:CreateAction") for r in tagging]
    created = [replace(r, context={**r.context, "ecs:CreateAction": "CreateService"}) for r in tagging]
    services = [replace(r, resource=r.resource.replace(":task/", ":service/")) for r in tagging]
    assert denied(role(), [*running, *created, *services]) == [*running, *created, *services]


def test_roles_are_passed_only_as_the_operator_allows() -> None:
    """By default none; with a pattern those that it names, to ECS's tasks and to nothing else."""
    passing = asked("draining", "iam:PassRole")
    assert {r.resource for r in passing} == {ROLE}
    assert denied(role(), passing) == []
    assert denied(role(roles="billing-*"), passing) == passing
    assert denied(role(roles=""), passing) == passing
    assert "iam:PassRole" not in {a for s in role(roles="") for a in s.actions}
    to_another = [replace(r, context={**r.context, "iam:PassedToService": "ec2.amazonaws.com"}) for r in passing]
    assert denied(role(), to_another) == to_another


def renamed(request: Request, name: str) -> Request:
    """The same of an alarm of another name."""
    return replace(request, resource=f"{request.resource.partition(':alarm:')[0]}:alarm:{name}")


def test_only_bulwark_s_own_alarms_are_written_to() -> None:
    """An alarm of another name can be neither made nor changed nor deleted; one of ours only with the tag of a cluster in the pattern."""
    writing = asked("capacity", "cloudwatch:PutMetricAlarm", "cloudwatch:TagResource", "cloudwatch:DeleteAlarms")
    assert {r.resource.partition(":alarm:")[2].partition("/")[0] for r in writing} == {"bulwark"}
    others = [renamed(r, name) for r in writing for name in ("orders-full", "bulwark", "bulwark-2/orders/CPUReservation")]
    untagged = [r.without("aws:RequestTag/").without("aws:ResourceTag/") for r in writing]
    assert denied(role("capacity"), writing) == []
    assert denied(role("capacity"), [*others, *untagged]) == [*others, *untagged]
    assert denied(role("capacity", clusters="billing-*"), writing) == writing


def test_an_alarm_of_bulwark_s_does_nothing_by_itself() -> None:
    """Who can make alarms that stop instances, or that notify anybody, could do so by way of them."""
    putting = asked("capacity", "cloudwatch:PutMetricAlarm")
    acting = [replace(r, context={**r.context, "cloudwatch:AlarmActions": ("arn:aws:automate:us-east-1:ec2:stop",)}) for r in putting]
    assert denied(role("capacity"), acting) == acting


@pytest.mark.parametrize("keys", [("Name",), ("bulwark:cluster", "team")])
def test_alarms_are_tagged_with_their_cluster_only(keys: tuple[str, ...]) -> None:
    """The tag that says whose an alarm is, and no other beside it."""
    tagging = [replace(r, context={**r.context, "aws:TagKeys": keys}) for r in asked("capacity", "cloudwatch:TagResource")]
    assert denied(role("capacity"), tagging) == tagging
