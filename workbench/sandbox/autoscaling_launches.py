"""What an Auto Scaling group launches: which type, in which zone, and whether it comes up."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from workbench.sandbox.machine import Machine


@dataclass(frozen=True, slots=True)
class LaunchType:
    """One of the instance types of a group, with its image. ``weight``: units of capacity of one instance; None: not weighted."""

    instance_type: str
    image_id: str
    weight: int | None = None


@dataclass(slots=True)
class Launches:
    """What a group launches: a machine (its id, type, zone and subnet are filled in), where, and how it goes.

    ``subnets``: zone to subnet id. ``types``: what it may launch, the first one unless they come ``in_turn``; none: the machine's own.
    ``outcome``: ok, no-capacity or never-registers; from ``recovers_at`` on (UTC; None: never) it is ok. ``delay``: seconds from launch
    to registration. ``dry_since``: when EC2 began to have no capacity for the group, if an event said so.
    """

    machine: Machine
    subnets: Mapping[str, str]
    types: tuple[LaunchType, ...] = ()
    in_turn: bool = False
    spot: bool = True
    outcome: str = "ok"
    recovers_at: datetime | None = None
    delay: int = 45
    dry_since: datetime | None = None
    _picked: int = field(default=0, init=False)

    def outcome_at(self, now: datetime) -> str:
        """What becomes of a launch at ``now``. What an event said after the recovery does not recover."""
        if self.recovers_at is not None and now >= self.recovers_at and (self.dry_since is None or self.dry_since < self.recovers_at):
            return "ok"
        return "no-capacity" if self.dry_since is not None else self.outcome

    @property
    def next_type(self) -> LaunchType:
        """What it launches next."""
        if not self.types:
            return LaunchType(self.machine.instance_type, self.machine.image_id, self.machine.weight)
        return self.types[self._picked % len(self.types)] if self.in_turn else self.types[0]

    def next_machine(self, instance_type: str | None = None) -> Machine:
        """A machine as the group launches them, of the type whose turn it is; one of a given type takes no turn."""
        chosen = self.next_type
        if instance_type is None:
            self._picked += 1
        else:
            chosen = next((one for one in self.types if one.instance_type == instance_type), chosen)
        machine = replace(self.machine, instance_type=chosen.instance_type, image_id=chosen.image_id, weight=chosen.weight)
        machine.attributes = dict(machine.attributes)
        return machine

    def emptiest(self, zones: Counter[str]) -> str:
        """The group's zone with fewest members; among equals the first that the group names."""
        return min(self.subnets, key=lambda zone: zones[zone])
