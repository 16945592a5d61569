"""How many instances of which group are missing, in one step: what fits on nothing that is there or on its way is packed on new ones.

Nothing is launched for nothing: what no instance of a group could ever hold, and what a closed group cannot bring, is a finding.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from bulwark.core.capacity_targets import Totals, shortfalls
from bulwark.core.cluster import Cluster, Demand, Group, Shape
from bulwark.core.demand import HEADROOM, MOVING, daemon_needs
from bulwark.core.packing import Need, fits, misfits, place_all
from bulwark.core.plan import Finding
from bulwark.core.policies import CapacityPolicy
from bulwark.core.room import Board, Slot, closed, fresh, managed, shapes_of, trusting, units_of, zones_to_come

NEWEST = 500
"""The most instances that one decision asks one group for. What is left is decided a minute later, on what came of them."""

NAMED = 3
"""Kinds of tasks that a reason names."""

MARKET_RANK = {"spot": 0, "mixed": 1, "unknown": 1, "on-demand": 2}
"""Cheapest first, where the policy says nothing."""


def rank(group: Group, policy: CapacityPolicy) -> int:
    """How dear a group is beside others: its place in the policy's order, or by its market after those."""
    if group.name in policy.order:
        return policy.order.index(group.name)
    return len(policy.order) + MARKET_RANK[group.market]


def in_order(cluster: Cluster, policy: CapacityPolicy) -> tuple[Group, ...]:
    """The groups that may be sized, cheapest first."""
    ours = [g for g in cluster.groups if g.cluster == cluster.name and not managed(g, cluster)]
    return tuple(sorted(ours, key=lambda g: (rank(g, policy), g.name)))


@dataclass(frozen=True, slots=True)
class _Model:
    """One shape that a group may launch: its weight, and what an instance of it is in each of the group's zones."""

    shape: Shape
    weight: int
    slots: tuple[Slot, ...]

    def holds(self, need: Need) -> bool:
        """Whether such an instance, empty but for its daemons, takes the task in one of the zones at least."""
        trusted = trusting(need, self.shape)
        return any(fits(trusted, slot.space) for slot in self.slots)

    def why_not(self, need: Need) -> str:
        """Why it takes the task in none, with the numbers."""
        trusted = trusting(need, self.shape)
        reasons = min((misfits(trusted, slot.space) for slot in self.slots), key=len, default=())
        return ", ".join(m.detail for m in reasons)


@dataclass(slots=True)
class Growth:
    """What is to be launched, as it comes together.

    ``units``: more capacity units, and ``instances``, by group; ``because``: what for; ``unplaced``: what stays without a place.
    """

    cluster: Cluster
    policy: CapacityPolicy
    board: Board
    groups: tuple[Group, ...]
    daemons: tuple[Need, ...]
    models: dict[str, tuple[_Model, ...]]
    barren: frozenset[str] = frozenset()
    units: Counter[str] = field(default_factory=Counter)
    instances: Counter[str] = field(default_factory=Counter)
    because: dict[str, list[str]] = field(default_factory=dict)
    unplaced: list[Need] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @classmethod
    def on(cls, cluster: Cluster, policy: CapacityPolicy, board: Board, barren: frozenset[str] = frozenset()) -> "Growth":
        """Nothing launched yet. New instances will be added to ``board``. ``barren``: groups whose instances do not register."""
        groups, daemons = in_order(cluster, policy), daemon_needs(cluster)
        models = {g.name: tuple(_model(s, w, g, daemons) for s, w in shapes_of(cluster, g)) for g in groups}
        return cls(cluster, policy, board, groups, daemons, models, barren)

    def room(self, group: Group) -> int:
        """Capacity units that may still be asked for."""
        if closed(group, self.cluster) is not None or group.name in self.barren:
            return 0
        return max(0, group.max - max(group.desired, units_of(group)) - self.units[group.name])

    def holds(self, group: Group, need: Need) -> bool:
        """Whether every instance that the group may launch can hold the task."""
        models = self.models[group.name]
        return bool(models) and all(m.holds(need) for m in models)

    def place(self, needs: Sequence[Need]) -> None:
        """Find a place for ``needs``, none of which fits on the board as it is."""
        holders = {need: [g for g in self.groups if self.holds(g, need)] for need in dict.fromkeys(needs)}
        opened = {g.name for g in self.groups if self.room(g) > 0}
        able = {need: [g for g in found if g.name in opened] for need, found in holders.items()}
        unplaced = [n for n in needs if not able[n]]
        # What only one group can hold goes first: what its instances have left over then serves the others.
        for group in self.groups:
            unplaced += self._launch(group, [n for n in needs if able[n] == [group]])
        left = list(self.board.place([n for n in needs if len(able[n]) > 1]))
        for group in self.groups:
            rest = self._launch(group, [n for n in left if group in able[n]])
            left = [n for n in left if group not in able[n]]
            # A group that has room and was not asked for all of it is asked again with the next look, before a dearer one is.
            if self.room(group):
                unplaced += rest
            else:
                left += rest
        self._explain([*unplaced, *left], holders)
        self.unplaced += [*unplaced, *left]

    def _launch(self, group: Group, needs: Sequence[Need]) -> list[Need]:
        """Ask ``group`` for what it takes to hold ``needs``; returns those for which its maximum leaves no room.

        Of several types nobody knows which will come: what is asked for suffices whichever it is.
        """
        if not needs:
            return []
        room = self.room(group)
        tried = [(*self._filled(group, m, -(-room // m.weight), needs), m.weight) for m in self.models[group.name]]
        # Auto Scaling launches until desired is reached or passed: the last instance need not be asked for with all of its weight.
        slots, unplaced, weight = max(tried, key=lambda t: (len(t[1]), (len(t[0]) - 1) * t[2]))
        if not slots:
            return list(needs)
        self._add(group, slots, (len(slots) - 1) * weight + 1, _for(needs, unplaced))
        return unplaced

    def _filled(self, group: Group, model: _Model, most: int, needs: Sequence[Need]) -> tuple[list[Slot], list[Need]]:
        """New instances of one model with ``needs`` on them, at most ``most`` and no more than it takes, and what is left over."""
        slots = self.next(group, model, min(most, NEWEST, _enough(group, needs)))
        own = {trusting(n, model.shape): n for n in needs}
        placed, unplaced = place_all([trusting(n, model.shape) for n in needs], [s.space for s in slots])
        number = {slot.space.arn: n for n, slot in enumerate(slots)}
        # Zones take turns, so to have the last one used there have to be those before it.
        used = slots[: max((number[space.arn] for _, space in placed), default=-1) + 1]
        for need, space in placed:
            slot = used[number[space.arn]]
            used[number[space.arn]] = replace(slot, space=slot.space.take(need))
        return used, [replace(own[n], key=n.key) for n in unplaced]

    def next(self, group: Group, model: _Model, count: int) -> list[Slot]:
        """The next ``count`` instances that the group would launch if all were of that model."""
        first = self.instances[group.name]
        zones = islice(zones_to_come(group), first, first + count)
        return [fresh(model.shape, zone, f"new:{group.name}:{n:05}", self.daemons) for n, zone in enumerate(zones, first)]

    def _add(self, group: Group, slots: Sequence[Slot], units: int, because: str) -> None:
        """Launch these, in thought, by asking for so many more capacity units."""
        self.board.add(slots)
        self.units[group.name] += units
        self.instances[group.name] += len(slots)
        said = self.because.setdefault(group.name, [])
        if because not in said:
            said.append(because)

    def fill_up(self, demand: Demand) -> None:
        """Launch what reservation targets and a headroom in percent still lack, cheapest group first."""
        totals = Totals.of(self.board.slots.values())
        for group in self.groups:
            models = self.models[group.name]
            if not models:
                continue
            model = min(models, key=lambda m: (m.shape.memory / m.weight, m.shape.cpu / m.weight))
            for slot in self.next(group, model, min(-(-self.room(group) // model.weight), NEWEST)):
                missing = [s for s in shortfalls(totals, demand, self.policy) if getattr(slot.registered, s.dimension)]
                if not missing:
                    break
                self._add(group, [slot], min(model.weight, self.room(group)), missing[0].message)
                totals.add(slot)
        for short in shortfalls(totals, demand, self.policy):
            message = f"{short.message}, and no group can bring more"
            self.findings.append(Finding("below-target", self.cluster.name, message))

    def _explain(self, unplaced: Sequence[Need], holders: dict[Need, list[Group]]) -> None:
        """A finding for each kind of need that stays without a place."""
        for need, count in Counter(unplaced).items():
            subject = need.group.partition(":")[2] or need.key
            waits = f"{count} {what(need)} without a place"
            if holders[need]:
                why = "; ".join(f"group {g.name}: {self._no_more(g)}" for g in holders[need])
                self.findings.append(Finding("no-group-can-grow", subject, f"{waits}: {why}"))
            else:
                self.findings.append(Finding("fits-no-group", subject, f"{waits}, and more instances do not help: {self._why(need)}"))

    def _no_more(self, group: Group) -> str:
        """Why a group is not asked for more now."""
        if group.name in self.barren:
            return "its instances do not register"
        later = f"it is asked for {NEWEST} instances at most at once" if self.room(group) else f"it is at its maximum of {group.max}"
        return closed(group, self.cluster) or later

    def _why(self, need: Need) -> str:
        """Why no group's instances can hold a task, with the numbers."""
        reasons: list[str] = []
        for group in self.groups:
            models = self.models[group.name]
            reasons += [f"{m.shape.instance_type} of group {group.name}: {m.why_not(need)}" for m in models if not m.holds(need)]
            if not models:
                reasons.append(f"group {group.name}: what its instances register is not known yet")
        return "; ".join(reasons) or "no group of this cluster may be sized"


def _enough(group: Group, needs: Sequence[Need]) -> int:
    """Instances of which certainly as many come up in any one zone as there are needs, if one of them is bound to zones."""
    if not any(n.zones for n in needs):
        return len(needs)
    counts = Counter(m.zone for m in group.members)
    zones = group.zones or tuple(counts) or ("",)
    ahead = max(counts[z] for z in zones) - min(counts[z] for z in zones)
    return (len(needs) + ahead) * len(zones)


def _model(shape: Shape, weight: int, group: Group, daemons: Sequence[Need]) -> _Model:
    zones = group.zones or tuple(sorted({m.zone for m in group.members})) or ("",)
    return _Model(shape, weight, tuple(fresh(shape, zone, "new", daemons) for zone in zones))


def _for(needs: Sequence[Need], unplaced: Sequence[Need]) -> str:
    """What new instances are for, as a person reads it: the most frequent kinds first."""
    counts = Counter(what(n) for n in needs)
    counts.subtract(Counter(what(n) for n in unplaced))
    listed = [(count, name) for name, count in counts.items() if count > 0]
    listed.sort(key=lambda entry: (-entry[0], entry[1]))
    named, rest = listed[:NAMED], len(listed) - NAMED
    more = f" and {rest} more kinds" if rest > 0 else ""
    return ", ".join(f"{count} {name}" for count, name in named) + more


def what(need: Need) -> str:
    """A need in words, without how many."""
    name = need.group.partition(":")[2] or need.key
    if need.key.startswith(MOVING):
        return f"of {name} from instances that leave"
    return f"of {name} as headroom" if need.key.startswith(HEADROOM) else f"of {name}"
