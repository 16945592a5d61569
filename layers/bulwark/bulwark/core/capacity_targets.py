"""What is to be held in sum: reservation targets, and headroom in percent. Both are about totals, not about single tasks."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from bulwark.core.cluster import Demand, Resources
from bulwark.core.policies import CapacityPolicy
from bulwark.core.room import Slot

DIMENSIONS = (("CPU", "cpu"), ("memory", "memory"), ("GPU", "gpu"))
"""How each is called, in words and in the core's types."""


@dataclass(slots=True)
class Totals:
    """All that instances have, and what of it daemons take."""

    registered: Resources = field(default_factory=Resources)
    daemons: Resources = field(default_factory=Resources)

    @classmethod
    def of(cls, slots: Iterable[Slot]) -> "Totals":
        """The sum over ``slots``."""
        totals = cls()
        for slot in slots:
            totals.add(slot)
        return totals

    def add(self, slot: Slot, sign: int = 1) -> None:
        """One instance more; with ``sign`` -1, one less."""
        self.registered = _plus(self.registered, slot.registered, sign)
        self.daemons = _plus(self.daemons, slot.daemons, sign)


def _plus(one: Resources, other: Resources, sign: int) -> Resources:
    return Resources(one.cpu + sign * other.cpu, one.memory + sign * other.memory, one.gpu + sign * other.gpu)


@dataclass(frozen=True, slots=True)
class Shortfall:
    """One target that is not held, and how much is missing: CPU units, MiB or GPUs of instances beside their daemons."""

    dimension: str
    missing: int
    message: str


def shortfalls(totals: Totals, demand: Demand, policy: CapacityPolicy) -> tuple[Shortfall, ...]:
    """The targets that ``demand`` breaks on instances of these totals.

    A reservation counts as CloudWatch does: what daemons take is part of what is reserved. Headroom is room for work beside them.
    Of what nothing asks for, nothing has to be held.
    """
    targets = {"cpu": policy.reservation_cpu, "memory": policy.reservation_memory, "gpu": policy.reservation_gpu}
    found: list[Shortfall] = []
    for name, dimension in DIMENSIONS:
        wanted = getattr(demand, dimension)
        if not wanted:
            continue
        have, own = getattr(totals.registered, dimension), getattr(totals.daemons, dimension)
        reserved = (wanted + own) * 100
        if (target := targets[dimension]) and reserved > target * have:
            missing = -(-(reserved - target * have) // target)
            found.append(Shortfall(dimension, missing, f"{name} reserved above {target} %"))
        kept = wanted * (100 + policy.headroom_percent)
        if kept > 100 * (have - own):
            missing = -(-(kept - 100 * (have - own)) // 100)
            what = f"less than {policy.headroom_percent} % of headroom" if policy.headroom_percent else "less than is asked for"
            found.append(Shortfall(dimension, missing, f"{name}: {what}"))
    return tuple(found)
