"""How many awsvpc tasks an instance takes: one network interface each, and many more where ENI trunking is on."""

from collections.abc import Iterator

import boto3
import pytest
from moto.ec2.models.instance_types import INSTANCE_TYPES

from bulwark.core.enis import task_enis
from tests.ecs_world import World, ecs_world
from workbench.sandbox import Account
from workbench.sandbox.ecs_shapes import shape
from workbench.sandbox.scenario import read_scenario

TRUNK = "ecs.awsvpc-trunk-id"


@pytest.fixture
def world() -> Iterator[World]:
    """A cluster of its own."""
    with ecs_world() as one:
        yield one


def running(world: World, desired: int) -> int:
    """How many of so many small awsvpc tasks get a place."""
    world.define(cpu=10, memory=16, task={"networkMode": "awsvpc"})
    subnets = [subnet["SubnetId"] for subnet in boto3.client("ec2").describe_subnets()["Subnets"]]
    world.service(desired=desired, networkConfiguration={"awsvpcConfiguration": {"subnets": subnets}})
    world.settle()
    return world.counts()[1]


@pytest.mark.parametrize(("instance_type", "count"), [("m5.large", 2), ("m5.xlarge", 3), ("t3.medium", 2), ("m6g.medium", 1)])
def test_without_trunking_an_instance_takes_its_interfaces_less_one(world: World, instance_type: str, count: int) -> None:
    """The rest have no place, for want of an interface."""
    world.machine(instance_type=instance_type)
    assert running(world, 12) == count
    assert 'encountered error "RESOURCE:ENI"' in world.messages()[0]


@pytest.mark.parametrize(("instance_type", "count"), [("m5.large", 10), ("m6g.large", 10), ("m5.xlarge", 12)])
def test_with_trunking_it_takes_the_trunked_number(world: World, instance_type: str, count: int) -> None:
    """The instance shows its trunk among its attributes, whoever named it."""
    arn = world.machine(instance_type=instance_type, trunking=True)
    assert running(world, 12) == count
    assert {a["name"]: a.get("value") for a in world.instance(arn)["attributes"]}[TRUNK] == "eni-00000000000000000"


def test_a_trunk_among_the_machines_attributes_counts(world: World) -> None:
    """With its own id."""
    arn = world.machine(attributes={TRUNK: "eni-0123"})
    assert running(world, 12) == 10
    assert [a["value"] for a in world.instance(arn)["attributes"] if a["name"] == TRUNK] == ["eni-0123"]


def test_a_type_without_trunking_gets_no_trunk(world: World) -> None:
    """A t3 has none, whatever the account's setting is."""
    arn = world.machine(instance_type="t3.medium", trunking=True)
    assert running(world, 12) == 2
    assert TRUNK not in {a["name"] for a in world.instance(arn)["attributes"]}


def test_sandbox_and_core_count_alike_where_the_core_knows_the_type() -> None:
    """Of a type that the core does not know, EC2 knows the interfaces: all but the first are for tasks, and there is no trunk."""
    unknown = 0
    for name in ("m5.large", "c5.4xlarge", "r6i.xlarge", "m6g.large", "t3.small", "t2.micro", "m7i-flex.large", "m1.small", "p4d.24xlarge"):
        found, plain, trunked = shape(name), task_enis(name, trunked=False), task_enis(name, trunked=True)
        unknown += plain is None
        assert found.enis == (INSTANCE_TYPES[name]["NetworkInfo"]["MaximumNetworkInterfaces"] - 1 if plain is None else plain), name
        assert found.enis_trunked == (trunked if trunked != plain else None), name
    assert unknown
    assert shape("m5.large").enis_trunked == 10


def test_a_groups_instances_are_trunked_if_the_scenario_says_so() -> None:
    """Those it starts with and those it launches."""
    groups = [{"name": "g", "desired": 1, "max": 2, "trunking": True, "launch_delay": 5}]
    services = [{"name": "web", "desired": 15, "cpu": 10, "memory": 16, "network": "awsvpc"}]
    with Account(read_scenario({"clusters": [{"name": "orders", "groups": groups, "services": services}]}, "test")) as account:
        ecs = account.client("ecs")
        assert ecs.describe_services(cluster="orders", services=["web"])["services"][0]["runningCount"] == 10
        account.client("autoscaling").set_desired_capacity(AutoScalingGroupName="g", DesiredCapacity=2)
        account.settle(30)
        assert ecs.describe_services(cluster="orders", services=["web"])["services"][0]["runningCount"] == 15
