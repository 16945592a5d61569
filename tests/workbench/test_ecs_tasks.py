"""Tasks of the account in memory: where they go, why not, and how long they take to start and stop."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.ecs_world import World, ecs_world

ROLE = "arn:aws:iam::123456789012:role"


@pytest.fixture
def world() -> Iterator[World]:
    """A cluster of its own."""
    with ecs_world() as one:
        yield one


def code(refused: pytest.ExceptionInfo[ClientError]) -> str:
    """The error code of a refusal."""
    return str(refused.value.response["Error"]["Code"])


def run(world: World, **asked: Any) -> Any:
    """RunTask of ``web`` in the cluster."""
    return world.ecs.run_task(**({"cluster": "orders", "taskDefinition": "web"} | asked))


def test_a_task_takes_seconds_to_start_and_holds_its_reservation_until_it_has_stopped(world: World) -> None:
    """PENDING, RUNNING after six seconds, told to stop but still there, STOPPED after ten, and only then is its room free."""
    arn = world.machine(cpu=256, memory=512)
    world.define()
    (task,) = run(world)["tasks"]
    assert (task["lastStatus"], task["desiredStatus"], task["group"], world.load(arn)) == ("PENDING", "RUNNING", "family:web", (0, 1))
    world.settle(6)
    assert world.load(arn) == (1, 0)
    stopped = world.ecs.stop_task(cluster="orders", task=task["taskArn"], reason="enough")["task"]
    assert (stopped["lastStatus"], stopped["desiredStatus"]) == ("RUNNING", "STOPPED")
    statuses = []
    for _ in range(10):
        world.settle(1)
        statuses.append(world.tasks(desiredStatus="STOPPED")[0]["lastStatus"])
        if statuses[-1] != "STOPPED":
            assert run(world)["failures"][0]["reason"] == "RESOURCE:CPU"
    assert statuses == ["DEACTIVATING", *["STOPPING"] * 8, "STOPPED"]
    (ended,) = world.tasks(desiredStatus="STOPPED")
    assert (ended["stopCode"], ended["stoppedReason"], world.load(arn)) == ("UserInitiated", "enough", (0, 0))
    assert len(run(world)["tasks"]) == 1


def test_t14b_a_task_told_to_stop_is_not_listed_as_running_though_it_still_is(world: World) -> None:
    """ListTasks without desiredStatus hides it; the instance's counts do not."""
    arn = world.machine()
    world.define()
    (task,) = run(world)["tasks"]
    world.settle(10)
    world.ecs.stop_task(cluster="orders", task=task["taskArn"])
    assert world.tasks() == []
    assert world.load(arn) == (1, 0)


def test_a_task_shows_what_it_reserves_and_where_it_is(world: World) -> None:
    """CPU and memory as strings, host ports under networkBindings, zone, instance and definition."""
    arn = world.machine()
    world.define(portMappings=[{"containerPort": 80, "hostPort": 8080}, {"containerPort": 53, "hostPort": 53, "protocol": "udp"}])
    run(world, startedBy="me")
    world.settle(10)
    (task,) = world.tasks(containerInstance=arn)
    assert (task["cpu"], task["memory"], task["availabilityZone"], task["startedBy"]) == ("256", "512", "us-east-1a", "me")
    bindings = {(b["hostPort"], b["protocol"]) for b in task["containers"][0]["networkBindings"]}
    assert bindings == {(8080, "tcp"), (53, "udp")}
    left = {r["name"]: r.get("stringSetValue") for r in world.instance(arn)["remainingResources"]}
    assert "8080" in (left["PORTS"] or [])
    assert left["PORTS_UDP"] == ["53"]


def test_the_size_of_the_task_counts_before_that_of_its_containers_and_soft_memory_before_hard(world: World) -> None:
    """Task-level CPU and memory where given; otherwise memoryReservation."""
    world.machine()
    world.define("sized", task={"cpu": "512", "memory": "1024"})
    world.define("soft", memory=900, memoryReservation=300)
    tasks = [run(world, taskDefinition=family)["tasks"][0] for family in ("sized", "soft")]
    assert [(task["cpu"], task["memory"]) for task in tasks] == [("512", "1024"), ("256", "300")]


@pytest.mark.parametrize(
    ("machine", "container", "reason"),
    [
        ({"cpu": 255}, {}, "RESOURCE:CPU"),
        ({"memory": 511}, {}, "RESOURCE:MEMORY"),
        ({}, {"portMappings": [{"containerPort": 22, "hostPort": 22}]}, "RESOURCE:PORTS"),
        ({}, {"resourceRequirements": [{"type": "GPU", "value": "1"}]}, "RESOURCE:GPU"),
        ({"connected": False}, {}, "AGENT"),
        ({"agent": "1.14.3"}, {"secrets": [{"name": "A", "valueFrom": "arn:aws:ssm:us-east-1:123456789012:parameter/a"}]}, "ATTRIBUTE"),
    ],
)
def test_t4_every_instance_that_refuses_is_a_failure_with_its_reason(
    world: World, machine: dict[str, Any], container: dict[str, Any], reason: str
) -> None:
    """Two instances examined, two failures in a 200 answer, no task; StartTask says the same of the one it is told to use."""
    arns = {world.machine(**machine), world.machine(**machine)}
    world.define(**container)
    answer = run(world)
    assert answer["tasks"] == []
    assert {f["arn"]: f["reason"] for f in answer["failures"]} == dict.fromkeys(arns, reason)
    started = world.ecs.start_task(cluster="orders", taskDefinition="web", containerInstances=[min(arns), "gone"])
    assert [f["reason"] for f in started["failures"]] == [reason, "MISSING"]


def test_a_gpu_task_goes_to_a_gpu_instance_and_takes_its_gpu(world: World) -> None:
    """g4dn.xlarge has one: the second task is refused there."""
    world.machine()
    gpu = world.machine(instance_type="g4dn.xlarge")
    world.define(resourceRequirements=[{"type": "GPU", "value": "1"}])
    assert run(world)["tasks"][0]["containerInstanceArn"] == gpu
    assert {f["reason"] for f in run(world)["failures"]} == {"RESOURCE:GPU"}


def test_awsvpc_tasks_are_limited_by_network_interfaces_and_by_zone(world: World) -> None:
    """m5.large carries two (three interfaces, one its own), and only in the zones of the subnets."""
    ec2: Any = boto3.client("ec2")
    subnets = {s["AvailabilityZone"]: s["SubnetId"] for s in ec2.describe_subnets()["Subnets"]}
    world.machine()
    world.machine()
    world.define(task={"networkMode": "awsvpc"})
    network = {"awsvpcConfiguration": {"subnets": [subnets["us-east-1a"]]}}
    answer = run(world, count=3, networkConfiguration=network)
    assert len(answer["tasks"]) == 2
    assert sorted(f["reason"] for f in answer["failures"]) == ["LOCATION", "RESOURCE:ENI"]
    with pytest.raises(ClientError) as refused:
        run(world)
    assert code(refused) == "InvalidParameterException"


def test_constraints_and_strategy_of_the_call_are_honoured(world: World) -> None:
    """MemberOf excludes by its expression; distinctInstance puts one on each; binpack fills one up."""
    first, second = world.machine(), world.machine()
    world.define()
    member = [{"type": "memberOf", "expression": "attribute:ecs.availability-zone == us-east-1b"}]
    assert run(world, placementConstraints=member)["tasks"][0]["containerInstanceArn"] == second
    distinct = run(world, count=3, group="g", placementConstraints=[{"type": "distinctInstance"}])
    assert {t["containerInstanceArn"] for t in distinct["tasks"]} == {first, second}
    assert {f["reason"] for f in distinct["failures"]} == {"DistinctInstance placement constraint unsatisfied."}
    packed = run(world, count=3, placementStrategy=[{"type": "binpack", "field": "memory"}])
    assert {t["containerInstanceArn"] for t in packed["tasks"]} == {second}
    nowhere = run(world, placementConstraints=[{"type": "memberOf", "expression": "attribute:stack exists"}])
    assert {f["reason"] for f in nowhere["failures"]} == {"MemberOf placement constraint unsatisfied."}


@pytest.mark.parametrize(
    "asked",
    [
        {"count": 11},
        {"count": 0},
        {"placementConstraints": [{"type": "memberOf", "expression": "what is this"}]},
        {"cluster": "empty"},
    ],
)
def test_calls_that_ecs_refuses_whole(world: World, asked: dict[str, Any]) -> None:
    """More than ten, none, a constraint that is no expression, and a cluster without any container instance."""
    world.machine()
    world.define()
    world.ecs.create_cluster(clusterName="empty")
    with pytest.raises(ClientError) as refused:
        run(world, **asked)
    assert code(refused) == "InvalidParameterException"


def test_nothing_is_placed_on_a_draining_instance(world: World) -> None:
    """RunTask does not examine it; StartTask on it is a failure."""
    arn = world.machine()
    world.define()
    world.drain(arn)
    assert run(world) | {"ResponseMetadata": None} == {"tasks": [], "failures": [], "ResponseMetadata": None}
    assert world.ecs.start_task(cluster="orders", taskDefinition="web", containerInstances=[arn])["failures"][0]["reason"] == "DRAINING"


def test_list_tasks_filters_by_instance_service_family_and_starter(world: World) -> None:
    """Each filter finds its own; startedBy with another is refused, as is an unknown instance or service."""
    first, second = world.machine(), world.machine()
    for family in ("web", "nightly"):
        world.define(family)
    world.service(desired=2)
    run(world, taskDefinition="nightly", startedBy="cron")
    world.settle()
    assert len(world.tasks()) == 3
    assert {t["containerInstanceArn"] for t in world.tasks(containerInstance=first)} == {first}
    assert len(world.tasks(containerInstance=first)) + len(world.tasks(containerInstance=second)) == 3
    assert {t["group"] for t in world.tasks(serviceName="web")} == {"service:web"}
    assert [t["group"] for t in world.tasks(family="nightly")] == ["family:nightly"]
    assert [t["startedBy"] for t in world.tasks(startedBy="cron")] == ["cron"]
    for asked, expected in (
        ({"startedBy": "cron", "family": "web"}, "InvalidParameterException"),
        ({"containerInstance": "gone"}, "InvalidParameterException"),
        ({"serviceName": "gone"}, "ServiceNotFoundException"),
        ({"desiredStatus": "ASLEEP"}, "InvalidParameterException"),
    ):
        with pytest.raises(ClientError) as refused:
            world.tasks(**asked)
        assert code(refused) == expected


def test_t3_tasks_come_in_pages_and_are_described_a_hundred_at_a_time(world: World) -> None:
    """120 tasks: two pages; 101 to describe are refused, and an unknown one is a failure."""
    world.machine(cpu=100_000, memory=100_000)
    world.define(cpu=1, memory=4)
    for _ in range(12):
        run(world, count=10)
    pages = list(world.ecs.get_paginator("list_tasks").paginate(cluster="orders"))
    arns = [arn for page in pages for arn in page["taskArns"]]
    assert [len(page["taskArns"]) for page in pages] == [100, 20]
    assert len(set(arns)) == 120
    with pytest.raises(ClientError) as refused:
        world.ecs.describe_tasks(cluster="orders", tasks=arns[:101])
    assert code(refused) == "InvalidParameterException"
    answer = world.ecs.describe_tasks(cluster="orders", tasks=[arns[0].rpartition("/")[2], "gone"])
    assert [t["taskArn"] for t in answer["tasks"]] == [arns[0]]
    assert [f["reason"] for f in answer["failures"]] == ["MISSING"]


def test_stopping_a_task_that_is_not_there_is_refused(world: World) -> None:
    """InvalidParameterException, as from ECS."""
    with pytest.raises(ClientError) as refused:
        world.ecs.stop_task(cluster="orders", task="gone")
    assert code(refused) == "InvalidParameterException"


def test_a_disconnected_agent_neither_stops_nor_starts_a_task(world: World) -> None:
    """The order is recorded, and the task runs on."""
    lost = world.machine()
    world.define()
    (task,) = run(world)["tasks"]
    world.settle(10)
    backend = world.physics.backend
    held: Any = backend.container_instances["orders"][lost.rpartition("/")[2]]
    held.agent_connected = False
    world.ecs.stop_task(cluster="orders", task=task["taskArn"])
    world.settle(60)
    (seen,) = world.tasks(desiredStatus="STOPPED")
    assert seen["lastStatus"] == "RUNNING"


def test_protection_is_for_service_tasks_and_runs_out(world: World) -> None:
    """A standalone task is TASK_NOT_VALID, an unknown one MISSING; after its minutes the protection is gone."""
    world.machine()
    world.define()
    world.service()
    (alone,) = run(world)["tasks"]
    world.settle()
    (served,) = world.tasks(serviceName="web")
    answer = world.ecs.update_task_protection(
        cluster="orders", tasks=[served["taskArn"], alone["taskArn"], "gone"], protectionEnabled=True, expiresInMinutes=1
    )
    assert [t["protectionEnabled"] for t in answer["protectedTasks"]] == [True]
    assert sorted(f["reason"] for f in answer["failures"]) == ["MISSING", "TASK_NOT_VALID"]
    asked = {"cluster": "orders", "tasks": [served["taskArn"]]}
    assert world.ecs.get_task_protection(**asked)["protectedTasks"][0]["protectionEnabled"] is True
    world.settle(61)
    assert world.ecs.get_task_protection(**asked)["protectedTasks"][0]["protectionEnabled"] is False
    for wrong in ({"tasks": ["x"] * 11}, {"tasks": ["x"], "expiresInMinutes": 2881}):
        with pytest.raises(ClientError) as refused:
            world.ecs.update_task_protection(cluster="orders", protectionEnabled=True, **wrong)
        assert code(refused) == "InvalidParameterException"


def test_a_task_definition_says_which_attributes_it_requires(world: World) -> None:
    """Secrets, network mode, role, logging, image registry and health check each ask for theirs."""
    world.define(
        image="123456789012.dkr.ecr.us-east-1.amazonaws.com/web:1",
        secrets=[
            {"name": "A", "valueFrom": "arn:aws:ssm:us-east-1:123456789012:parameter/a"},
            {"name": "B", "valueFrom": "arn:aws:secretsmanager:us-east-1:123456789012:secret:b"},
        ],
        logConfiguration={"logDriver": "awslogs"},
        healthCheck={"command": ["true"]},
        task={
            "networkMode": "awsvpc",
            "taskRoleArn": "arn:aws:iam::123456789012:role/t",
            "executionRoleArn": "arn:aws:iam::123456789012:role/e",
        },
    )  # fmt: skip
    definition = world.ecs.describe_task_definition(taskDefinition="web")["taskDefinition"]
    assert {a["name"] for a in definition["requiresAttributes"]} == {
        "com.amazonaws.ecs.capability.docker-remote-api.1.17",
        "com.amazonaws.ecs.capability.docker-remote-api.1.18",
        "com.amazonaws.ecs.capability.docker-remote-api.1.19",
        "com.amazonaws.ecs.capability.docker-remote-api.1.24",
        "com.amazonaws.ecs.capability.ecr-auth",
        "com.amazonaws.ecs.capability.logging-driver.awslogs",
        "com.amazonaws.ecs.capability.task-iam-role",
        "ecs.capability.container-health-check",
        "ecs.capability.execution-role-awslogs",
        "ecs.capability.execution-role-ecr-pull",
        "ecs.capability.secrets.asm.environment-variables",
        "ecs.capability.secrets.ssm.environment-variables",
        "ecs.capability.task-eni",
    }
