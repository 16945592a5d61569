"""Container instances of the account in memory: what they register, how they are listed, changed and gone."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.ecs_world import World, ecs_world
from workbench.sandbox.ecs_attributes import agent_attributes

SSM_SECRETS = "ecs.capability.secrets.ssm.environment-variables"


@pytest.fixture
def world() -> Iterator[World]:
    """A cluster of its own."""
    with ecs_world() as one:
        yield one


def resources(instance: Any, kind: str) -> dict[str, Any]:
    """Resources by name: a number, or a set of ports."""
    return {r["name"]: set(r["stringSetValue"]) if r["type"] == "STRINGSET" else r["integerValue"] for r in instance[f"{kind}Resources"]}


def code(refused: pytest.ExceptionInfo[ClientError]) -> str:
    """The error code of a refusal."""
    return str(refused.value.response["Error"]["Code"])


@pytest.mark.parametrize(
    ("instance_type", "cpu", "memory"),
    [("m5.large", 2048, 7680), ("c4.4xlarge", 16384, 30158), ("t3.medium", 2048, 3828), ("m6i.xlarge", 4096, 15728)],
)
def test_an_instance_registers_what_its_type_has(world: World, instance_type: str, cpu: int, memory: int) -> None:
    """CPU units are 1,024 a vCPU, memory what was observed or 96 % of nominal, five host ports are taken."""
    seen = resources(world.instance(world.machine(instance_type=instance_type)), "registered")
    ports = {"22", "2375", "2376", "51678", "51679"}
    assert seen == {"CPU": cpu, "MEMORY": memory, "PORTS": ports, "PORTS_UDP": set()}


def test_an_instance_registers_with_its_attributes_agent_and_time(world: World) -> None:
    """Built-in attributes, the agent's version, its connection and the moment of registration are there."""
    seen = world.instance(world.machine(attributes={"stack": "prod"}, cpu=1000, memory=900, connected=False))
    held = {a["name"]: a.get("value") for a in seen["attributes"]}
    assert held.items() >= {
        "ecs.ami-id": "ami-0123456789abcdef0", "ecs.availability-zone": "us-east-1a", "ecs.instance-type": "m5.large",
        "ecs.os-type": "linux", "ecs.os-family": "LINUX", "ecs.cpu-architecture": "x86_64", "ecs.vpc-id": "vpc-1",
        "ecs.subnet-id": "subnet-1", "stack": "prod", SSM_SECRETS: None,
    }.items()  # fmt: skip
    assert (seen["versionInfo"]["agentVersion"], seen["agentConnected"], seen["registeredAt"]) == ("1.107.0", False, world.now)
    assert (resources(seen, "remaining")["CPU"], resources(seen, "remaining")["MEMORY"]) == (1000, 900)


def test_an_old_agent_lacks_what_came_later_and_a_machine_lacks_what_it_says() -> None:
    """1.14.3 is before 1.14.5, compared as numbers: no task ENI; 1.106.1 is after 1.99.0: everything."""
    assert "ecs.capability.task-eni" not in agent_attributes("1.14.3")
    assert "com.amazonaws.ecs.capability.task-iam-role" in agent_attributes("1.14.3")
    assert SSM_SECRETS not in agent_attributes("1.21.9")
    assert SSM_SECRETS in agent_attributes("1.22.0")
    assert "ecs.capability.storage.ebsta-non-root-user" in agent_attributes("1.106.1")
    assert "ecs.capability.storage.ebsta-non-root-user" not in agent_attributes("1.98.0")


def test_a_machine_lacks_what_it_is_said_to_lack(world: World) -> None:
    """The attribute is gone, and nothing else."""
    without, whole = (world.instance(world.machine(lacks=lacks)) for lacks in (frozenset({SSM_SECRETS}), frozenset[str]()))
    assert {a["name"] for a in whole["attributes"]} - {a["name"] for a in without["attributes"]} == {SSM_SECRETS}


def test_t24_registering_again_makes_another_registration(world: World) -> None:
    """One EC2 instance, two container instances: the filter finds both."""
    arns = {world.machine(id="i-0aaa0000000000001"), world.machine(id="i-0aaa0000000000001")}
    found = world.ecs.list_container_instances(cluster="orders", filter="ec2InstanceId in ['i-0aaa0000000000001']")
    assert len(arns) == 2
    assert set(found["containerInstanceArns"]) == arns


def test_an_instance_type_that_ec2_does_not_know_is_refused(world: World) -> None:
    """A typing error does not become an instance of some default size."""
    with pytest.raises(ValueError, match=r"m5\.huge is no EC2 instance type"):
        world.machine(instance_type="m5.huge")


def test_listing_filters_by_status_and_expression(world: World) -> None:
    """DRAINING ones are listed unless a status is asked for; a filter in the cluster query language narrows further."""
    first, second = world.machine(), world.machine()
    world.drain(first)
    listed = [
        world.ecs.list_container_instances(cluster="orders", **asked)["containerInstanceArns"]
        for asked in (
            {"status": "ACTIVE"},
            {"status": "DRAINING"},
            {"filter": "attribute:ecs.availability-zone == us-east-1b"},
            {"status": "ACTIVE", "filter": "attribute:ecs.availability-zone == us-east-1a"},
        )
    ]
    assert listed == [[second], [first], [second], []]
    assert set(world.ecs.list_container_instances(cluster="orders")["containerInstanceArns"]) == {first, second}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"cluster": "nowhere"}, "ClusterNotFoundException"),
        ({"filter": "what is this"}, "InvalidParameterException"),
        ({"status": "SLEEPING"}, "InvalidParameterException"),
        ({"maxResults": 101}, "InvalidParameterException"),
        ({"nextToken": "no token"}, "InvalidParameterException"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused(world: World, asked: dict[str, Any], expected: str) -> None:
    """Unknown cluster, filter, status, size of page or token."""
    with pytest.raises(ClientError) as refused:
        world.ecs.list_container_instances(**({"cluster": "orders"} | asked))
    assert code(refused) == expected


def test_t3_lists_come_in_pages_of_at_most_a_hundred(world: World) -> None:
    """201 instances take three pages, none twice; describing 101 at once is refused, and 100 is not."""
    arns = {world.machine() for _ in range(201)}
    pages = list(world.ecs.get_paginator("list_container_instances").paginate(cluster="orders"))
    listed = [arn for page in pages for arn in page["containerInstanceArns"]]
    assert [len(page["containerInstanceArns"]) for page in pages] == [100, 100, 1]
    assert set(listed) == arns
    with pytest.raises(ClientError) as refused:
        world.ecs.describe_container_instances(cluster="orders", containerInstances=listed[:101])
    assert code(refused) == "InvalidParameterException"
    described = world.ecs.describe_container_instances(cluster="orders", containerInstances=[*listed[:99], "gone"])
    assert len(described["containerInstances"]) == 99
    assert [f["reason"] for f in described["failures"]] == ["MISSING"]


def test_a_cluster_without_instances_is_empty_not_broken(world: World) -> None:
    """Describing in it gives a failure, listing gives nothing."""
    answer = world.ecs.describe_container_instances(cluster="orders", containerInstances=["gone"])
    assert (answer["containerInstances"], answer["failures"][0]["reason"]) == ([], "MISSING")
    assert world.ecs.list_container_instances(cluster="orders")["containerInstanceArns"] == []


def test_t4_the_state_of_ten_instances_changes_at_once_and_failures_come_with_a_200(world: World) -> None:
    """Eleven are refused; an unknown and an INACTIVE one come back under failures while the others change."""
    arns = [world.machine() for _ in range(11)]
    with pytest.raises(ClientError) as refused:
        world.ecs.update_container_instances_state(cluster="orders", containerInstances=arns, status="DRAINING")
    assert code(refused) == "InvalidParameterException"
    world.physics.host_gone("i-00000000000000001")
    answer = world.ecs.update_container_instances_state(cluster="orders", containerInstances=[*arns[:2], "gone"], status="DRAINING")
    assert [(i["containerInstanceArn"], i["status"]) for i in answer["containerInstances"]] == [(arns[0], "DRAINING")]
    assert sorted(f["reason"] for f in answer["failures"]) == ["INACTIVE", "MISSING"]
    assert [world.instance(arn)["status"] for arn in arns[:3]] == ["DRAINING", "INACTIVE", "ACTIVE"]


def test_an_instance_can_only_be_set_active_or_draining(world: World) -> None:
    """Any other status is refused."""
    arn = world.machine()
    with pytest.raises(ClientError) as refused:
        world.ecs.update_container_instances_state(cluster="orders", containerInstances=[arn], status="DEREGISTERING")
    assert code(refused) == "InvalidParameterException"


def test_the_answer_to_a_change_of_state_is_what_it_left_behind(world: World) -> None:
    """Status and version of after the change, with the tasks still there, as DescribeContainerInstances then shows them."""
    arn = world.machine()
    world.define()
    world.ecs.start_task(cluster="orders", taskDefinition="web", containerInstances=[arn])
    world.settle()
    before = world.instance(arn)
    answer = world.ecs.update_container_instances_state(cluster="orders", containerInstances=[arn], status="DRAINING")
    (after,) = answer["containerInstances"]
    assert (after["status"], after["version"], after["runningTasksCount"]) == ("DRAINING", before["version"] + 1, 1)
    assert after == world.instance(arn)


def test_every_change_raises_the_version_and_no_change_does_not(world: World) -> None:
    """Draining raises it, draining again does not."""
    arn = world.machine()
    before = world.instance(arn)["version"]
    world.drain(arn)
    once = world.instance(arn)["version"]
    world.drain(arn)
    assert (once, world.instance(arn)["version"]) == (before + 1, once)


def test_attributes_are_put_listed_and_deleted(world: World) -> None:
    """By ARN and by id; listing by name needs no value; deleting by name needs none either."""
    first, second = world.machine(), world.machine()
    mark = "spot-interruption 2026-11-24T03:00:00Z 2026-11-24T03:02:00Z"
    world.ecs.put_attributes(
        cluster="orders",
        attributes=[
            {"name": "bulwark.drain", "value": mark, "targetId": first},
            {"name": "stack", "value": "prod", "targetId": second.rpartition("/")[2], "targetType": "container-instance"},
        ],
    )

    def listed(**asked: str) -> list[tuple[str, str | None]]:
        """Targets and values of the custom attributes found."""
        found = world.ecs.list_attributes(cluster="orders", targetType="container-instance", **asked)["attributes"]
        return [(a["targetId"], a.get("value")) for a in found]

    assert listed(attributeName="bulwark.drain") == [(first, mark)]
    assert listed(attributeName="stack") == [(second, "prod")]
    assert listed(attributeName="stack", attributeValue="test") == []
    world.ecs.delete_attributes(cluster="orders", attributes=[{"name": "stack", "targetId": second}])
    assert listed(attributeName="stack") == []


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ([{"name": f"a{i}", "targetId": "ARN"} for i in range(11)], "InvalidParameterException"),
        ([{"name": "a", "targetId": "gone"}], "TargetNotFoundException"),
        ([{"name": "a", "value": "x=y", "targetId": "ARN"}], "InvalidParameterException"),
        ([{"name": "a", "value": "x" * 129, "targetId": "ARN"}], "InvalidParameterException"),
        ([{"name": "a", "value": " x", "targetId": "ARN"}], "InvalidParameterException"),
        ([{"name": "a b", "targetId": "ARN"}], "InvalidParameterException"),
        ([{"name": "a", "targetId": "ARN"}, {"name": "b", "targetId": "gone"}], "TargetNotFoundException"),
    ],
)
def test_attributes_that_ecs_would_not_take_are_refused_whole(world: World, attributes: list[dict[str, str]], expected: str) -> None:
    """Too many, no such target, characters and lengths: and nothing of the call is kept."""
    arn = world.machine()
    sent = [{**a, "targetId": arn if a["targetId"] == "ARN" else a["targetId"]} for a in attributes]
    with pytest.raises(ClientError) as refused:
        world.ecs.put_attributes(cluster="orders", attributes=sent)
    assert code(refused) == expected
    assert world.ecs.list_attributes(cluster="orders", targetType="container-instance", attributeName="a")["attributes"] == []


def test_an_instance_has_at_most_ten_custom_attributes(world: World) -> None:
    """The eleventh is refused; changing one of the ten is not."""
    arn = world.machine()
    world.ecs.put_attributes(cluster="orders", attributes=[{"name": f"a{i}", "targetId": arn} for i in range(10)])
    world.ecs.put_attributes(cluster="orders", attributes=[{"name": "a0", "value": "x", "targetId": arn}])
    with pytest.raises(ClientError) as refused:
        world.ecs.put_attributes(cluster="orders", attributes=[{"name": "b", "targetId": arn}])
    assert code(refused) == "AttributeLimitExceededException"


def test_an_instance_with_tasks_is_deregistered_only_by_force_and_the_work_starts_elsewhere(world: World) -> None:
    """Refused first; forced, the scheduler starts another task elsewhere."""
    first = world.machine()
    world.define()
    world.service()
    world.settle()
    second = world.machine()
    with pytest.raises(ClientError) as refused:
        world.ecs.deregister_container_instance(cluster="orders", containerInstance=first)
    assert code(refused) == "InvalidParameterException"
    answer = world.ecs.deregister_container_instance(cluster="orders", containerInstance=first, force=True)
    assert answer["containerInstance"]["status"] == "INACTIVE"
    world.settle()
    assert (world.counts(), world.load(second)) == ((1, 1, 0), (1, 0))


def test_t23_a_host_that_goes_with_its_agent_connected_is_deregistered_and_one_without_is_not(world: World) -> None:
    """The first disappears with its tasks; the second stays registered, ACTIVE, out of touch."""
    gone, lost = world.machine(), world.machine(connected=False)
    world.define()
    world.ecs.start_task(cluster="orders", taskDefinition="web", containerInstances=[gone])
    world.settle()
    world.physics.host_gone("i-00000000000000000")
    world.physics.host_gone("i-00000000000000001")
    assert world.ecs.list_container_instances(cluster="orders")["containerInstanceArns"] == [lost]
    assert (world.instance(lost)["status"], world.instance(lost)["agentConnected"]) == ("ACTIVE", False)
    (task,) = world.tasks(desiredStatus="STOPPED")
    assert (task["lastStatus"], task["stopCode"]) == ("STOPPED", "TerminationNotice")
    assert task["stoppedReason"] == "Host EC2 (instance i-00000000000000000) terminated."


def test_a_lost_connection_and_an_agent_that_drains_itself(world: World) -> None:
    """Lost, it keeps status and tasks and its version rises once; an agent can drain what is ACTIVE, and only while it is connected."""
    lost, kept, both = world.machine(), world.machine(), world.machine(status="DRAINING")
    world.define()
    world.ecs.start_task(cluster="orders", taskDefinition="web", containerInstances=[lost])
    world.settle()
    versions = [world.instance(arn)["version"] for arn in (lost, kept, both)]
    for machine in ("i-00000000000000000", "i-00000000000000000", "i-0bbb0000000000001"):
        world.physics.disconnect(machine)
    for number in range(3):
        world.physics.drain(f"i-{number:017x}")
    seen = [world.instance(arn) for arn in (lost, kept, both)]
    assert [(i["status"], i["agentConnected"]) for i in seen] == [("ACTIVE", False), ("DRAINING", True), ("DRAINING", True)]
    assert [i["version"] - version for i, version in zip(seen, versions, strict=True)] == [1, 1, 0]
    assert world.load(lost) == (1, 0)


def test_counts_of_a_cluster_are_those_of_its_instances_and_services(world: World) -> None:
    """Registered instances less those gone, tasks, and ACTIVE services."""
    world.machine()
    world.machine()
    world.define()
    world.service(desired=2)
    world.settle()
    world.physics.host_gone("i-00000000000000001")
    (cluster,) = world.ecs.describe_clusters(clusters=["orders"])["clusters"]
    assert (cluster["registeredContainerInstancesCount"], cluster["runningTasksCount"], cluster["activeServicesCount"]) == (1, 1, 1)


def test_t27_an_agent_update_brings_the_new_agent_or_says_why_not(world: World) -> None:
    """Up to date and arm64: none available; twice: in progress; a minute later the new version and its attributes."""
    old, new, arm = (
        world.machine(agent="1.14.3"), world.machine(), world.machine(instance_type="m6g.large", agent="1.14.3"),
    )  # fmt: skip
    for arn in (new, arm):
        with pytest.raises(world.ecs.exceptions.NoUpdateAvailableException):
            world.ecs.update_container_agent(cluster="orders", containerInstance=arn)
    answer = world.ecs.update_container_agent(cluster="orders", containerInstance=old)
    assert answer["containerInstance"]["agentUpdateStatus"] == "PENDING"
    with pytest.raises(world.ecs.exceptions.UpdateInProgressException):
        world.ecs.update_container_agent(cluster="orders", containerInstance=old)
    world.settle(61)
    seen = world.instance(old)
    assert (seen["agentUpdateStatus"], seen["versionInfo"]["agentVersion"]) == ("UPDATED", "1.107.0")
    assert SSM_SECRETS in {a["name"] for a in seen["attributes"]}


def test_capacity_providers_are_described_and_missing_ones_are_failures(world: World) -> None:
    """Managed draining is on unless it was turned off."""
    arn = "arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:1:autoScalingGroupName/orders-spot"
    world.ecs.create_capacity_provider(name="spot", autoScalingGroupProvider={"autoScalingGroupArn": arn})
    answer = world.ecs.describe_capacity_providers(capacityProviders=["spot", "other"])
    (provider,) = answer["capacityProviders"]
    assert (provider["name"], provider["autoScalingGroupProvider"]["managedDraining"]) == ("spot", "ENABLED")
    assert [f["reason"] for f in answer["failures"]] == ["MISSING"]
