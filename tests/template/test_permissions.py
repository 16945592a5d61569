"""Every AWS call the draining function makes is granted to its role, and its role is granted nothing that no call needs.

The real handler runs on the account in memory, through every branch that calls something of its own (``stories``); what it asked
for is laid beside the statements of the translated template, resources and conditions included.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import get_args

import pytest

from bulwark.core import plan
from tests.template.iam import Request, Statement, denied, statements
from tests.template.stories import OBSERVED, ROLE, STORIES, TABLE, Mode, tell
from tests.template.translated import Stack

LAMBDA_ITSELF = frozenset(
    {"logs:CreateLogStream", "logs:PutLogEvents", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
)
"""What Lambda does in the role's name, around the handler: writing its log, and reading its queue."""

OF_NO_CLUSTER = frozenset(
    {
        "ec2:DescribeInstances", "ec2:DescribeSpotInstanceRequests", "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DescribeLifecycleHooks", "ecs:DescribeTaskDefinition", "ecs:DescribeCapacityProviders",
        "ssm:GetParametersByPath", "ssm:GetParameterHistory", "dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:Query", "iam:PassRole",
    }
)  # fmt: skip
"""What is asked about nothing that belongs to a cluster, or to no one cluster."""

REMOVALS = frozenset({"autoscaling:DeleteLifecycleHook", "autoscaling:DeleteTags"})
"""How a group that has opted out is left as it was found."""

OPT_IN = "aws:ResourceTag/bulwark:cluster"
NOTE = "aws:ResourceTag/bulwark:hook"
ROLES_LIKE = "tasks/orders-*"

every_story = pytest.mark.parametrize("name", STORIES)


@cache
def role(mode: Mode = "act", clusters: str = "*", roles: str = ROLES_LIKE) -> tuple[Statement, ...]:
    """What the function's role may do in a stack of that mode, with these patterns of clusters and of roles."""
    return statements(Stack({"Mode": mode, "ClusterPattern": clusters, "TaskRolePattern": roles}, {"Table": TABLE}), "DrainingRole")


def is_write(action: str) -> bool:
    """Whether an action changes something that is not the function's own: its table holds what it remembers."""
    service, _, name = action.partition(":")
    return service != "dynamodb" and not name.startswith(("Describe", "List", "Get"))


def everything(mode: Mode = "act") -> list[Request]:
    """The requests of all stories that are told in a stack of that mode, each once."""
    names = STORIES if mode == "act" else OBSERVED
    return list({repr(request): request for name in names for request in tell(name, mode).requests}.values())


def asked(action: str, *more: str) -> list[Request]:
    """The requests of all stories for these actions. There are some."""
    found = [request for request in everything() if request.action in (action, *more)]
    assert {request.action for request in found} == {action, *more}
    return found


def unneeded(granted: tuple[Statement, ...], requests: list[Request]) -> Iterator[str]:
    """What can be taken from a role, one action or one resource at a time, without any of ``requests`` being denied for it."""
    for index, statement in enumerate(granted):
        if LAMBDA_ITSELF.issuperset(statement.actions):
            continue
        affected = [request for request in requests if statement.allows(request)]
        for less in statement.narrower():
            if not denied((*granted[:index], less, *granted[index + 1 :]), affected):
                yield f"{statement.sid}: {sorted({*statement.actions, *statement.resources} - {*less.actions, *less.resources})}"


@every_story
def test_every_call_is_granted(name: str) -> None:
    """Whatever the function calls in a story, the stack's role allows, on that very resource."""
    requests = tell(name).requests
    assert requests
    assert denied(role(), requests) == []


def test_nothing_is_granted_that_no_call_needs() -> None:
    """Take any one action or any one resource from the role, and some call of the stories is denied."""
    assert list(unneeded(role(), everything())) == []
    assert {a for s in role() for a in s.actions} == {r.action for r in everything()} | LAMBDA_ITSELF


def test_an_observing_role_is_granted_nothing_that_no_call_needs() -> None:
    """The same of a stack that only observes, but for the notes in its table, which only an acting one needs."""
    assert list(unneeded(role("observe"), everything("observe"))) == ["OwnTable: ['dynamodb:DeleteItem']"]


@every_story
def test_every_branch_was_taken(name: str) -> None:
    """The stories are about what they say: each makes the calls and performs the actions it is there for, and does not fail."""
    told = tell(name)
    assert STORIES[name].calls <= told.made
    assert STORIES[name].done <= told.done
    assert [w.error for w in told.woken if w.error is not None and name != "a cluster that is gone"] == []


def test_every_action_is_performed_in_some_story() -> None:
    """A new action needs a story, in which the calls that it makes are seen."""
    assert {kind for name in STORIES for kind in tell(name).done} == {action.__name__ for action in get_args(plan.Action)}


@pytest.mark.parametrize("name", OBSERVED)
def test_observing_writes_nothing(name: str) -> None:
    """The same story in a stack that observes: its role grants every call, and the only ones that write are to its own table."""
    told = tell(name, "observe")
    assert told.requests
    assert denied(role("observe"), told.requests) == []
    assert {operation for operation in told.made if is_write(operation)} == set()
    assert told.done == set()


def test_in_observe_mode_every_write_would_be_denied() -> None:
    """Even a function that tried could not write: in an observing stack its role allows the reads and nothing else."""
    refused = {r.action for r in denied(role("observe"), everything())}
    assert refused == {r.action for r in everything() if is_write(r.action)}
    assert {"ecs:RunTask", "ecs:TagResource", "iam:PassRole", "ec2:TerminateInstances", "autoscaling:DetachInstances"} <= refused


def test_a_group_that_did_not_opt_in_is_out_of_reach() -> None:
    """Whatever is written to a group is denied on one without the tag, but for taking off what Bulwark has put there."""
    on_groups = [r for r in everything() if r.action.startswith("autoscaling:") and is_write(r.action)]
    untagged = [r.without(OPT_IN) for r in on_groups]
    assert denied(role(), on_groups) == []
    assert denied(role(), untagged) == [r for r in untagged if r.action not in REMOVALS]
    assert {r.action for r in untagged} > REMOVALS


def test_only_our_own_hook_is_taken_off_a_group_that_has_opted_out() -> None:
    """By the note, which names whose the hook was: without it, or with another word on it, the group is nobody's."""
    removals = asked(*sorted(REMOVALS))
    assert all(r.context.keys() >= {NOTE} for r in removals)
    without = [r.without(NOTE) for r in removals]
    other = [replace(r, context={**r.context, NOTE: "theirs"}) for r in removals]
    assert denied(role(), [*without, *other]) == [*without, *other]


def test_a_cluster_outside_the_pattern_is_out_of_reach() -> None:
    """With ClusterPattern set to other names, neither the cluster nor its groups can be written to, or looked into."""
    requests = everything()
    allowed = [r for r in requests if not denied(role(clusters="billing-*"), [r])]
    assert {r.action for r in allowed} == OF_NO_CLUSTER | REMOVALS
    # A group that has opted out belongs to no cluster; one that has not is not even rid of its hook.
    assert not any(OPT_IN in r.context for r in allowed if r.action in REMOVALS)
    opted_in = [replace(r, context={**r.context, OPT_IN: "orders"}) for r in allowed if r.action in REMOVALS]
    assert denied(role(clusters="billing-*"), opted_in) == opted_in
    assert denied(role(clusters="ord*"), requests) == []


def test_an_instance_without_the_tag_cannot_be_terminated() -> None:
    """Nor one that carries the name of a cluster outside the pattern."""
    endings = asked("ec2:TerminateInstances")
    untagged = [r.without("ec2:ResourceTag/bulwark:cluster") for r in endings]
    elsewhere = [replace(r, context={**r.context, "ec2:ResourceTag/bulwark:cluster": "billing"}) for r in endings]
    assert denied(role(), endings) == []
    assert denied(role(), untagged) == untagged
    assert denied(role(clusters="ord*"), elsewhere) == elsewhere


@pytest.mark.parametrize("keys", [("bulwark:cluster",), ("Name",), ("bulwark:hook", "bulwark:cluster"), ("bulwark:hook:x",), ()])
def test_tags_other_than_bulwark_hook_cannot_be_written(keys: tuple[str, ...]) -> None:
    """Whoever could write bulwark:cluster could opt any group in, or out; not even beside our own note is it allowed."""
    tagging = asked("autoscaling:CreateOrUpdateTags", "autoscaling:DeleteTags")
    others = [replace(r, context={**r.context, "aws:TagKeys": keys}) for r in tagging]
    assert denied(role(), others) == others


def test_only_what_is_just_started_can_be_tagged() -> None:
    """A task gets the tags of the one it takes the place of; to anything else ECS's tags cannot be written."""
    tagging = asked("ecs:TagResource")
    running = [r.without("ecs:CreateAction") for r in tagging]
    created = [replace(r, context={**r.context, "ecs:CreateAction": "CreateService"}) for r in tagging]
    services = [replace(r, resource=r.resource.replace(":task/", ":service/")) for r in tagging]
    assert denied(role(), [*running, *created, *services]) == [*running, *created, *services]


def test_roles_are_passed_only_as_the_operator_allows() -> None:
    """By default none; with a pattern those that it names, to ECS's tasks and to nothing else."""
    passing = asked("iam:PassRole")
    assert {r.resource for r in passing} == {ROLE}
    assert denied(role(), passing) == []
    assert denied(role(roles="billing-*"), passing) == passing
    assert denied(role(roles=""), passing) == passing
    assert "iam:PassRole" not in {a for s in role(roles="") for a in s.actions}
    to_another = [replace(r, context={**r.context, "iam:PassedToService": "ec2.amazonaws.com"}) for r in passing]
    assert denied(role(), to_another) == to_another
