"""A machine: what the EC2 half of the account launches, and the ECS half registers, places tasks on and forgets.

The two halves meet here and nowhere else. ``Machine`` is plain data; ``EcsHalf`` is what the EC2 half asks of ECS.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

ACCOUNT_ID = "123456789012"
"""AWS's documentation account number: no real account is named."""

REGION = "us-east-1"
"""The one Region of the account in memory."""


@dataclass(slots=True)
class Machine:
    """One EC2 instance, with what decides how it appears in ECS.

    ``cpu`` in CPU units, ``memory`` in MiB and ``gpu`` a count override what the instance type offers; None leaves it to the
    type. ``lacks`` names attributes that an agent of this version would have and this machine does not; ``attributes`` are
    custom ones. ``status`` is the container instance's (ACTIVE or DRAINING) and ``connected`` its agent's connection.
    ``registers`` False: the instance comes up in EC2 and never appears in ECS. ``group`` None: it belongs to no Auto Scaling group.
    ``ec2`` is the EC2 state it is in when the story begins. ``spot_draining``: its agent sets itself DRAINING at a Spot warning
    (ECS_ENABLE_SPOT_INSTANCE_DRAINING). ``trunking``: it was launched with the account setting for ENI trunking on. ``weight``: the
    units of capacity that it counts for in its group; None: the group weighs nothing. ``scale_in_protected``: the group keeps it.
    """

    id: str
    cluster: str
    group: str | None
    zone: str
    instance_type: str
    image_id: str
    agent: str
    connected: bool = True
    status: str = "ACTIVE"
    cpu: int | None = None
    memory: int | None = None
    gpu: int | None = None
    lacks: frozenset[str] = frozenset()
    attributes: dict[str, str] = field(default_factory=dict)
    subnet_id: str = ""
    vpc_id: str = ""
    capacity_provider: str | None = None
    registers: bool = True
    ec2: str = "running"
    spot_draining: bool = False
    trunking: bool = False
    weight: int | None = None
    scale_in_protected: bool = False


class EcsHalf(Protocol):
    """What the EC2 half asks of the ECS half. ``EcsPhysics`` is the real one."""

    def register(self, machine: Machine) -> str:
        """Register the machine with its cluster; returns the container instance's ARN."""
        ...

    def host_gone(self, machine_id: str) -> None:
        """EC2 terminated the instance. A connected agent deregisters it; otherwise it stays, its agent not connected."""
        ...

    def disconnect(self, machine_id: str) -> None:
        """The agent's connection is lost: ECS keeps the instance and its tasks as it last knew them."""
        ...

    def drain(self, machine_id: str) -> None:
        """The agent sets its own container instance DRAINING, if it is ACTIVE and connected."""
        ...

    def tick(self, now: datetime) -> None:
        """Let ECS live until ``now`` (UTC): tasks start and stop, the service scheduler places and moves them."""
        ...
