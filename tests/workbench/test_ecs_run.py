"""RunTask of the account in memory: once for a client token, with the tags, sizes and starter that it was asked for."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from tests.ecs_world import World, ecs_world

OURS = [{"key": "bulwark:replaces", "value": "i-0aaa0000000000001"}]


@pytest.fixture
def world() -> Iterator[World]:
    """A cluster with one instance and a task definition ``web``."""
    with ecs_world() as one:
        one.machine()
        one.define()
        yield one


def run(world: World, **asked: Any) -> Any:
    """RunTask of ``web`` in the cluster."""
    return world.ecs.run_task(**({"cluster": "orders", "taskDefinition": "web"} | asked))


def refused(world: World, **asked: Any) -> Any:
    """The error with which RunTask refuses."""
    with pytest.raises(ClientError) as error:
        run(world, **asked)
    return error.value.response


def test_the_same_token_starts_one_task(world: World) -> None:
    """Asked again, however the cluster is called, there is the same task as it is by then, and no other one."""
    asked = {"clientToken": "token", "startedBy": "bulwark", "tags": OURS}
    (first,) = run(world, **asked)["tasks"]
    world.settle(10)
    (again,) = run(world, **asked)["tasks"]
    (by_arn,) = run(world, **asked, cluster="arn:aws:ecs:us-east-1:123456789012:cluster/orders")["tasks"]
    assert first["taskArn"] == again["taskArn"] == by_arn["taskArn"]
    assert (first["lastStatus"], again["lastStatus"]) == ("PENDING", "RUNNING")
    assert len(world.tasks()) == 1
    world.ecs.stop_task(cluster="orders", task=first["taskArn"])
    world.settle(60)
    assert run(world, **asked)["tasks"][0]["lastStatus"] == "STOPPED"
    assert world.tasks() == []


def test_another_token_another_cluster_or_none_starts_another_task(world: World) -> None:
    """A token is a cluster's own; without one every call counts."""
    world.ecs.create_cluster(clusterName="other")
    world.machine(cluster="other")
    arns = [
        run(world, **asked)["tasks"][0]["taskArn"]
        for asked in ({"clientToken": "a"}, {"clientToken": "b"}, {"clientToken": "a", "cluster": "other"}, {}, {})
    ]
    assert len(set(arns)) == 5
    assert run(world, clientToken="a", cluster="other")["tasks"][0]["taskArn"] == arns[2]


@pytest.mark.parametrize("change", [{"count": 2}, {"startedBy": "somebody"}, {"tags": OURS}, {"group": "g"}], ids=str)
def test_a_token_used_for_something_else_is_a_conflict(world: World, change: dict[str, Any]) -> None:
    """ConflictException, naming the task that has the token; nothing is started."""
    (task,) = run(world, clientToken="token")["tasks"]
    answer = refused(world, clientToken="token", **change)
    assert (answer["Error"]["Code"], answer["resourceIds"]) == ("ConflictException", [task["taskArn"]])
    assert len(world.tasks()) == 1


def test_a_token_that_started_nothing_may_be_tried_again(world: World) -> None:
    """Refused for want of room, the same request starts its task when there is room."""
    world.define("large", cpu=4096)
    asked = {"taskDefinition": "large", "clientToken": "token"}
    assert run(world, **asked)["failures"][0]["reason"] == "RESOURCE:CPU"
    world.machine(instance_type="m5.2xlarge")
    assert len(run(world, **asked)["tasks"]) == 1


def test_a_token_is_forgotten_with_its_task_and_after_a_day(world: World) -> None:
    """An hour after the task ended, or 24 hours after the request, it is free."""
    (first,) = run(world, clientToken="token")["tasks"]
    world.leap(10)
    world.leap(23 * 3600)
    assert run(world, clientToken="token")["tasks"][0]["taskArn"] == first["taskArn"]
    world.leap(3600)
    (second,) = run(world, clientToken="token", startedBy="else")["tasks"]
    assert second["taskArn"] != first["taskArn"]
    world.leap(10)
    world.ecs.stop_task(cluster="orders", task=second["taskArn"])
    world.leap(60)
    assert refused(world, clientToken="token")["Error"]["Code"] == "ConflictException"
    world.leap(3600)
    assert run(world, clientToken="token")["tasks"][0]["taskArn"] not in (first["taskArn"], second["taskArn"])


def test_tags_show_only_to_who_asks_for_them(world: World) -> None:
    """DescribeTasks shows them with include TAGS and leaves them out otherwise; asking changes nothing."""
    (task,) = run(world, tags=OURS)["tasks"]
    named = {"cluster": "orders", "tasks": [task["taskArn"]]}
    shown = [world.ecs.describe_tasks(**named, **asked)["tasks"][0].get("tags", []) for asked in ({}, {"include": ["TAGS"]}, {})]
    assert shown == [[], OURS, []]


def test_a_task_keeps_what_it_was_started_with(world: World) -> None:
    """Group, starter, overrides and ECS Exec; ListTasks finds it by its starter."""
    overrides = {"containerOverrides": [{"name": "web", "command": ["true"]}], "taskRoleArn": "arn:aws:iam::123456789012:role/t"}
    run(world)
    asked = {"group": "nightly", "startedBy": "bulwark/i-0aaa0000000000001", "overrides": overrides, "enableExecuteCommand": True}
    run(world, **asked)
    (task,) = world.tasks(startedBy="bulwark/i-0aaa0000000000001")
    assert (task["group"], task["startedBy"], task["enableExecuteCommand"]) == ("nightly", "bulwark/i-0aaa0000000000001", True)
    assert task["overrides"]["containerOverrides"] == overrides["containerOverrides"]
    assert task["overrides"]["taskRoleArn"] == overrides["taskRoleArn"]
    assert world.tasks(startedBy="nobody") == []


def test_overrides_change_what_a_task_reserves(world: World) -> None:
    """A container's size, and the task's before it; the definition's where nothing is said."""
    container = {"containerOverrides": [{"name": "web", "cpu": 100, "memoryReservation": 200}]}
    sizes = [run(world, overrides=asked)["tasks"][0] for asked in ({}, container, {**container, "cpu": "1024", "memory": "600"})]
    assert [(task["cpu"], task["memory"]) for task in sizes] == [("256", "512"), ("100", "200"), ("1024", "600")]
    too_much = {"containerOverrides": [{"name": "web", "memory": 9000}]}
    assert run(world, overrides=too_much)["failures"][0]["reason"] == "RESOURCE:MEMORY"


@pytest.mark.parametrize(
    "asked",
    [
        {"clientToken": "x" * 65},
        {"clientToken": "a b"},
        {"startedBy": "x" * 129},
        {"startedBy": "a:b"},
        {"tags": [{"key": "aws:mine", "value": "x"}]},
        {"tags": [{"key": "a", "value": "x"}, {"key": "a", "value": "y"}]},
        {"tags": [{"key": f"k{n}", "value": ""} for n in range(51)]},
        {"overrides": {"containerOverrides": [{"name": "nobody"}]}},
        {"overrides": {"containerOverrides": [{"name": "web", "command": ["x" * 8192]}]}},
        {"enableExecuteCommand": True},
    ],
    ids=lambda asked: str(asked)[:40],
)
def test_what_ecs_would_not_take_is_refused(world: World, asked: dict[str, Any]) -> None:
    """Tokens, starters, tags and overrides out of bounds, and ECS Exec for a task without a role; nothing starts."""
    assert refused(world, **asked)["Error"]["Code"] == "InvalidParameterException"
    assert world.tasks() == []


def test_a_token_counts_over_http_too(world: World) -> None:
    """A server on the same state answers with the same task, and with the conflict."""
    (first,) = run(world, clientToken="token")["tasks"]
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        ecs: Any = boto3.client("ecs", endpoint_url=f"http://127.0.0.1:{port}")
        asked = {"cluster": "orders", "taskDefinition": "web", "clientToken": "token"}
        assert ecs.run_task(**asked)["tasks"][0]["taskArn"] == first["taskArn"]
        with pytest.raises(ecs.exceptions.ConflictException):
            ecs.run_task(**asked, count=2)
    finally:
        server.stop()
