"""What was seen: one immutable snapshot of an ECS cluster and the EC2 side of it, taken at one moment.

Units are ECS's own: CPU in units (1,024 = one vCPU), memory in MiB. Times are aware datetimes in UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Literal

NO_ATTRIBUTES: Mapping[str, str | None] = MappingProxyType({})

Market = Literal["spot", "on-demand", "mixed", "unknown"]

DRAIN_ATTRIBUTE = "bulwark.drain"
"""Container-instance attribute that marks a drain as Bulwark's: cause, since and deadline."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What an instance registered, or has left.

    ``cpu`` in CPU units, ``memory`` in MiB, ``gpu`` a count. ``ports`` and ``ports_udp`` are the host ports *taken*,
    in both the registered and the remaining view: that is how ECS reports them.
    """

    cpu: int = 0
    memory: int = 0
    gpu: int = 0
    ports: frozenset[int] = frozenset()
    ports_udp: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class DrainMark:
    """Why an instance is draining, since when, and until when its work can leave."""

    cause: str
    since: datetime
    deadline: datetime


@dataclass(frozen=True, slots=True)
class Host:
    """One EC2 instance, as EC2 describes it. ``cluster`` and ``group`` come from its tags; None: it carries none."""

    id: str
    state: str
    cluster: str | None = None
    group: str | None = None
    zone: str = ""
    instance_type: str = ""
    market: Market = "on-demand"


@dataclass(frozen=True, slots=True)
class ContainerInstance:
    """One registration of an EC2 instance with a cluster. One host may have several: registering is not idempotent.

    ``described`` is False where only the ARN, the host and the status are known so far.
    """

    arn: str
    ec2_id: str
    status: str = "ACTIVE"
    agent_connected: bool = True
    agent_version: str | None = None
    zone: str = ""
    instance_type: str = ""
    attributes: Mapping[str, str | None] = field(default_factory=lambda: NO_ATTRIBUTES)
    registered: Resources = Resources()
    remaining: Resources = Resources()
    running: int = 0
    pending: int = 0
    capacity_provider: str | None = None
    drain: DrainMark | None = None
    described: bool = True


@dataclass(frozen=True, slots=True)
class Task:
    """One task on an instance. ``group`` is ECS's ``service:NAME`` or ``family:NAME``.

    ``known_size`` is False where ECS did not say what the task reserves; ``eni`` says that it has a network interface
    of its own (awsvpc).
    """

    arn: str
    instance_arn: str
    group: str
    cpu: int = 0
    memory: int = 0
    gpu: int = 0
    ports: frozenset[int] = frozenset()
    ports_udp: frozenset[int] = frozenset()
    desired_status: str = "RUNNING"
    last_status: str = "RUNNING"
    known_size: bool = True
    eni: bool = False
    started_at: datetime | None = None

    @property
    def id(self) -> str:
        """The task id a person would paste into the console."""
        return self.arn.rpartition("/")[2]

    @property
    def service(self) -> str | None:
        """The name of the service the task belongs to; None for a standalone task."""
        kind, _, name = self.group.partition(":")
        return name if kind == "service" else None


@dataclass(frozen=True, slots=True)
class Service:
    """One ECS service with its deployment bounds, in percent of ``desired``. ``constrained``: it has placement constraints."""

    name: str
    desired: int
    running: int = 0
    pending: int = 0
    daemon: bool = False
    min_healthy_percent: int = 100
    max_percent: int = 200
    constrained: bool = False


@dataclass(frozen=True, slots=True)
class GroupMember:
    """One instance of an Auto Scaling group. ``lifecycle`` is Auto Scaling's LifecycleState."""

    id: str
    lifecycle: str
    zone: str = ""
    healthy: bool = True


@dataclass(frozen=True, slots=True)
class Group:
    """One Auto Scaling group. ``min``, ``desired`` and ``max`` in the group's own capacity units."""

    name: str
    min: int
    desired: int
    max: int
    cluster: str | None = None
    members: tuple[GroupMember, ...] = ()
    suspended: frozenset[str] = frozenset()
    market: Market = "on-demand"
    ecs_managed: bool = False

    @property
    def in_service(self) -> tuple[GroupMember, ...]:
        """Members that serve."""
        return tuple(m for m in self.members if m.lifecycle == "InService")

    @property
    def launching(self) -> tuple[GroupMember, ...]:
        """Members on their way in: every Pending state, and none of the warm pool's."""
        return tuple(m for m in self.members if m.lifecycle.startswith("Pending"))


@dataclass(frozen=True, slots=True)
class CapacityProvider:
    """What ECS itself manages on a group."""

    name: str
    group: str | None
    managed_scaling: bool
    managed_draining: bool


@dataclass(frozen=True, slots=True)
class Cluster:
    """The snapshot. A collection holds what was looked at, which for a single event is a part of the cluster.

    ``instances`` are the registrations the signal is about; ``neighbours`` others that could take their work, all of
    them if ``neighbours_whole`` and otherwise as many as one describe call returns: enough to prove that there is room,
    never to prove that there is none. ``unread`` says which parts could not be observed, and why.
    """

    name: str
    seen_at: datetime
    hosts: tuple[Host, ...] = ()
    instances: tuple[ContainerInstance, ...] = ()
    neighbours: tuple[ContainerInstance, ...] = ()
    neighbours_whole: bool = True
    tasks: tuple[Task, ...] = ()
    tasks_unexamined: frozenset[str] = frozenset()
    services: tuple[Service, ...] = ()
    groups: tuple[Group, ...] = ()
    capacity_providers: tuple[CapacityProvider, ...] = ()
    unread: Mapping[str, str] = field(default_factory=dict)

    def host(self, instance_id: str) -> Host | None:
        """The EC2 instance with that id, if it was seen."""
        return next((h for h in self.hosts if h.id == instance_id), None)

    def registrations(self, instance_id: str) -> tuple[ContainerInstance, ...]:
        """Every container instance of one EC2 instance."""
        return tuple(i for i in self.instances if i.ec2_id == instance_id)

    def service(self, name: str) -> Service | None:
        """The service of that name, if it was seen."""
        return next((s for s in self.services if s.name == name), None)

    def provider(self, name: str | None) -> CapacityProvider | None:
        """The capacity provider of that name, if it was seen."""
        return next((p for p in self.capacity_providers if p.name == name), None)
