"""The figures that a sizing decision rests on: metrics that are worth having even if Bulwark changes nothing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bulwark.core.capacity_in import Shrinking
from bulwark.core.capacity_out import Growth
from bulwark.core.cluster import Cluster
from bulwark.core.demand import Waiting
from bulwark.core.packing import Need, fits
from bulwark.core.room import Slot, closed, units_of

MANY = 1000
"""Beyond so many more of the largest task, how many exactly is no news."""


Measured = tuple[str, float]
"""Unit, as CloudWatch calls it, and value of one metric."""


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """One group. ``required`` and ``removable`` in instances; ``now``: those that serve or are coming."""

    name: str
    now: int
    required: int
    removable: int


@dataclass(frozen=True, slots=True)
class Figures:
    """One cluster at one moment.

    ``reservation_with_waiting``: percent of CPU or memory, the higher, that would be reserved if everything that waits ran; over
    100 if it cannot; None without instances. ``waiting_tasks``: tasks without a place. ``largest_task_fits``: how many more of the
    largest task there is room for. ``fragmentation``: percent of the free memory that this task cannot use for being spread out;
    None without such a task or free memory.
    """

    groups: tuple[GroupFigures, ...]
    required_instances: int
    removable_instances: int
    waiting_tasks: int
    reservation_with_waiting: float | None
    largest_task_fits: int | None
    fragmentation: float | None

    def measured(self) -> dict[str, dict[str, Measured]]:
        """The metrics of each group, and under an empty name the cluster's, without what is not known: that is not zero."""
        cluster: dict[str, tuple[str, float | None]] = {
            "RequiredInstances": ("Count", self.required_instances),
            "RemovableInstances": ("Count", self.removable_instances),
            "WaitingTasks": ("Count", self.waiting_tasks),
            "ReservationWithWaiting": ("Percent", self.reservation_with_waiting),
            "LargestTaskFits": ("Count", self.largest_task_fits),
            "Fragmentation": ("Percent", self.fragmentation),
        }
        groups: dict[str, dict[str, Measured]] = {
            g.name: {"RequiredInstances": ("Count", g.required), "RemovableInstances": ("Count", g.removable)} for g in self.groups
        }
        return {"": {name: (unit, value) for name, (unit, value) in cluster.items() if value is not None}, **groups}


def figures(cluster: Cluster, wants: Waiting, free: Sequence[Slot], growth: Growth, shrinking: Shrinking, largest: Need | None) -> Figures:
    """The figures of a decision. ``free``: the instances with what waits on them, before headroom and launches."""
    removable = Counter(c.group.name for c in shrinking.removable)
    groups = tuple(_group(cluster, name, growth, removable[name]) for name in sorted(g.name for g in cluster.groups))
    fitting = None if largest is None else min(MANY, sum(_times(largest, s) for s in free if s.origin == "ready"))
    return Figures(
        groups=groups,
        required_instances=sum(g.required for g in groups),
        removable_instances=sum(removable.values()),
        waiting_tasks=len(wants.needs),
        reservation_with_waiting=_reservation(cluster, wants),
        largest_task_fits=fitting,
        fragmentation=_fragmentation(largest, free),
    )


def _group(cluster: Cluster, name: str, growth: Growth, removable: int) -> GroupFigures:
    group = next(g for g in cluster.groups if g.name == name)
    now = sum(m.lifecycle == "InService" or m.lifecycle.startswith("Pending") for m in group.members)
    missing = 0 if closed(group, cluster) else max(0, group.desired - units_of(group))
    asked = -(-missing // max((t.weight for t in group.types), default=1))
    return GroupFigures(name, now, now + asked + growth.instances[name] - removable, removable)


def _reservation(cluster: Cluster, wants: Waiting) -> float | None:
    """Percent of the registered CPU or memory, the higher."""
    taking = [i for i in cluster.instances if i.status == "ACTIVE" and i.agent_connected]
    cpu, memory = sum(i.registered.cpu for i in taking), sum(i.registered.memory for i in taking)
    if not cpu or not memory:
        return None
    used_cpu = sum(i.registered.cpu - i.remaining.cpu for i in taking) + sum(n.cpu for n in wants.needs)
    used_memory = sum(i.registered.memory - i.remaining.memory for i in taking) + sum(n.memory for n in wants.needs)
    return round(100 * max(used_cpu / cpu, used_memory / memory), 1)


def _times(need: Need, slot: Slot) -> int:
    """How many of these tasks an instance takes."""
    if not fits(need, slot.space):
        return 0
    if need.ports or need.ports_udp or need.distinct:
        return 1
    space = slot.space
    limits = [space.cpu // need.cpu if need.cpu else MANY, space.memory // need.memory if need.memory else MANY]
    limits += [space.gpu // need.gpu] if need.gpu else []
    limits += [space.enis // need.enis] if need.enis and space.enis is not None else []
    return min(MANY, *limits)


def _fragmentation(largest: Need | None, free: Sequence[Slot]) -> float | None:
    """Percent of the free memory that is in pieces too small for the largest task."""
    ready = [s for s in free if s.origin == "ready"]
    memory = sum(max(0, s.space.memory) for s in ready)
    if largest is None or not largest.memory or not memory:
        return None
    usable = sum(_times(largest, s) * largest.memory for s in ready)
    return round(100 * (1 - min(1.0, usable / memory)), 1)
