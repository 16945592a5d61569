"""The matcher that the permissions test rests on decides as IAM does."""

import pytest

from tests.template.calls import Call, recorded_calls, requests_of
from tests.template.iam import Request, Statement, arn_like, denied, like, statements
from tests.template.translated import Stack

CLUSTERS = "arn:aws:ecs:us-east-1:123456789012:cluster/"
INSTANCES = "arn:aws:ecs:us-east-1:123456789012:container-instance/"
DRAIN = Statement(
    "Drain",
    ("ecs:UpdateContainerInstancesState",),
    (INSTANCES + "*",),
    {"ArnLike": {"ecs:cluster": (CLUSTERS + "orders-*",)}},
)


def no_tags(_: str) -> dict[str, str]:
    """A group that has not opted in."""
    return {}


def a_drain(cluster: str = "orders-eu", action: str = "ecs:UpdateContainerInstancesState") -> Request:
    """A request on an instance of ``cluster``."""
    return Request(action, f"{INSTANCES}{cluster}/1", {"ecs:cluster": CLUSTERS + cluster})


def test_action_resource_and_condition_must_all_match() -> None:
    """A statement allows what it names, and nothing when one of the three differs; actions are written in any case."""
    assert DRAIN.allows(a_drain())
    assert DRAIN.allows(a_drain(action="ECS:updatecontainerinstancesstate"))
    assert not DRAIN.allows(a_drain(action="ecs:PutAttributes"))
    assert not DRAIN.allows(a_drain("billing"))
    assert not DRAIN.allows(Request("ecs:UpdateContainerInstancesState", CLUSTERS + "orders-eu", {"ecs:cluster": CLUSTERS + "orders-eu"}))


def test_an_absent_key_satisfies_no_condition() -> None:
    """A request without the key is not allowed, whatever the pattern: a group without the tag has not opted in."""
    statement = Statement("s", ("a:B",), ("*",), {"StringLike": {"aws:ResourceTag/x": ("*",)}})
    assert not statement.allows(Request("a:B", "*"))
    assert statement.allows(Request("a:B", "*", {"aws:ResourceTag/x": ""}))


@pytest.mark.parametrize(
    ("operator", "pattern", "value", "holds"),
    [
        ("StringEquals", "a", "a", True),
        ("StringEquals", "a*", "ab", False),
        ("StringLike", "a?c*", "abc", True),
        ("StringLike", "a?c*", "ac", False),
        ("Null", "true", None, True),
        ("Null", "false", None, False),
        ("Null", "false", "x", True),
        ("ArnLike", "arn:aws:ecs:*:*:cluster/*", CLUSTERS + "a", True),
        ("ArnEquals", "arn:*:cluster/*", CLUSTERS + "a", False),
    ],
)
def test_condition_operators(operator: str, pattern: str, value: str | None, holds: bool) -> None:
    """Each operator the template may use means what IAM says it means."""
    statement = Statement("s", ("a:B",), ("*",), {operator: {"key": (pattern,)}})
    assert statement.allows(Request("a:B", "*", {} if value is None else {"key": value})) is holds


def test_an_unknown_operator_is_an_error() -> None:
    """What nobody taught the matcher must not pass as satisfied."""
    with pytest.raises(NotImplementedError, match="DateLessThan"):
        Statement("s", ("a:B",), ("*",), {"DateLessThan": {"k": ("1",)}}).allows(Request("a:B", "*"))


def test_wildcards() -> None:
    """In a resource ``*`` passes over colons; in ArnLike it does not. Other characters stand for themselves."""
    assert like("a:b/c", "a*c")
    assert not like("abc", "a.c")
    assert not like("abcd", "abc")
    assert not arn_like("arn:aws:ecs:eu:1:cluster/a", "arn:aws:*:cluster/a")


def test_narrower_takes_one_thing_away_at_a_time() -> None:
    """Two actions on two resources can be narrowed in four ways."""
    ways = list(Statement("s", ("a:B", "a:C"), ("x", "y")).narrower())
    assert [(w.actions, w.resources) for w in ways] == [
        (("a:C",), ("x", "y")),
        (("a:B",), ("x", "y")),
        (("a:B", "a:C"), ("y",)),
        (("a:B", "a:C"), ("x",)),
    ]


def test_requests_name_what_iam_authorises() -> None:
    """A call on two instances is two requests, each with its cluster; PutAttributes is asked for each target."""
    arns = [f"{INSTANCES}orders/{n}" for n in "ab"]
    update = Call("ecs:UpdateContainerInstancesState", {"cluster": "orders", "containerInstances": arns, "status": "DRAINING"})
    assert [(r.resource, r.context["ecs:cluster"]) for r in requests_of(update, no_tags)] == [(a, CLUSTERS + "orders") for a in arns]
    put = Call("ecs:PutAttributes", {"cluster": "orders", "attributes": [{"name": "n", "targetId": arns[0]}]})
    assert [r.resource for r in requests_of(put, no_tags)] == [arns[0]]


def test_an_unknown_operation_is_an_error() -> None:
    """A call that nobody taught the map is not passed over."""
    for operation in ("sqs:PurgeQueue", "ecs:RunTask"):
        with pytest.raises(LookupError, match=operation):
            requests_of(Call(operation, {"cluster": "orders"}), no_tags)


def test_calls_are_recorded_before_they_are_sent() -> None:
    """The recorder hears sessions made within its block, by operation and parameters, and none that are made after it."""
    import boto3
    from moto import mock_aws

    with mock_aws():
        with recorded_calls() as calls:
            boto3.session.Session().client("ecs").list_clusters(maxResults=7)
        boto3.session.Session().client("ecs").list_clusters()
    assert calls == [Call("ecs:ListClusters", {"maxResults": 7})]


def test_the_role_of_the_template_is_read() -> None:
    """Statements come with references resolved: a drain in the stack's account and Region is allowed, one elsewhere is not."""
    role = statements(Stack({"Mode": "act"}), "DrainingRole")
    here = a_drain()
    elsewhere = Request(here.action, here.resource.replace("us-east-1", "eu-west-1"), here.context)
    assert denied(role, [here, elsewhere]) == [elsewhere]
