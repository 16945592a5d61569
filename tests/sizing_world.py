"""A cluster in memory that obeys sizing decisions: groups launch, ECS places, drains move their work. For properties, not for detail.

Time passes in minutes. Placement is ``bulwark.core.packing``'s, as ECS does it by default: over zones, then over instances.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bulwark.core.capacity import Sizing, decide_capacity, remembered
from bulwark.core.cluster import (
    Cluster,
    ContainerInstance,
    Definition,
    Demand,
    DrainMark,
    Group,
    GroupMember,
    InstanceTypeOption,
    Resources,
    Service,
    Shape,
    Task,
)
from bulwark.core.packing import Need, Space, place
from bulwark.core.plan import DrainInstance, Plan, ReactivateInstance, SetDesiredCapacity, UnmarkInstance
from bulwark.core.policies import CapacityPolicy, DisruptionPolicy, Policy
from tests.builders import NOW, instance_arn

GROUP = "orders-spot"
"""The group of ``a_world``."""

ZONES = ("us-east-1a", "us-east-1b")


@dataclass(frozen=True)
class Work:
    """A service: CPU units and MiB of one task, how many are wanted, and what else they ask."""

    cpu: int = 256
    memory: int = 512
    desired: int = 1
    distinct: bool = False
    ports: frozenset[int] = frozenset()
    expressions: tuple[str, ...] = ()
    daemon: bool = False


@dataclass
class Machine:
    """An instance. ``tasks``: services by count; ``left``: minutes until it registers."""

    id: str
    group: str
    zone: str
    shape: Shape
    tasks: Counter[str] = field(default_factory=Counter)
    mark: DrainMark | None = None
    left: int = 0


@dataclass
class Pool:
    """A group: its shape, weight 1, and bounds."""

    shape: Shape
    min: int = 0
    max: int = 20
    desired: int = 0
    market: str = "spot"
    suspended: frozenset[str] = frozenset()


def a_shape(group: str = "orders-spot", *, cpu: int = 2048, memory: int = 7680, **changes: object) -> Shape:
    """What an m5.large registers."""
    values: dict[str, object] = {"group": group, "instance_type": "m5.large", "cpu": cpu, "memory": memory}
    return Shape(**(values | changes))  # type: ignore[arg-type]


class SizingWorld:
    """The cluster ``orders``."""

    def __init__(self, pools: dict[str, Pool], work: dict[str, Work], policy: Policy, boot: int = 2) -> None:
        """``boot``: minutes from launch to registration."""
        self.pools = pools
        self.work = work
        self.policy = policy
        self.boot = boot
        self.now: datetime = NOW
        self.machines: list[Machine] = []
        self.demands: tuple[Demand, ...] = ()
        self.removed: Demand | None = None
        self.regret: Demand | None = None
        self._launched = 0

    def start(self, group: str, tasks: list[dict[str, int]]) -> None:
        """Instances of ``group`` that run already, each with these tasks."""
        for held in tasks:
            self._launch(group, left=0).tasks.update(held)
        self.pools[group].desired = len([m for m in self.machines if m.group == group])

    def _launch(self, group: str, left: int) -> Machine:
        zones = Counter(m.zone for m in self.machines if m.group == group)
        zone = min(ZONES, key=lambda z: zones[z])
        machine = Machine(f"i-{self._launched:017x}", group, zone, self.pools[group].shape, left=left)
        self._launched += 1
        self.machines.append(machine)
        return machine

    def snapshot(self) -> Cluster:
        """The cluster as Bulwark sees it: every task of every instance."""
        up = [m for m in self.machines if not m.left]
        running = sum((m.tasks for m in up), Counter[str]())
        return Cluster(
            name="orders",
            seen_at=self.now,
            instances=tuple(self._instance(m) for m in up),
            tasks=tuple(self._task(m, name, n) for m in up for name, count in sorted(m.tasks.items()) for n in range(count)),
            tasks_examined=frozenset(instance_arn(m.id) for m in up),
            services=tuple(
                Service(
                    name, len(up) if w.daemon else w.desired, running[name], daemon=w.daemon, definition=name, distinct=w.distinct,
                    expressions=w.expressions, min_healthy_percent=0 if w.daemon else 100, max_percent=100 if w.daemon else 200,
                )
                for name, w in sorted(self.work.items())
            ),
            definitions={name: Definition(name, w.cpu, w.memory, ports=w.ports) for name, w in self.work.items()},
            groups=tuple(self._group(name, pool) for name, pool in sorted(self.pools.items())),
            shapes=tuple(p.shape for p in self.pools.values()),
            demands=self.demands,
            removed=self.removed,
            regret=self.regret,
        )  # fmt: skip

    def _held(self, machine: Machine) -> Resources:
        cpu = sum(self.work[name].cpu * count for name, count in machine.tasks.items())
        memory = sum(self.work[name].memory * count for name, count in machine.tasks.items())
        ports = frozenset(p for name in +machine.tasks for p in self.work[name].ports)
        return Resources(cpu, memory, ports=ports)

    def _instance(self, machine: Machine) -> ContainerInstance:
        held, shape = self._held(machine), machine.shape
        attributes = {**shape.attributes, "ecs.availability-zone": machine.zone}
        return ContainerInstance(
            arn=instance_arn(machine.id),
            ec2_id=machine.id,
            status="DRAINING" if machine.mark else "ACTIVE",
            zone=machine.zone,
            instance_type=shape.instance_type,
            attributes=attributes,
            registered=Resources(shape.cpu, shape.memory, ports=shape.ports),
            remaining=Resources(shape.cpu - held.cpu, shape.memory - held.memory, ports=shape.ports | held.ports),
            running=sum(machine.tasks.values()),
            drain=machine.mark,
        )

    def _task(self, machine: Machine, name: str, number: int) -> Task:
        work = self.work[name]
        arn = f"arn:aws:ecs:us-east-1:123456789012:task/orders/{machine.id}-{name}-{number}"
        return Task(arn, instance_arn(machine.id), f"service:{name}", work.cpu, work.memory, ports=work.ports, definition=name)

    def _group(self, name: str, pool: Pool) -> Group:
        members = tuple(
            GroupMember(m.id, "Pending" if m.left else "InService", m.zone, instance_type=m.shape.instance_type)
            for m in self.machines
            if m.group == name
        )
        return Group(
            name, pool.min, pool.desired, pool.max, "orders", members, pool.suspended, pool.market,  # type: ignore[arg-type]
            types=(InstanceTypeOption(pool.shape.instance_type),), zones=ZONES,
        )  # fmt: skip

    def decide(self) -> Sizing:
        """Bulwark's decision now, remembered."""
        cluster = self.snapshot()
        sizing = decide_capacity(cluster, self.policy)
        self.demands = remembered(cluster, sizing.demand)
        self.removed, self.regret = sizing.removed, sizing.regret
        return sizing

    def apply(self, plan: Plan) -> None:
        """Do what was decided."""
        by_id = {m.id: m for m in self.machines}
        for action in plan.actions:
            match action:
                case SetDesiredCapacity():
                    self.pools[action.target].desired = action.desired
                case DrainInstance():
                    by_id[action.target].mark = action.mark
                case ReactivateInstance() | UnmarkInstance():
                    by_id[action.target].mark = None
                case _:
                    raise AssertionError(action)

    def pass_time(self) -> None:
        """One minute: launches boot, ECS places and moves, what is empty and to go is ended with decrement."""
        self.now += timedelta(minutes=1)
        for name, pool in sorted(self.pools.items()):
            while "Launch" not in pool.suspended and sum(m.group == name for m in self.machines) < pool.desired:
                self._launch(name, left=self.boot)
        for machine in self.machines:
            machine.left = max(0, machine.left - 1)
        self._schedule()
        for machine in [m for m in self.machines if m.mark and not self._busy(m)]:
            self.machines.remove(machine)
            self.pools[machine.group].desired -= 1

    def _busy(self, machine: Machine) -> bool:
        return any(count and not self.work[name].daemon for name, count in machine.tasks.items())

    def _schedule(self) -> None:
        """ECS: surplus is stopped, what is missing is placed, what drains moves if there is room."""
        up = [m for m in self.machines if not m.left]
        for name, work in sorted(self.work.items()):
            if work.daemon:
                for machine in up:
                    machine.tasks[name] = 1
                continue
            for machine in sorted(up, key=lambda m: (m.mark is None, -m.tasks[name])):
                surplus = sum(m.tasks[name] for m in up) - work.desired
                machine.tasks[name] -= min(max(0, surplus), machine.tasks[name])
            missing = work.desired - sum(m.tasks[name] for m in up if m.mark is None)
            for _ in range(missing):
                if not self._place(name, up):
                    break
                leaver = next((m for m in up if m.mark and m.tasks[name]), None)
                if leaver is not None:
                    leaver.tasks[name] -= 1

    def _place(self, name: str, up: list[Machine]) -> bool:
        """Start one task where ECS would."""
        work = self.work[name]
        need = Need(work.cpu, work.memory, ports=work.ports, distinct=work.distinct, expressions=work.expressions, group=f"service:{name}")
        spaces = [
            Space.of(self._instance(m), {f"service:{n}": count for n, count in m.tasks.items() if count}) for m in up if m.mark is None
        ]
        chosen = place(need, spaces)
        if chosen is None:
            return False
        next(m for m in up if m.id == chosen.ec2_id).tasks[name] += 1
        return True

    @property
    def waiting(self) -> int:
        """Tasks that are wanted and do not run."""
        running = sum((m.tasks for m in self.machines if not m.left), Counter[str]())
        return sum(max(0, w.desired - running[name]) for name, w in self.work.items() if not w.daemon)

    def live(self, minutes: int) -> list[Plan]:
        """So many minutes under Bulwark's hand; the plans it made."""
        plans: list[Plan] = []
        for _ in range(minutes):
            sizing = self.decide()
            plans.append(sizing.plan)
            self.apply(sizing.plan)
            self.pass_time()
        return plans


def a_policy(*, budget: int = 100, **capacity: Any) -> Policy:
    """One look decides, and any number may drain, unless the test says otherwise."""
    return Policy(disruption=DisruptionPolicy(budget), capacity=CapacityPolicy(**({"window_minutes": 0} | capacity)))


def a_world(*tasks: dict[str, int], policy: Policy | None = None, pool: Pool | None = None, **work: Work) -> SizingWorld:
    """One group, an instance for each of ``tasks``."""
    world = SizingWorld({GROUP: pool or Pool(a_shape())}, work or {"web": Work(desired=0)}, policy or a_policy())
    world.start(GROUP, list(tasks))
    return world


def plan_of(cluster: Cluster, policy: Policy | None = None) -> Plan:
    """What is decided on a snapshot."""
    return decide_capacity(cluster, policy or a_policy()).plan


def desired(plan: Plan) -> dict[str, int]:
    """The desired capacities that are asked for."""
    return {a.target: a.desired for a in plan.actions if isinstance(a, SetDesiredCapacity)}


def drained(plan: Plan) -> int:
    """How many instances are drained."""
    return sum(isinstance(a, DrainInstance) for a in plan.actions)


def said(plan: Plan) -> dict[str, str]:
    """Findings by code."""
    return {f.code: f.message for f in plan.findings}
