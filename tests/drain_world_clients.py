"""The draining tests' world as the clients of ``shell.aws.Aws``: EC2, Auto Scaling, Parameter Store and the table; ECS is beside it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from bulwark.core.signals import SpotInterruption
from bulwark.shell.aws import Aws
from tests import drain_world_ec2
from tests.drain_faults import Faults
from tests.drain_world_autoscaling import AutoScaling
from tests.drain_world_ecs_writes import WritingEcs
from tests.drain_world_table import Table
from tests.fakes import an_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.drain_world import World
    from tests.drain_world_model import Machine

FILTER_VALUES = 200


class Ec2:
    """An EC2 client."""

    def __init__(self, world: World, faults: Faults) -> None:
        self._world = world
        self._faults = faults

    def get_paginator(self, operation: str) -> Any:
        """describe_instances, by ids; describe_spot_instance_requests, by status code."""
        if operation == "describe_spot_instance_requests":
            return SimpleNamespace(paginate=self._condemned)
        assert operation == "describe_instances"

        def paginate(**params: Any) -> Iterator[dict[str, Any]]:
            (asked,) = params["Filters"]
            assert asked["Name"] == "instance-id"
            if not 0 < len(asked["Values"]) <= FILTER_VALUES:
                raise an_error("InvalidParameterValue", "DescribeInstances", f"{len(asked['Values'])} values")
            yield self._faults.perform("DescribeInstances", asked["Values"], self._describe)

        return SimpleNamespace(paginate=paginate)

    def _condemned(self, **_: Any) -> Iterator[dict[str, Any]]:
        """The Spot requests whose instances EC2 is about to take."""
        yield self._faults.perform("DescribeSpotInstanceRequests", [], lambda _: {"SpotInstanceRequests": condemned(self._world)})

    def _describe(self, ids: list[str]) -> dict[str, Any]:
        known = [m for i in ids if (m := self._world.machine(i)) is not None]
        return {"Reservations": [{"Instances": [described(m)]} for m in known]}

    def terminate_instances(self, **params: Any) -> dict[str, Any]:
        """All or, if EC2 does not know one of them, none."""

        def call(ids: list[str]) -> dict[str, Any]:
            known = [self._world.machine(i) for i in ids]
            if any(m is None for m in known):
                raise an_error("InvalidInstanceID.NotFound", "TerminateInstances", f"The instance IDs {ids} do not exist")
            for machine in (m for m in known if m is not None):
                self._world.watch.touches("ec2:TerminateInstances", machine)
                self._world.watch.ends("ec2:TerminateInstances", machine)
                drain_world_ec2.end(self._world, machine)
            return {"TerminatingInstances": [{"InstanceId": i} for i in ids]}

        return self._faults.perform("TerminateInstances", params["InstanceIds"], call)


def condemned(world: World) -> list[dict[str, Any]]:
    """What EC2 says of its Spot requests between a warning and the end: a warning that nobody delivers is seen here."""
    codes = {"terminate": "marked-for-termination", "stop": "marked-for-stop"}
    return [
        {"InstanceId": s.instance_id, "Status": {"Code": codes[s.action], "UpdateTime": s.at}}
        for s in world.mail
        if isinstance(s, SpotInterruption) and s.action in codes and (m := world.machine(s.instance_id)) is not None and m.taken is not None
    ]


def described(machine: Machine) -> dict[str, Any]:
    """A machine as DescribeInstances shows it. A group's own tag is gone once it has left the group."""
    tags = {"bulwark:cluster": machine.cluster, "aws:autoscaling:groupName": machine.group}
    return {
        "InstanceId": machine.id,
        "State": {"Name": machine.state},
        "Placement": {"AvailabilityZone": "us-east-1a"},
        "InstanceType": "m5.large",
        "Tags": [{"Key": k, "Value": v} for k, v in tags.items() if v is not None],
    } | ({"InstanceLifecycle": "spot"} if machine.spot else {})


class Ssm:
    """Parameter Store."""

    def __init__(self, world: World) -> None:
        self._world = world

    def get_paginator(self, operation: str) -> Any:
        """The parameters, or their history, of which there is only the present."""

        def paginate(**params: Any) -> Iterator[dict[str, Any]]:
            wanted = params.get("Name")
            found = {n: v for n, v in self._world.parameters.items() if wanted in (None, n)}
            yield {"Parameters": [{"Name": n, "Value": v, "Version": 1} for n, v in found.items()]}

        return SimpleNamespace(paginate=paginate)


class WorldAws(Aws):
    """The clients of one delivery. ``faults`` is what goes wrong in it."""

    ecs: Any
    ec2: Any
    autoscaling: Any
    ssm: Any
    dynamodb: Any

    def __init__(self, world: World, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.ecs = WritingEcs(world, self.faults)
        self.ec2 = Ec2(world, self.faults)
        self.autoscaling = AutoScaling(world, self.faults)
        self.ssm = Ssm(world)
        self.dynamodb = Table(world, self.faults)

    def take_calls(self) -> dict[str, int]:
        """Nothing is counted here."""
        return {}
