"""The matcher that the permissions test rests on decides as IAM does."""

import pytest

from tests.template.calls import Call, Facts, recorded_calls, requests_of
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
        ("StringLikeIfExists", "a*", None, True),
        ("StringLikeIfExists", "a*", "ab", True),
        ("StringLikeIfExists", "a*", "b", False),
        ("ArnLike", "arn:aws:ecs:*:*:cluster/*", CLUSTERS + "a", True),
        ("ArnEquals", "arn:*:cluster/*", CLUSTERS + "a", False),
    ],
)
def test_condition_operators(operator: str, pattern: str, value: str | None, holds: bool) -> None:
    """Each operator the template may use means what IAM says it means."""
    statement = Statement("s", ("a:B",), ("*",), {operator: {"key": (pattern,)}})
    assert statement.allows(Request("a:B", "*", {} if value is None else {"key": value})) is holds


@pytest.mark.parametrize(
    ("keys", "holds"), [((), True), (None, True), (("a",), True), (("a", "b"), True), (("a", "c"), False), (("c",), False)]
)
def test_for_all_values(keys: tuple[str, ...] | None, *, holds: bool) -> None:
    """Every value of the request must be accepted; of a request that has none, that is true."""
    statement = Statement("s", ("a:B",), ("*",), {"ForAllValues:StringEquals": {"aws:TagKeys": ("a", "b")}})
    assert statement.allows(Request("a:B", "*", {} if keys is None else {"aws:TagKeys": keys})) is holds


@pytest.mark.parametrize("operator", ["DateLessThan", "DateLessThanIfExists", "ForAnyValue:StringEquals", "ForAllValues:DateLessThan"])
@pytest.mark.parametrize("context", [{}, {"k": "1"}])
def test_an_unknown_operator_is_an_error(operator: str, context: dict[str, str]) -> None:
    """What nobody taught the matcher must not pass as satisfied, nor as unsatisfied."""
    with pytest.raises(NotImplementedError, match=operator):
        Statement("s", ("a:B",), ("*",), {operator: {"k": ("1",)}}).allows(Request("a:B", "*", context))


def test_several_values_under_an_operator_for_one_are_an_error() -> None:
    """What IAM makes of a key with several values under a plain operator is not known here."""
    statement = Statement("s", ("a:B",), ("*",), {"StringEquals": {"k": ("1",)}})
    with pytest.raises(NotImplementedError, match="several values"):
        statement.allows(Request("a:B", "*", {"k": ("1", "2")}))


def test_a_request_without_some_keys() -> None:
    """What is taken away is every key that begins so, and nothing else."""
    request = Request("a:B", "*", {"aws:ResourceTag/x": "1", "aws:ResourceTag/y": "2", "aws:RequestedRegion": "r"})
    assert request.without("aws:ResourceTag/") == Request("a:B", "*", {"aws:RequestedRegion": "r"})


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
    assert [(r.resource, r.context["ecs:cluster"]) for r in requests_of(update, Facts())] == [(a, CLUSTERS + "orders") for a in arns]
    put = Call("ecs:PutAttributes", {"cluster": "orders", "attributes": [{"name": "n", "targetId": arns[0]}]})
    assert [r.resource for r in requests_of(put, Facts())] == [arns[0]]


def test_a_write_to_a_group_is_asked_with_its_tags() -> None:
    """By the group's name, or by that of the instance's group; tags are written to each group by itself, with their keys."""
    facts = Facts({"a": {"bulwark:cluster": "orders"}, "b": {}}, {"i-1": {"aws:autoscaling:groupName": "a"}})
    for given in ({"AutoScalingGroupName": "a"}, {"InstanceId": "i-1"}):
        operation = "TerminateInstanceInAutoScalingGroup" if "InstanceId" in given else "DetachInstances"
        (request,) = requests_of(Call(f"autoscaling:{operation}", given), facts)
        assert request.resource.endswith(":autoScalingGroupName/a")
        assert request.context["aws:ResourceTag/bulwark:cluster"] == "orders"
    tags = [{"ResourceId": group, "Key": key} for group, key in (("b", "x"), ("a", "y"), ("b", "z"))]
    asked = requests_of(Call("autoscaling:DeleteTags", {"Tags": tags}), facts)
    assert [(r.resource[-1], r.context["aws:TagKeys"]) for r in asked] == [("a", ("y",)), ("b", ("x", "z"))]


def test_an_instance_is_ended_by_its_own_tags() -> None:
    """Each instance of a call is a request, with its tags under the keys of both services; one that is not known is an error."""
    facts = Facts(instances={"i-1": {"bulwark:cluster": "orders"}})
    (request,) = requests_of(Call("ec2:TerminateInstances", {"InstanceIds": ["i-1"]}), facts)
    assert request.resource == "arn:aws:ec2:us-east-1:123456789012:instance/i-1"
    assert request.context["ec2:ResourceTag/bulwark:cluster"] == request.context["aws:ResourceTag/bulwark:cluster"] == "orders"
    with pytest.raises(LookupError, match="i-2"):
        requests_of(Call("ec2:TerminateInstances", {"InstanceIds": ["i-2"]}), facts)


def test_a_task_is_run_with_its_tags_and_roles() -> None:
    """RunTask asks for the task definition, for the tags if there are any, and for each role once, overridden or not."""
    definition, own, other = (
        "arn:aws:ecs:us-east-1:123456789012:task-definition/f:1",
        "arn:aws:iam::1:role/own",
        "arn:aws:iam::1:role/other",
    )
    facts = Facts(roles={definition: (own, own)})
    plain = requests_of(Call("ecs:RunTask", {"cluster": "orders", "taskDefinition": definition}), facts)
    assert [(r.action, r.resource) for r in plain] == [("ecs:RunTask", definition), ("iam:PassRole", own)]
    more = {"tags": [{"key": "k", "value": "v"}], "overrides": {"taskRoleArn": other}}
    full = requests_of(Call("ecs:RunTask", {"cluster": "orders", "taskDefinition": definition, **more}), facts)
    assert [r.action for r in full] == ["ecs:RunTask", "ecs:TagResource", "iam:PassRole", "iam:PassRole"]
    assert full[1].context["ecs:CreateAction"] == "RunTask"
    assert full[1].context["aws:TagKeys"] == ("k",)
    assert {r.resource for r in full[2:]} == {own, other}


@pytest.mark.parametrize(("given", "resource"), [({}, "*"), ({"capacityProviders": ["p"]}, "capacity-provider/p")])
def test_capacity_providers_are_asked_for_by_name_or_all_at_once(given: dict[str, list[str]], resource: str) -> None:
    """A list that names none is about everything there is."""
    (request,) = requests_of(Call("ecs:DescribeCapacityProviders", given), Facts())
    assert request.resource.removeprefix("arn:aws:ecs:us-east-1:123456789012:") == resource


@pytest.mark.parametrize(
    "operation",
    [
        "sqs:PurgeQueue",
        "ecs:DeleteService",
        "ec2:RunInstances",
        "autoscaling:UpdateAutoScalingGroup",
        "cloudwatch:PutDashboard",
        "dynamodb:Scan",
        "ssm:PutParameter",
    ],
)
def test_an_unknown_operation_is_an_error(operation: str) -> None:
    """A call that nobody taught the map is not passed over."""
    with pytest.raises(LookupError, match=operation):
        requests_of(Call(operation, {"cluster": "orders"}), Facts())


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
