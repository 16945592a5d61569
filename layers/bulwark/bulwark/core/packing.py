"""One model of ECS placement: what a task needs against what an instance has left, and who gets the task.

The rules are the ECS developer guide's (task placement, constraints and strategies) and the reasons are those of RunTask's
``failures[]`` (API failure messages). CPU in units (1,024 = one vCPU), memory in MiB. An exact fit fits.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from heapq import heapify, heappop, heappush
from itertools import takewhile
from types import MappingProxyType
from typing import Literal

from bulwark.core import query
from bulwark.core.cluster import NO_ATTRIBUTES, ContainerInstance, Task

MAX_HOST_PORTS = 100
"""Host ports one container instance can have in use at a time, ECS's own five included (developer guide, task definition parameters)."""

AVAILABILITY_ZONE = "ecs.availability-zone"
NO_GROUPS: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Need:
    """What one task asks of an instance.

    ``ports`` and ``ports_udp`` are fixed host ports; ``enis`` is 1 for an awsvpc task. ``attributes`` are required ones, a
    value of None asking only that the attribute is there; ``expressions`` are memberOf constraints in the cluster query
    language; ``distinct`` asks for an instance without a task of the same ``group``; ``zones`` are those of the awsvpc
    subnets, empty for any. ``key`` is the caller's own name for it and plays no part in comparing needs.
    """

    cpu: int = 0
    memory: int = 0
    gpu: int = 0
    ports: frozenset[int] = frozenset()
    ports_udp: frozenset[int] = frozenset()
    enis: int = 0
    attributes: tuple[tuple[str, str | None], ...] = ()
    expressions: tuple[str, ...] = ()
    distinct: bool = False
    zones: frozenset[str] = frozenset()
    group: str = ""
    key: str = field(default="", compare=False)

    @classmethod
    def of(cls, task: Task, key: str = "") -> "Need":
        """What an observed task holds, and another instance would have to offer; of its constraints a task tells nothing."""
        return cls(task.cpu, task.memory, task.gpu, task.ports, task.ports_udp, group=task.group, key=key or task.arn)


@dataclass(frozen=True, slots=True)
class Space:
    """One container instance with what it has left. ``ports`` are taken; ``enis`` None: not known, so not a limit.

    ``groups`` counts the tasks of each task group on it, as far as they were read.
    """

    arn: str
    ec2_id: str
    cpu: int = 0
    memory: int = 0
    gpu: int = 0
    ports: frozenset[int] = frozenset()
    ports_udp: frozenset[int] = frozenset()
    enis: int | None = None
    zone: str = ""
    attributes: Mapping[str, str | None] = field(default_factory=lambda: NO_ATTRIBUTES)
    status: str = "ACTIVE"
    agent_connected: bool = True
    agent_version: str | None = None
    registered_at: datetime | None = None
    running: int = 0
    groups: Mapping[str, int] = field(default_factory=lambda: NO_GROUPS)

    @classmethod
    def of(
        cls,
        instance: ContainerInstance,
        groups: Mapping[str, int] = NO_GROUPS,
        enis: int | None = None,
        registered_at: datetime | None = None,
    ) -> "Space":
        """What an observed instance has left. ECS reports no groups, ENIs or (here) registration time: pass what is known."""
        left = instance.remaining
        return cls(
            instance.arn, instance.ec2_id, left.cpu, left.memory, left.gpu, left.ports, left.ports_udp, enis, instance.zone,
            instance.attributes, instance.status, instance.agent_connected, instance.agent_version, registered_at, instance.running, groups,
        )  # fmt: skip

    def take(self, need: Need) -> "Space":
        """The same instance with the task on it, counted as running. Does not ask whether it fits."""
        groups = {**self.groups, need.group: self.groups.get(need.group, 0) + 1} if need.group else self.groups
        return replace(
            self,
            cpu=self.cpu - need.cpu,
            memory=self.memory - need.memory,
            gpu=self.gpu - need.gpu,
            ports=self.ports | need.ports,
            ports_udp=self.ports_udp | need.ports_udp,
            enis=None if self.enis is None else self.enis - need.enis,
            running=self.running + 1,
            groups=groups,
        )


@dataclass(frozen=True, slots=True)
class Misfit:
    """One reason why a task cannot go to an instance. ``reason`` is ECS's own word; ``detail`` says it with numbers."""

    reason: str
    detail: str


def misfits(need: Need, space: Space) -> tuple[Misfit, ...]:
    """Every reason why the instance cannot take the task; empty if it can. Raises QueryError for a bad expression."""
    return (*_standing(need, space), *_constraints(need, space), *_shortages(need, space))


def fits(need: Need, space: Space) -> bool:
    """Whether the instance can take the task: the same as no misfits, without the words, and with the cheapest questions first."""
    if need.cpu > space.cpu or need.memory > space.memory or need.gpu > space.gpu:
        return False
    return _suits(need, space) and _has_free(need, space)


def _suits(need: Need, space: Space) -> bool:
    """Whether expressions, state, place and attributes allow it. Raises QueryError for any bad expression, whatever else is amiss."""
    meant = True
    for expression in need.expressions:
        meant = query.matches(expression, space) and meant
    if not meant or space.status != "ACTIVE" or not space.agent_connected or (need.zones and space.zone not in need.zones):
        return False
    have = space.attributes
    return not need.attributes or all(name in have and value in (None, have[name]) for name, value in need.attributes)


def _has_free(need: Need, space: Space) -> bool:
    """Whether what is there of ports and interfaces is free, and no other task of the group is in the way."""
    if need.distinct and space.groups.get(need.group, 0):
        return False
    if space.enis is not None and need.enis > space.enis:
        return False
    if not need.ports and not need.ports_udp:
        return True
    total = len(space.ports) + len(space.ports_udp) + len(need.ports) + len(need.ports_udp)
    return total <= MAX_HOST_PORTS and need.ports.isdisjoint(space.ports) and need.ports_udp.isdisjoint(space.ports_udp)


def _standing(need: Need, space: Space) -> Iterable[Misfit]:
    """Reasons that lie in the instance's state and place."""
    if space.status != "ACTIVE":
        yield Misfit(space.status, f"the instance is {space.status}")
    if not space.agent_connected:
        yield Misfit("AGENT", "the agent is not connected")
    if need.zones and space.zone not in need.zones:
        wanted = ", ".join(sorted(need.zones))
        yield Misfit("LOCATION", f"the instance is in {space.zone or 'no known zone'}, the task's subnets are in {wanted}")


def _constraints(need: Need, space: Space) -> Iterable[Misfit]:
    """Reasons that lie in attributes and placement constraints."""
    for name, value in need.attributes:
        if name not in space.attributes:
            yield Misfit("ATTRIBUTE", f"the instance lacks {name}")
        elif value is not None and space.attributes[name] != value:
            yield Misfit("ATTRIBUTE", f"{name} is {space.attributes[name]}, the task asks for {value}")
    for expression in need.expressions:
        if not query.matches(expression, space):
            yield Misfit("MemberOf placement constraint unsatisfied.", expression)
    if need.distinct and space.groups.get(need.group, 0):
        yield Misfit("DistinctInstance placement constraint unsatisfied.", f"the instance already has a task of {need.group}")


def _shortages(need: Need, space: Space) -> Iterable[Misfit]:
    """Reasons that lie in what the instance has left."""
    if need.cpu > space.cpu:
        yield Misfit("RESOURCE:CPU", f"needs {need.cpu} CPU units, {space.cpu} left")
    if need.memory > space.memory:
        yield Misfit("RESOURCE:MEMORY", f"needs {need.memory} MiB, {space.memory} left")
    if need.gpu > space.gpu:
        yield Misfit("RESOURCE:GPU", f"needs {need.gpu} GPUs, {space.gpu} left")
    yield from _port_shortages(need, space)
    if space.enis is not None and need.enis > space.enis:
        yield Misfit("RESOURCE:ENI", f"needs {need.enis} network interface, {space.enis} left")


def _port_shortages(need: Need, space: Space) -> Iterable[Misfit]:
    """Host ports that are taken, or too many of them."""
    if not need.ports and not need.ports_udp:
        return
    taken = sorted(need.ports & space.ports), sorted(need.ports_udp & space.ports_udp)
    if taken[0] or taken[1]:
        named = [f"{port}/tcp" for port in taken[0]] + [f"{port}/udp" for port in taken[1]]
        yield Misfit("RESOURCE:PORTS", f"host port {', '.join(named)} is taken")
        return
    total = len(space.ports) + len(space.ports_udp) + len(need.ports) + len(need.ports_udp)
    if total > MAX_HOST_PORTS:
        yield Misfit("RESOURCE:PORTS", f"{total} host ports on one instance, {MAX_HOST_PORTS} allowed")


@dataclass(frozen=True, slots=True)
class Strategy:
    """One step of a placement strategy. ``field``: ``instanceId`` or an attribute name for spread, ``cpu`` or ``memory`` for binpack."""

    kind: Literal["spread", "binpack", "random"]
    field: str = ""


DEFAULT_STRATEGY = (Strategy("spread", f"attribute:{AVAILABILITY_ZONE}"), Strategy("spread", "instanceId"))
"""What ECS uses for a service that names no strategy: over zones, then over instances (developer guide, CreateService)."""


def place(need: Need, spaces: Sequence[Space], strategy: Sequence[Strategy] = DEFAULT_STRATEGY) -> Space | None:
    """The instance that gets the task, or None if it fits on none.

    Each step of the strategy narrows the choice, and what is then still equal goes to the lowest instance id: ``random`` is
    replaced by that too, so that the same question has the same answer. Spread counts tasks of the need's own group, on
    every instance given.
    """
    candidates = [space for space in spaces if fits(need, space)]
    for step in strategy:
        if len(candidates) > 1:
            candidates = _narrow(need, candidates, spaces, step)
    return min(candidates, key=lambda space: (space.ec2_id, space.arn), default=None)


def _narrow(need: Need, candidates: list[Space], spaces: Sequence[Space], step: Strategy) -> list[Space]:
    """The candidates that one step of a strategy likes best."""
    if step.kind == "binpack":
        least = min(_left(space, step.field) for space in candidates)
        return [space for space in candidates if _left(space, step.field) == least]
    if step.kind == "random":
        return candidates
    counts = _counts(need, spaces, step.field)
    fewest = min(counts.get(_domain(space, step.field), 0) for space in candidates)
    return [space for space in candidates if counts.get(_domain(space, step.field), 0) == fewest]


def _counts(need: Need, spaces: Sequence[Space], field: str) -> dict[str | None, int]:
    """How many tasks of the need's group each domain of ``field`` holds; a domain without any is left out."""
    counts: dict[str | None, int] = {}
    for space in spaces:
        held = space.groups.get(need.group, 0)
        if held:
            key = _domain(space, field)
            counts[key] = counts.get(key, 0) + held
    return counts


def _left(space: Space, field: str) -> int:
    """What binpack compares: CPU units, or MiB."""
    return space.cpu if field.lower() == "cpu" else space.memory


def _domain(space: Space, field: str) -> str | None:
    """The part of the cluster an instance belongs to when tasks are spread by ``field``."""
    if field in ("instanceId", "host"):
        return space.arn
    name = field.removeprefix("attribute:")
    return space.attributes.get(name, space.zone if name == AVAILABILITY_ZONE else None)


def place_many(need: Need, count: int, spaces: Sequence[Space], strategy: Sequence[Strategy] = DEFAULT_STRATEGY) -> tuple[Space, ...]:
    """The instances that ``count`` equal tasks go to, one after the other: what repeating ``place`` gives, in n log n.

    Each space is returned as it was before its task; fewer than ``count`` means that the rest fit nowhere.
    """
    by_domain = tuple(step.field for step in takewhile(_is_domain, strategy))
    within = strategy[len(by_domain) :]
    if any(_is_domain(step) for step in within):
        return _place_repeatedly(need, count, spaces, strategy)
    counts = [_counts(need, spaces, field) for field in by_domain]
    heaps: dict[tuple[str | None, ...], list[tuple[tuple[int, ...], str, str, Space]]] = {}
    for space in spaces:
        if fits(need, space):
            heaps.setdefault(tuple(_domain(space, field) for field in by_domain), []).append(_entry(need, space, within))
    for heap in heaps.values():
        heapify(heap)
    chosen: list[Space] = []
    while heaps and len(chosen) < count:
        key = min(heaps, key=lambda k: (tuple(c.get(d, 0) for c, d in zip(counts, k, strict=True)), heaps[k][0][:3]))
        space = heappop(heaps[key])[3]
        chosen.append(space)
        if need.group:
            for held, domain in zip(counts, key, strict=True):
                held[domain] = held.get(domain, 0) + 1
        after = space.take(need)
        if fits(need, after):
            heappush(heaps[key], _entry(need, after, within))
        elif not heaps[key]:
            del heaps[key]
    return tuple(chosen)


def _place_repeatedly(need: Need, count: int, spaces: Sequence[Space], strategy: Sequence[Strategy]) -> tuple[Space, ...]:
    """``place``, ``count`` times: for strategies that spread by an attribute after something else."""
    left = list(spaces)
    chosen: list[Space] = []
    while len(chosen) < count and (space := place(need, left, strategy)) is not None:
        chosen.append(space)
        left[left.index(space)] = space.take(need)
    return tuple(chosen)


def _is_domain(step: Strategy) -> bool:
    """Whether the step spreads over parts of the cluster that hold several instances."""
    return step.kind == "spread" and step.field not in ("instanceId", "host")


def _entry(need: Need, space: Space, steps: Sequence[Strategy]) -> tuple[tuple[int, ...], str, str, Space]:
    """The order of one instance among those of its domain. Its ARN is its own, so two spaces are never compared."""
    ranks = {"spread": space.groups.get(need.group, 0), "random": 0}
    return tuple(ranks[s.kind] if s.kind in ranks else _left(space, s.field) for s in steps), space.ec2_id, space.arn, space


def place_all(needs: Iterable[Need], spaces: Iterable[Space]) -> tuple[tuple[tuple[Need, Space], ...], tuple[Need, ...]]:
    """Is there room for all of these at once? Returns who went where, and those for which no room was found.

    First fit, biggest first, in the order of the spaces given. Each placed need comes with its space as it was before that
    task. What is placed certainly fits together; of what is not, a cleverer arrangement could sometimes still place a
    little more (packing in several dimensions has no quick exact answer). Raises QueryError for a bad expression.
    """
    left = list(spaces)
    placed: list[tuple[Need, Space]] = []
    unplaced: list[Need] = []
    asked: dict[object, bytearray] = {}
    answers = bytearray()
    at = 0
    before: Need | None = None
    for need in _biggest_first(list(needs)):
        if need != before:
            at, before, answers = 0, need, asked.setdefault(_question(need), bytearray(len(left)))
        # Equal needs stand side by side, and what has just refused one of them refuses the next too: carry on from there.
        at = _first_fit(need, left, at, answers)
        if at == len(left):
            unplaced.append(need)
            continue
        placed.append((need, left[at]))
        left[at] = left[at].take(need)
        answers[at] = UNASKED
    return tuple(placed), tuple(unplaced)


UNASKED, SUITS, UNSUITED = range(3)
CHANGING = ("task:group", "runningTasksCount")
"""What of all that an expression can ask changes when a task is placed (developer guide, cluster query language)."""


def _question(need: Need) -> object:
    """Equal for needs of which ``_suits`` says the same, whatever else was placed in between."""
    if any(subject in expression for expression in need.expressions for subject in CHANGING):
        return need
    return need.expressions, need.zones, need.attributes


def _first_fit(need: Need, spaces: Sequence[Space], start: int, answers: bytearray) -> int:
    """The place in ``spaces``, from ``start`` on, of the first that ``fits``; their number if none does.

    Sizes are compared here, without a call, and whether an instance suits is asked once for all needs with the same ``answers``.
    """
    cpu, memory, gpu = need.cpu, need.memory, need.gpu
    for at in range(start, len(spaces)):
        space = spaces[at]
        if space.cpu < cpu or space.memory < memory or space.gpu < gpu:
            continue
        if answers[at] == UNASKED:
            answers[at] = SUITS if _suits(need, space) else UNSUITED
        if answers[at] == SUITS and _has_free(need, space):
            return at
    return len(spaces)


def _biggest_first(needs: list[Need]) -> list[Need]:
    """Needs by their larger share of CPU or memory, the more demanding first among equals; equal needs side by side."""
    most_cpu = max((need.cpu for need in needs), default=0) or 1
    most_memory = max((need.memory for need in needs), default=0) or 1
    kinds: dict[Need, int] = {}
    for need in needs:
        kinds.setdefault(need, len(kinds))

    def size(need: Need) -> tuple[int, float, int, int]:
        """GPUs first, then the larger share, then how particular it is; the order of asking settles the rest."""
        particular = len(need.ports) + len(need.ports_udp) + len(need.attributes) + len(need.expressions) + len(need.zones)
        return (-need.gpu, -max(need.cpu / most_cpu, need.memory / most_memory), -particular, kinds[need])

    return sorted(needs, key=size)
