"""What may never happen to the draining tests' world: the rules of the design, checked with each write and after each step.

It looks at the truth, not at what the clients were told. Every breach is a line in ``violations``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bulwark.core.cluster import DRAIN_ATTRIBUTE
from bulwark.core.signals import ScheduledChange, SpotInterruption, Sweep
from tests.drain_world_model import CLUSTER

if TYPE_CHECKING:
    from bulwark.core.signals import DrainSignal
    from tests.drain_world import World
    from tests.drain_world_model import Group, Hold, Machine, Registration, Service, Task

HEARTBEAT = "autoscaling:RecordLifecycleActionHeartbeat"
"""The one write that a settled world still sees."""

TAKEN = ("spot-interruption", "scheduled-retirement", "scheduled-stop")
"""Causes of a drain at whose deadline EC2 takes the instance."""

VOLUNTARY = "rebalance-recommendation"
"""The cause of a drain that is Bulwark's own choice."""

URGENT = ("SpotInterruption", "InstanceState")
"""Signals on which DRAINING comes before the mark."""


@dataclass(slots=True)
class Delivery:
    """One call of the function: what it was told, what it wrote, and whether anything went wrong on the way."""

    signals: tuple[DrainSignal, ...]
    writes: list[tuple[str, str]] = field(default_factory=list)
    troubled: bool = False

    def urgent(self, machine: Machine) -> bool:
        """Whether it was told something of the machine that leaves no time for the mark to come first, or found it by sweeping."""
        if any(type(s).__name__ in URGENT and getattr(s, "instance_id", "") == machine.id for s in self.signals):
            return True
        return machine.taken is not None and any(isinstance(s, Sweep) for s in self.signals)


class Watch:
    """The rules. ``patient``: whether hooks must be kept alive, because the sweep comes every minute and nothing fails."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.violations: list[str] = []
        self.delivery: Delivery | None = None
        self.writes = 0
        self.patient = False

    def broken(self, rule: str, what: str) -> None:
        """Note a breach."""
        self.violations.append(f"Rule {rule}: {what} (at {self._world.now:%H:%M:%S})")

    def wrote(self, operation: str, target: str) -> None:
        """Note a write that was performed."""
        self.writes += 1
        if self.delivery is not None:
            self.delivery.writes.append((operation, target))

    # Rule 1 and rule 4: whose it is.

    def touches(self, operation: str, machine: Machine) -> None:
        """A write to a machine, or to what runs on it."""
        self.wrote(operation, machine.id)
        if machine.cluster != CLUSTER:
            self.broken("4", f"{operation} touches {machine.id}, which did not opt in")

    def touches_group(self, operation: str, group: Group) -> None:
        """A write to a group. One that has opted out only loses what Bulwark put on it."""
        self.wrote(operation, group.name)
        if group.cluster != CLUSTER and not (
            operation.partition(":")[2] in ("DeleteLifecycleHook", "DeleteTags") and "bulwark:hook" in group.tags
        ):
            self.broken("4", f"{operation} touches group {group.name}, which did not opt in")

    def resizes(self, operation: str, group: str) -> None:
        """A write of min, max or desired."""
        self.broken("1", f"{operation} on {group}")

    # Rule 2: what may be ended.

    def ends(self, operation: str, machine: Machine) -> None:
        """A write by which a machine ends. Nothing is made of the rule's exception: the code claims to need none."""
        if not machine.alive:
            return
        work = [t.id for r in self._world.on(machine) for t in r.work]
        if work:
            self.broken("2", f"{operation} ends {machine.id} ({machine.state}), which holds {', '.join(work)}")

    def forgets(self, registration: Registration) -> None:
        """ECS is made to forget a registration."""
        if registration.machine.alive:
            self.broken(
                "2", f"ecs:DeregisterContainerInstance of {registration.machine.id}, which EC2 says is {registration.machine.state}"
            )

    # Remedies.

    def stops(self, task: Task) -> None:
        """A task is told to stop."""
        self.touches("ecs:StopTask", task.registration.machine)
        if task.daemon or task.registration.status != "DRAINING":
            self.broken("remedies", f"StopTask of {task.id} on {task.registration.machine.id} ({task.registration.status})")

    def runs(self, family: str) -> None:
        """A standalone task is started again: there must be one on an instance that drains, and each only once."""
        self.wrote("ecs:RunTask", family)
        tasks = (t for r in self._world.draining() if r.status == "DRAINING" for t in r.tasks)
        old = next((t for t in tasks if t.family == family and t.service is None and not t.rerun and t.alive), None)
        if old is None:
            self.broken("remedies", f"RunTask of {family}, of which no task drains that was not started again already")
        else:
            old.rerun = True

    def widens(self, service: Service, most: int) -> None:
        """A service's upper bound is written: raised for a drain, or given back."""
        self.wrote("ecs:UpdateService", service.name)
        if most not in (service.usual, service.most) and not any(
            t.service == service.name for r in self._world.draining() if r.status == "DRAINING" for t in r.tasks
        ):
            self.broken("remedies", f"maximumPercent of {service.name} becomes {most}, and no task of it drains")

    # Rule 3: marks, and hooks that are kept alive.

    def drains(self, registration: Registration) -> None:
        """Bulwark has set a registration DRAINING."""
        registration.drained = True
        registration.excused = False

    def reactivates(self, registration: Registration) -> None:
        """Bulwark sets a registration back to ACTIVE: not one of which it has been told that EC2 takes it, and drained for that."""
        registration.drained = registration.excused = False
        taken = registration.machine.taken
        if taken is not None and registration.told:
            self.broken("3", f"{registration.machine.id} goes back to ACTIVE, though EC2 takes it at {taken[0]:%H:%M:%S}")

    def _hears(self) -> None:
        """After each delivery: what drains now, and of which it was told that EC2 takes it."""
        told = self.delivery
        if told is None or told.troubled:
            return
        about = {s.instance_id for s in told.signals if isinstance(s, SpotInterruption | ScheduledChange)}
        for one in self._world.registrations.values():
            mark = one.custom.get(DRAIN_ATTRIBUTE)
            if one.machine.id in about and one.status == "DRAINING" and readable(mark) and str(mark).startswith(TAKEN):
                one.told = True

    def marks(self) -> None:
        """After each delivery: what Bulwark set DRAINING says why and until when, unless it had no chance to say so."""
        self._hears()
        for one in self._world.registrations.values():
            if one.status != "DRAINING" or not one.drained or readable(one.custom.get(DRAIN_ATTRIBUTE)):
                continue
            told = self.delivery
            if told is not None and told.troubled and told.urgent(one.machine):
                one.excused = True
            elif (
                told is not None
                and one.machine.alive
                and any(getattr(s, "redelivered", False) and told.urgent(one.machine) for s in told.signals)
            ):
                one.excused = False
            if not one.excused:
                self.broken("3", f"{one.machine.id} is DRAINING by Bulwark, and its mark is {one.custom.get(DRAIN_ATTRIBUTE)!r}")

    def ran_out(self, group: Group, hold: Hold) -> None:
        """Our hook ran out. With the sweep every minute it may do so only when its drain's own time is up."""
        if not self.patient or hold.deadline >= hold.last or group.cluster != CLUSTER or self._drained_by_ecs(group):
            return
        for one in self._world.on(hold.machine):
            until = deadline_of(one.custom.get(DRAIN_ATTRIBUTE))
            # No heartbeat is recorded that would hold it beyond its time, so the last one may end one heartbeat before.
            if (
                one.status == "DRAINING"
                and one.work
                and hold.machine.alive
                and until is not None
                and self._world.now < until - timedelta(seconds=hold.heartbeat)
            ):
                self.broken("3", f"the hook of {hold.machine.id} ran out, though its drain has until {until:%H:%M:%S}")

    def _drained_by_ecs(self, group: Group) -> bool:
        """Whether ECS's managed draining answers for the group, so that our hook is left to run out."""
        return group.provider is not None and self._world.managed[group.provider][1]


def readable(value: str | None) -> bool:
    """Whether a mark says a cause, since when and until when."""
    return value is not None and deadline_of(value) is not None


def deadline_of(value: str | None) -> datetime | None:
    """Until when a mark allows the drain to last."""
    parts = (value or "").split(" ")
    try:
        return datetime.strptime(parts[2], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except (IndexError, ValueError):
        return None
