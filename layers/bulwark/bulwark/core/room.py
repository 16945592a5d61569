"""Where tasks can go: instances that take them, those on their way, and those that a group would launch.

An instance that is on its way counts at the full size that its kind registers, so nothing is asked for twice.
"""

from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Literal

from bulwark.core.cluster import Cluster, ContainerInstance, Group, GroupMember, Resources, Shape
from bulwark.core.demand import PROVIDER, daemon_needs, ending
from bulwark.core.enis import task_enis
from bulwark.core.packing import AVAILABILITY_ZONE, Need, Space, fits, misfits, place_all
from bulwark.core.plan import Finding
from bulwark.core.policies import CapacityPolicy

CAPABILITIES = ("ecs.capability.", "com.amazonaws.ecs.capability.")
"""How the attributes begin by which an agent says what it can do (developer guide, container instance attributes)."""

TRUNK = "ecs.awsvpc-trunk-id"
"""The attribute of an instance whose tasks' network interfaces come off a trunk."""

BARREN, BARREN_SHARE = 2, 5
"""A group is asked for no more once so many of its instances do not register, and they are more than one in so many of all."""

PLENTY = 1 << 30
"""More than any instance has: stands for no shortage, where only attributes and zones are compared."""

Origin = Literal["ready", "coming", "new"]


@dataclass(frozen=True, slots=True)
class Slot:
    """One instance that takes tasks now or will. ``group`` None: it is in none that opted in.

    ``registered`` is all that it has, ``daemons`` what of that daemons take.
    """

    space: Space
    registered: Resources
    daemons: Resources = field(default_factory=Resources)
    group: str | None = None
    origin: Origin = "ready"


@dataclass(slots=True)
class Board:
    """Instances, and what has been put on them in thought. ``assigned``: by ARN."""

    slots: dict[str, Slot] = field(default_factory=dict)
    assigned: dict[str, list[Need]] = field(default_factory=lambda: defaultdict(list))

    def add(self, slots: Iterable[Slot]) -> None:
        """More instances, after those that are there."""
        self.slots |= {s.space.arn: s for s in slots}

    def place(self, needs: Sequence[Need]) -> tuple[Need, ...]:
        """Put ``needs`` where they fit; returns those that fit nowhere. Raises QueryError for a bad placement expression."""
        if not needs:
            return ()
        placed, unplaced = place_all(needs, [s.space for s in self.slots.values()])
        for need, space in placed:
            self.put(need, space.arn)
        return unplaced

    def put(self, need: Need, arn: str) -> None:
        """Put one on that instance, whether or not it fits."""
        slot = self.slots[arn]
        self.slots[arn] = replace(slot, space=slot.space.take(need))
        self.assigned[arn].append(need)

    def copy(self) -> "Board":
        """The same, to be changed on its own."""
        return Board(dict(self.slots), defaultdict(list, {arn: list(needs) for arn, needs in self.assigned.items()}))

    def without(self, arn: str, needs: Sequence[Need]) -> "Board | None":
        """The board without one instance, with ``needs`` and what was put on it placed elsewhere; None if there is no room for them.

        ECS decides where tasks go, and by default it spreads them. So each is put where most is free: what fits even so, and leaves
        what is to be held free, does not depend on ECS packing well.
        """
        left = self.copy()
        left.slots.pop(arn)
        moving = [*needs, *left.assigned.pop(arn, ())]
        order = sorted((-s.space.memory, -s.space.cpu, name) for name, s in left.slots.items())
        for need in sorted(moving, key=lambda n: (-n.gpu, -n.memory, -n.cpu, n.key)):
            at = next((n for n, (_, _, name) in enumerate(order) if fits(need, left.slots[name].space)), None)
            if at is None:
                return None
            name = order.pop(at)[2]
            left.put(need, name)
            space = left.slots[name].space
            insort(order, (-space.memory, -space.cpu, name))
        return left


def ready(cluster: Cluster) -> list[Slot]:
    """The instances on which ECS places tasks now, by what they have left.

    One that has registered and holds nothing yet has its daemons' share taken off: they are about to start.
    """
    daemons = daemon_needs(cluster)
    held: dict[str, Counter[str]] = defaultdict(Counter)
    enis: Counter[str] = Counter()
    for task in cluster.tasks:
        if task.alive:
            held[task.instance_arn][task.group] += 1
            enis[task.instance_arn] += task.eni
    groups = {m.id: g.name for g in cluster.groups for m in g.members}
    going = ending(cluster)
    slots: list[Slot] = []
    for one in sorted(cluster.instances, key=lambda i: (i.ec2_id, i.arn)):
        if one.status == "ACTIVE" and one.agent_connected and one.described and one.ec2_id not in going:
            space = Space.of(one, held.get(one.arn, {}))
            if one.capacity_provider:
                space = replace(space, attributes={**space.attributes, PROVIDER: one.capacity_provider})
            mine = [d for d in daemons if _accepts(d, space)]
            # Tasks that were not looked at may all have a network interface, but for the daemons that have none.
            others = one.running + one.pending - sum(not d.enis for d in mine)
            space = replace(space, enis=_left(one, enis[one.arn] if one.arn in cluster.tasks_examined else max(0, others)))
            if not one.running + one.pending:
                space = _with(space, mine)
            slots.append(Slot(space, one.registered, _sum(mine), groups.get(one.ec2_id)))
    return slots


def _left(instance: ContainerInstance, used: int) -> int | None:
    """Network interfaces left for tasks; None if EC2's limit for the type is not known."""
    limit = task_enis(instance.instance_type, trunked=TRUNK in instance.attributes)
    return None if limit is None else max(0, limit - used)


def _with(space: Space, daemons: Iterable[Need]) -> Space:
    """The space with these daemons on it, as far as it has room for them."""
    for need in daemons:
        space = space.take(need)
    return replace(space, running=0)


def _sum(needs: Iterable[Need]) -> Resources:
    listed = list(needs)
    return Resources(sum(n.cpu for n in listed), sum(n.memory for n in listed), sum(n.gpu for n in listed))


def _accepts(need: Need, space: Space) -> bool:
    """Whether attributes, zone and constraints allow the task there, however little is left."""
    if not (need.attributes or need.expressions or need.zones):
        return True
    roomy = replace(space, cpu=PLENTY, memory=PLENTY, gpu=PLENTY, ports=frozenset(), ports_udp=frozenset(), enis=None, groups={})
    return not misfits(replace(need, distinct=False), roomy)


def fresh(shape: Shape, zone: str, name: str, daemons: Sequence[Need], origin: Origin = "new") -> Slot:
    """An instance of that shape as it is after its daemons have started. ``name`` stands for its ARN."""
    attributes = {**shape.attributes, AVAILABILITY_ZONE: zone}
    space = Space(name, name, shape.cpu, shape.memory, shape.gpu, shape.ports, shape.ports_udp, shape.enis, zone, attributes)
    mine = [d for d in daemons if _accepts(trusting(d, shape), space)]
    registered = Resources(shape.cpu, shape.memory, shape.gpu)
    return Slot(_with(space, mine), registered, _sum(mine), shape.group, origin)


def trusting(need: Need, shape: Shape) -> Need:
    """The need as it is compared with a shape nobody has seen register: what an agent can do is then taken on trust."""
    if shape.learned:
        return need
    return replace(need, attributes=tuple((n, v) for n, v in need.attributes if not n.startswith(CAPABILITIES)))


def shape_of(cluster: Cluster, group: str, instance_type: str) -> Shape | None:
    """What an instance of that type in that group registers, its capacity provider with it."""
    found = next((s for s in cluster.shapes if s.group == group and s.instance_type == instance_type), None)
    provider = next((p.name for p in cluster.capacity_providers if p.group == group), None)
    return found if found is None or provider is None else replace(found, attributes={**found.attributes, PROVIDER: provider})


def shapes_of(cluster: Cluster, group: Group) -> tuple[tuple[Shape, int], ...]:
    """Every shape that the group may launch, with its weight; empty if one of them is not known."""
    found = [(shape_of(cluster, group.name, t.name), t.weight) for t in group.types]
    known = [(shape, weight) for shape, weight in found if shape is not None]
    return tuple(known) if len(known) == len(found) else ()


def zones_to_come(group: Group, extra: Sequence[str] = ()) -> Iterator[str]:
    """The zones of further launches, one after the other: Auto Scaling keeps its zones balanced.

    ``extra``: zones of instances that are on their way and not among the members. Ties go to the group's last zone.
    """
    counts = Counter(m.zone for m in group.members if _usable(m))
    counts.update(extra)
    zones = group.zones or tuple(sorted({m.zone for m in group.members})) or ("",)
    while True:
        zone = min(reversed(zones), key=lambda z: counts[z])
        counts[zone] += 1
        yield zone


def _usable(member: GroupMember) -> bool:
    """In service or coming, and not about to be replaced: what counts against desired."""
    return member.healthy and (member.lifecycle == "InService" or member.lifecycle.startswith("Pending"))


def units_of(group: Group) -> int:
    """Capacity units of the members that serve or are coming."""
    return sum(m.weight for m in group.members if _usable(m))


def closed(group: Group, cluster: Cluster) -> str | None:
    """Why a group launches nothing more; None: it does, as far as its maximum goes."""
    if stopped := _stopped(group, cluster):
        return stopped
    if managed(group, cluster):
        return "an ECS capacity provider scales it"
    if group.in_units:
        return "its desired capacity counts vCPUs or MiB, which is not sized here"
    return None


def _stopped(group: Group, cluster: Cluster) -> str | None:
    """Why not even what was asked for already is launched just now."""
    if "Launch" in group.suspended:
        return "its process Launch is suspended"
    if group.rest is not None and group.rest.until > cluster.seen_at:
        return f"it rests until {group.rest.until:%H:%M} UTC: {group.rest.because}"
    if group.trouble is not None:
        return f"its launches fail: {group.trouble}"
    return None


def managed(group: Group, cluster: Cluster) -> bool:
    """Whether ECS scales the group itself, or may: what its capacity provider does could not be read."""
    found = [p for p in cluster.capacity_providers if p.group == group.name]
    return any(p.managed_scaling for p in found) or (group.ecs_managed and not found)


@dataclass(frozen=True, slots=True)
class Coming:
    """Instances that were asked for and have not registered. ``late``: ids of those that should have by now.

    ``barren``: groups so many of whose instances are late that more of them would hardly register either.
    """

    slots: tuple[Slot, ...] = ()
    late: tuple[str, ...] = ()
    barren: frozenset[str] = frozenset()
    findings: tuple[Finding, ...] = ()


def coming(cluster: Cluster, policy: CapacityPolicy) -> Coming:
    """What is launching, and what groups are still to launch of what they were asked for."""
    daemons = daemon_needs(cluster)
    registered = {i.ec2_id for i in cluster.instances if i.status != "INACTIVE"}
    slots: list[Slot] = []
    late: list[str] = []
    barren: set[str] = set()
    findings: list[Finding] = []
    for group in sorted(cluster.groups, key=lambda g: g.name):
        mine: list[Slot] = []
        before = len(late)
        for member in group.members:
            if not _usable(member) or member.id in registered:
                continue
            host = cluster.host(member.id)
            begun = host.launched if host else None
            if begun is not None and begun + timedelta(minutes=policy.register_minutes) < cluster.seen_at:
                late.append(member.id)
                continue
            shape = shape_of(cluster, group.name, member.instance_type) or _least(shapes_of(cluster, group))
            if shape is not None:
                mine.append(fresh(shape, member.zone, member.id, daemons, "coming"))
        slots += mine + _asked_for(cluster, group, daemons)
        if len(late) - before >= BARREN and (len(late) - before) * BARREN_SHARE > sum(_usable(m) for m in group.members):
            barren.add(group.name)
    if late:
        named = ", ".join(late[:5])
        message = f"launched over {policy.register_minutes} min ago and not registered with ECS, so not counted as room: {named}"
        findings.append(Finding("never-registered", cluster.name, message))
    return Coming(tuple(slots), tuple(late), frozenset(barren), tuple(findings))


def _asked_for(cluster: Cluster, group: Group, daemons: Sequence[Need]) -> list[Slot]:
    """What a group still lacks of its desired capacity, by the type of which that is least; nothing if it launches nothing just now."""
    missing = group.desired - units_of(group)
    shapes = shapes_of(cluster, group)
    if missing <= 0 or not shapes or _stopped(group, cluster) is not None:
        return []
    counts = [-(-missing // weight) for _, weight in shapes]
    sums = [(count * shape.memory, count * shape.cpu, count) for count, (shape, _) in zip(counts, shapes, strict=True)]
    count = min(sums)[2]
    shape, every = _least([s for c, s in zip(counts, shapes, strict=True) if c == count]), _least(shapes)
    if shape is None or every is None:
        return []
    certain = replace(shape, attributes=every.attributes, ports=every.ports, ports_udp=every.ports_udp, enis=every.enis)
    zones = zones_to_come(group)
    return [fresh(certain, next(zones), f"asked:{group.name}:{n}", daemons, "coming") for n in range(count)]


def _least(shapes: Sequence[tuple[Shape, int]]) -> Shape | None:
    """What any of these certainly has: the least of each, and the attributes that all have alike."""
    if not shapes:
        return None
    every = [shape for shape, _ in shapes]
    common: Mapping[str, str | None] = every[0].attributes
    if len(every) > 1:
        common = {k: v for k, v in common.items() if all(k in s.attributes and s.attributes[k] == v for s in every)}
    known = [s.enis for s in every if s.enis is not None]
    return replace(
        every[0],
        cpu=min(s.cpu for s in every),
        memory=min(s.memory for s in every),
        gpu=min(s.gpu for s in every),
        ports=frozenset().union(*(s.ports for s in every)),
        ports_udp=frozenset().union(*(s.ports_udp for s in every)),
        attributes=common,
        enis=min(known) if known else None,
        learned=all(s.learned for s in every),
    )
