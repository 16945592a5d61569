"""An ECS cluster in memory for tests of the ECS half: moto, a clock that stands still, and machines registered by hand."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import time_machine
from moto import mock_aws

from workbench.sandbox.ecs import EcsPhysics
from workbench.sandbox.machine import Machine

START = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
DUMMY = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}


class World:
    """Cluster ``orders`` and its physics. ``ecs`` is a boto3 client."""

    def __init__(self, traveller: Any) -> None:
        self._traveller = traveller
        self.now = START
        self.physics = EcsPhysics()
        self.physics.install()
        self.ecs: Any = boto3.client("ecs")
        self.ecs.create_cluster(clusterName="orders")
        self.machines = 0

    def machine(self, **changes: Any) -> str:
        """Register a machine, an m5.large of the recommended agent in the next zone; its container-instance ARN."""
        number = self.machines
        self.machines += 1
        values: dict[str, Any] = {
            "id": f"i-{number:017x}", "cluster": "orders", "group": "orders-spot", "zone": ZONES[number % 3], "instance_type": "m5.large",
            "image_id": "ami-0123456789abcdef0", "agent": "1.107.0", "subnet_id": "subnet-1", "vpc_id": "vpc-1",
        }  # fmt: skip
        return self.physics.register(Machine(**(values | changes)))

    def settle(self, seconds: float = 30) -> None:
        """Let the cluster live for so many seconds, one tick a second."""
        end = self.now + timedelta(seconds=seconds)
        while self.now < end:
            self.now = min(end, self.now + timedelta(seconds=1))
            self._traveller.move_to(self.now)
            self.physics.tick(self.now)

    def leap(self, seconds: float) -> None:
        """Let so many seconds go by in one tick."""
        self.now += timedelta(seconds=seconds)
        self._traveller.move_to(self.now)
        self.physics.tick(self.now)

    def define(self, family: str = "web", *, task: Mapping[str, Any] | None = None, **container: Any) -> str:
        """Register a task definition of one container, 256 CPU units and 512 MiB unless ``container`` says otherwise; its ARN."""
        one = {"name": family, "image": "public.ecr.aws/docker/library/nginx", "cpu": 256, "memory": 512, **container}
        answer = self.ecs.register_task_definition(family=family, containerDefinitions=[one], **(task or {}))
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def service(self, name: str = "web", desired: int = 1, bounds: tuple[int, int] | None = None, **changes: Any) -> None:
        """Create a service of task definition ``name``, defined if need be. ``bounds``: minimum healthy and maximum percent."""
        if bounds:
            changes["deploymentConfiguration"] = {"minimumHealthyPercent": bounds[0], "maximumPercent": bounds[1]}
        if changes.get("schedulingStrategy") != "DAEMON":
            changes["desiredCount"] = desired
        self.ecs.create_service(cluster="orders", serviceName=name, taskDefinition=changes.pop("taskDefinition", name), **changes)

    def seen(self, name: str = "web") -> Any:
        """The service as DescribeServices shows it."""
        return self.ecs.describe_services(cluster="orders", services=[name])["services"][0]

    def counts(self, name: str = "web") -> tuple[int, int, int]:
        """Desired, running, pending of the service."""
        service = self.seen(name)
        return service["desiredCount"], service["runningCount"], service["pendingCount"]

    def messages(self, name: str = "web") -> list[str]:
        """The service's events, newest first."""
        return [event["message"] for event in self.seen(name)["events"]]

    def instance(self, arn: str) -> Any:
        """The container instance as DescribeContainerInstances shows it."""
        return self.ecs.describe_container_instances(cluster="orders", containerInstances=[arn])["containerInstances"][0]

    def load(self, arn: str) -> tuple[int, int]:
        """Running and pending tasks of a container instance."""
        instance = self.instance(arn)
        return instance["runningTasksCount"], instance["pendingTasksCount"]

    def drain(self, *arns: str) -> None:
        """Set container instances DRAINING."""
        answer = self.ecs.update_container_instances_state(cluster="orders", containerInstances=list(arns), status="DRAINING")
        assert answer["failures"] == []

    def tasks(self, **filters: Any) -> list[Any]:
        """Tasks as DescribeTasks shows those that ListTasks lists."""
        arns = self.ecs.list_tasks(cluster="orders", **filters)["taskArns"]
        return list(self.ecs.describe_tasks(cluster="orders", tasks=arns)["tasks"]) if arns else []


@contextmanager
def ecs_world() -> Iterator[World]:
    """A world of its own, with dummy credentials, gone afterwards."""
    before = {name: os.environ.get(name) for name in DUMMY}
    os.environ.update(DUMMY)
    try:
        with mock_aws(), time_machine.travel(START, tick=False) as traveller:
            yield World(traveller)
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
