"""What the world of the draining tests is made of: machines, registrations, tasks, services, groups, and hooks that hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.builders import CLUSTER_ARN, NOW, instance_arn

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from bulwark.core.signals import InterruptionAction

CLUSTER = "orders"
HEARTBEAT = 300
"""Seconds; of the terminate hook that the groups have from the start."""

ALIVE = ("pending", "running")
"""EC2 states in which what is on a machine runs, or may."""


@dataclass(slots=True, eq=False)
class Machine:
    """One EC2 instance.

    ``group`` and ``cluster`` are its tags. ``boots_at``: when it registers. ``changes_at``: when the state it passes through
    ends. ``taken``: when EC2 takes it, and how. ``deadlines``: every moment that EC2 has announced for it.
    """

    id: str
    group: str | None
    cluster: str | None
    spot: bool = False
    state: str = "running"
    boots_at: datetime | None = None
    changes_at: datetime | None = None
    taken: tuple[datetime, InterruptionAction] | None = None
    ended_at: datetime | None = None
    agent: bool = True
    deadlines: list[datetime] = field(default_factory=list)

    @property
    def alive(self) -> bool:
        """Whether its tasks run."""
        return self.state in ALIVE


@dataclass(slots=True, eq=False)
class Task:
    """One task. ``stop_seconds``: from being told to stop to having stopped. ``counted``: whether ECS counts it while it stops.

    ``ends_at``: when it is done by itself; None: never. ``rerun``: whether it has been started again elsewhere.
    """

    arn: str
    registration: Registration
    family: str
    service: str | None = None
    daemon: bool = False
    cpu: int = 256
    memory: int = 512
    desired: str = "RUNNING"
    last: str = "RUNNING"
    stop_seconds: int = 30
    counted: bool = True
    changes_at: datetime | None = None
    ends_at: datetime | None = None
    stopped_at: datetime | None = None
    protected_until: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    started_at: datetime = NOW
    rerun: bool = False

    @property
    def alive(self) -> bool:
        """Whether it holds its place."""
        return self.last != "STOPPED"

    @property
    def id(self) -> str:
        """The last part of its ARN."""
        return self.arn.rpartition("/")[2]

    @property
    def group(self) -> str:
        """ECS's task group."""
        return f"service:{self.service}" if self.service else f"family:{self.family}"


@dataclass(slots=True, eq=False)
class Registration:
    """One container instance.

    ``drained``: Bulwark set it DRAINING. ``excused``: it had no chance yet to mark it.
    ``told``: Bulwark drains it knowing that EC2 takes it.

    It is also what an expression of ECS's query language is asked about.
    """

    arn: str
    machine: Machine
    status: str = "ACTIVE"
    connected: bool = True
    cpu: int = 2048
    memory: int = 7680
    custom: dict[str, str] = field(default_factory=dict)
    tasks: list[Task] = field(default_factory=list)
    forgotten_at: datetime | None = None
    drained: bool = False
    excused: bool = False
    told: bool = False
    provider: str | None = None

    @property
    def alive(self) -> list[Task]:
        """The tasks that hold a place here."""
        return [t for t in self.tasks if t.last != "STOPPED"]

    @property
    def work(self) -> list[Task]:
        """The same without daemons: what Rule 2 is about."""
        return [t for t in self.tasks if t.last != "STOPPED" and not t.daemon]

    @property
    def left(self) -> tuple[int, int]:
        """CPU units and MiB that nobody holds."""
        alive = self.alive
        return self.cpu - sum(t.cpu for t in alive), self.memory - sum(t.memory for t in alive)

    @property
    def pending(self) -> int:
        """ECS's pendingTasksCount."""
        return sum(t.last in ("PROVISIONING", "PENDING") for t in self.tasks)

    @property
    def attributes(self) -> Mapping[str, str | None]:
        """Built-in and custom."""
        return {"ecs.availability-zone": "us-east-1a", "ecs.instance-type": "m5.large", **self.custom}

    @property
    def ec2_id(self) -> str:
        """The EC2 instance id."""
        return self.machine.id

    @property
    def agent_connected(self) -> bool:
        """Whether the agent is connected."""
        return self.connected

    @property
    def agent_version(self) -> str | None:
        """The same everywhere."""
        return "1.106.1"

    @property
    def registered_at(self) -> datetime | None:
        """Nobody asks."""
        return None

    @property
    def running(self) -> int:
        """ECS's runningTasksCount: a task that is stopping counts for some, and for some not."""
        return sum(t.last == "RUNNING" and (t.counted or t.desired == "RUNNING") for t in self.tasks)

    @property
    def groups(self) -> Mapping[str, int]:
        """Task groups on it."""
        found: dict[str, int] = {}
        for task in self.alive:
            found[task.group] = found.get(task.group, 0) + 1
        return found


@dataclass(slots=True, eq=False)
class Service:
    """One service. ``usual`` is its maximumPercent as its owner set it."""

    name: str
    desired: int
    daemon: bool = False
    least: int = 100
    most: int = 200
    cpu: int = 256
    memory: int = 512
    stop_seconds: int = 30
    counted: bool = True
    protected: bool = False
    usual: int = 200
    tasks: list[Task] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Hold:
    """One lifecycle action in progress: a hook that holds a machine. ``last`` is Auto Scaling's limit."""

    hook: str
    machine: Machine
    token: str
    default_result: str
    heartbeat: int
    deadline: datetime
    last: datetime


@dataclass(slots=True)
class Member:
    """A machine in a group, with Auto Scaling's LifecycleState."""

    machine: Machine
    lifecycle: str = "InService"
    ill_at: datetime | None = None


@dataclass(slots=True, eq=False)
class Group:
    """One Auto Scaling group. ``launches``: whether EC2 has capacity for it. ``rebalances``: whether it says so (Capacity Rebalancing)."""

    name: str
    desired: int
    least: int = 0
    most: int = 10
    spot: bool = False
    launches: bool = True
    rebalances: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    hooks: dict[str, dict[str, Any]] = field(default_factory=dict)
    holds: list[Hold] = field(default_factory=list)
    provider: str | None = None

    @property
    def cluster(self) -> str | None:
        """The ECS cluster that it opted in to."""
        return self.tags.get("bulwark:cluster")


def a_hook(name: str, *, heartbeat: int = HEARTBEAT, default_result: str = "CONTINUE") -> dict[str, Any]:
    """A terminate hook as DescribeLifecycleHooks shows it."""
    return {
        "LifecycleHookName": name,
        "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
        "HeartbeatTimeout": heartbeat,
        "DefaultResult": default_result,
    }


def registration_arn(name: str) -> str:
    """As the builders name them."""
    return instance_arn(name)


def task_arn(name: str) -> str:
    """As the builders name them."""
    return f"{CLUSTER_ARN}:task/{CLUSTER}/{name}"
