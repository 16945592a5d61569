"""What was seen: one immutable snapshot of an ECS cluster and the EC2 side of it, taken at one moment.

Units are ECS's own: CPU in units (1,024 = one vCPU), memory in MiB. Times are aware datetimes in UTC.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Literal

from bulwark.core.capacity_rest import Rest

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


BY_INSTANCE = "by-instance"
"""Stands for a lifecycle action's token that nobody told us: Auto Scaling also finds the action by its instance."""


@dataclass(frozen=True, slots=True)
class DrainMark:
    """Why an instance is draining, since when, and until when its work can leave.

    ``hook``: the token of our terminate hook that waits for the drain, and ``hook_since`` since when; None: none does. ``alone``:
    the instance was in no group when it was marked, so Bulwark did not take it out of one, and it is not Bulwark's to end.
    """

    cause: str
    since: datetime
    deadline: datetime
    hook: str | None = None
    hook_since: datetime | None = None
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Host:
    """One EC2 instance, as EC2 describes it. ``cluster`` and ``group`` come from its tags; None: it carries none.

    ``launched``: when; None if that is not known.
    """

    id: str
    state: str
    cluster: str | None = None
    group: str | None = None
    zone: str = ""
    instance_type: str = ""
    market: Market = "on-demand"
    launched: datetime | None = None


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


ENDED = frozenset({"STOPPED", "DELETED"})
"""Task statuses in which a task holds nothing any more."""


@dataclass(frozen=True, slots=True)
class Task:
    """One task on an instance. ``group`` is ECS's ``service:NAME`` or ``family:NAME``.

    ``known_size`` is False where ECS did not say what the task reserves; ``eni`` says that it has a network interface
    of its own (awsvpc). ``protected_until``: until when task scale-in protection holds. ``overrides`` is the JSON text of
    what its start overrode, ``definition`` the ARN of its task definition, ``requires`` the attributes that it asks of an
    instance, None if that was not read.
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
    protected_until: datetime | None = None
    tags: tuple[tuple[str, str], ...] = ()
    definition: str = ""
    overrides: str = "{}"
    execute_command: bool = False
    requires: tuple[tuple[str, str | None], ...] | None = None
    capacity_provider: str | None = None

    @property
    def alive(self) -> bool:
        """Whether it still holds its place: anything but STOPPED, one told to stop included."""
        return self.last_status not in ENDED

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
    """One ECS service with its deployment bounds, in percent of ``desired``. ``constrained``: it has placement constraints.

    ``definition``: ARN of the task definition that its new tasks have. ``missing``: how many its newest deployment lacks, of ``desired``;
    None if ECS names no deployment. ``rolling``: another deployment is still there. ``expressions`` and ``distinct``: its placement
    constraints. ``subnets``: those of its awsvpc tasks, ``zones`` where they are: None if that was not read, empty for any zone.
    ``spreads``: its strategy spreads tasks over zones. ``providers``: the capacity providers of its strategy. ``fargate``: it does
    not run on instances.
    """

    name: str
    desired: int
    running: int = 0
    pending: int = 0
    daemon: bool = False
    min_healthy_percent: int = 100
    max_percent: int = 200
    constrained: bool = False
    definition: str = ""
    missing: int | None = None
    rolling: bool = False
    expressions: tuple[str, ...] = ()
    distinct: bool = False
    subnets: tuple[str, ...] = ()
    zones: frozenset[str] | None = frozenset()
    spreads: bool = True
    providers: tuple[str, ...] = ()
    fargate: bool = False


@dataclass(frozen=True, slots=True)
class Hook:
    """A lifecycle hook of a group. ``heartbeat`` in seconds."""

    name: str
    heartbeat: int
    terminating: bool = True
    default_result: str = "ABANDON"


@dataclass(frozen=True, slots=True)
class GroupMember:
    """One instance of an Auto Scaling group. ``lifecycle`` is Auto Scaling's LifecycleState, ``weight`` its share of desired.

    ``protected``: from scale-in.
    """

    id: str
    lifecycle: str
    zone: str = ""
    healthy: bool = True
    instance_type: str = ""
    weight: int = 1
    protected: bool = False


@dataclass(frozen=True, slots=True)
class InstanceTypeOption:
    """A type that a group may launch, and how many units of its desired capacity one such instance is."""

    name: str
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Shape:
    """What an instance of one type in one group registers: learned from one that did (``learned``), or estimated from EC2's figures.

    ``enis``: task network interfaces, None if not known. ``attributes``: those that it registers, its own ids and zone left out.
    """

    group: str
    instance_type: str
    cpu: int
    memory: int
    gpu: int = 0
    ports: frozenset[int] = frozenset()
    ports_udp: frozenset[int] = frozenset()
    attributes: Mapping[str, str | None] = field(default_factory=lambda: NO_ATTRIBUTES)
    enis: int | None = None
    learned: bool = True


@dataclass(frozen=True, slots=True)
class Demand:
    """What all work of a cluster asks for at a moment: CPU units, MiB, GPUs; what waits included."""

    at: datetime
    cpu: int
    memory: int
    gpu: int = 0


@dataclass(frozen=True, slots=True)
class Definition:
    """What a task of one task definition asks of an instance.

    ``enis`` is 1 for awsvpc. ``requires``: attributes; ``expressions``: its memberOf constraints.
    """

    arn: str
    cpu: int
    memory: int
    gpu: int = 0
    ports: frozenset[int] = frozenset()
    ports_udp: frozenset[int] = frozenset()
    enis: int = 0
    requires: tuple[tuple[str, str | None], ...] = ()
    expressions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """One Auto Scaling group. ``min``, ``desired`` and ``max`` in the group's own capacity units.

    ``hooks`` None: they were not read. ``hook_tag`` is the value of the tag by which Bulwark remembers whose terminate hook
    the group has: ``own`` if Bulwark put it there, ``found`` if somebody else had.

    ``types``: what it may launch, empty if that is not known; ``zones``: where. ``in_units``: desired counts vCPUs or MiB. ``template``:
    id and version of its launch template. ``rest``: it is asked for nothing for a while;
    ``trouble``: why its last launch failed, if not for want of capacity.
    """

    name: str
    min: int
    desired: int
    max: int
    cluster: str | None = None
    members: tuple[GroupMember, ...] = ()
    suspended: frozenset[str] = frozenset()
    market: Market = "on-demand"
    ecs_managed: bool = False
    capacity_rebalance: bool = False
    hooks: tuple[Hook, ...] | None = None
    hook_tag: str | None = None
    types: tuple[InstanceTypeOption, ...] = ()
    zones: tuple[str, ...] = ()
    in_units: bool = False
    template: tuple[str, str] | None = None
    rest: Rest | None = None
    trouble: str | None = None

    def member(self, instance_id: str) -> GroupMember | None:
        """The member of that id, if it is one."""
        return next((m for m in self.members if m.id == instance_id), None)

    def hook(self, name: str) -> Hook | None:
        """The terminate hook of that name, if the hooks were read and it is among them."""
        return next((h for h in self.hooks or () if h.name == name and h.terminating), None)

    @property
    def in_service(self) -> tuple[GroupMember, ...]:
        """Members that serve."""
        return tuple(m for m in self.members if m.lifecycle == "InService")

    @property
    def launching(self) -> tuple[GroupMember, ...]:
        """Members on their way in: every Pending state, and none of the warm pool's."""
        return tuple(m for m in self.members if m.lifecycle.startswith("Pending"))


@dataclass(frozen=True, slots=True)
class RaisedBound:
    """The note that a service's maximumPercent was raised for a drain: from ``usual`` to ``raised``, at ``since``."""

    service: str
    usual: int
    raised: int
    since: datetime


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

    ``tasks_examined`` names the registrations whose tasks are in ``tasks``, ``stopping_examined`` those of which even the
    tasks told to stop are; of any other the tasks are not known. ``daemons`` are the names of the cluster's daemon services,
    None if nobody asked.

    ``instances`` are the registrations the signal is about; ``neighbours`` others that could take their work, all of
    them if ``neighbours_whole`` and otherwise as many as one describe call returns: enough to prove that there is room,
    never to prove that there is none. ``unread`` says which parts could not be observed, and why.

    ``definitions`` are by ARN; ``shapes`` say what groups launch; ``waiting`` are tasks that ECS has accepted and placed nowhere yet
    (PROVISIONING); ``demands`` what was asked for in the last minutes, ``removed`` when instances were last taken out, and ``regret``
    when they were last missed again though nothing more was asked for.
    """

    name: str
    seen_at: datetime
    hosts: tuple[Host, ...] = ()
    instances: tuple[ContainerInstance, ...] = ()
    neighbours: tuple[ContainerInstance, ...] = ()
    neighbours_whole: bool = True
    tasks: tuple[Task, ...] = ()
    tasks_examined: frozenset[str] = frozenset()
    stopping_examined: frozenset[str] = frozenset()
    tasks_unexamined: frozenset[str] = frozenset()
    daemons: frozenset[str] | None = None
    services: tuple[Service, ...] = ()
    groups: tuple[Group, ...] = ()
    capacity_providers: tuple[CapacityProvider, ...] = ()
    raised: tuple[RaisedBound, ...] = ()
    definitions: Mapping[str, Definition] = field(default_factory=dict)
    shapes: tuple[Shape, ...] = ()
    waiting: tuple[Task, ...] = ()
    demands: tuple[Demand, ...] = ()
    removed: Demand | None = None
    regret: Demand | None = None
    unread: Mapping[str, str] = field(default_factory=dict)

    def host(self, instance_id: str) -> Host | None:
        """The EC2 instance with that id, if it was seen."""
        return next((h for h in self.hosts if h.id == instance_id), None)

    def registrations(self, instance_id: str) -> tuple[ContainerInstance, ...]:
        """Every container instance of one EC2 instance."""
        return tuple(i for i in self.instances if i.ec2_id == instance_id)

    def tasks_on(self, registrations: Iterable[ContainerInstance]) -> tuple[Task, ...]:
        """The tasks seen on any of these registrations."""
        arns = {i.arn for i in registrations}
        return tuple(t for t in self.tasks if t.instance_arn in arns)

    def group(self, name: str | None) -> Group | None:
        """The Auto Scaling group of that name, if it was seen."""
        return next((g for g in self.groups if g.name == name), None)

    def service(self, name: str) -> Service | None:
        """The service of that name, if it was seen."""
        return next((s for s in self.services if s.name == name), None)

    def provider(self, name: str | None) -> CapacityProvider | None:
        """The capacity provider of that name, if it was seen."""
        return next((p for p in self.capacity_providers if p.name == name), None)
