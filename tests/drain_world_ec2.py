"""EC2 in the draining tests' world: machines start, are taken back, stopped, ended, and forgotten an hour later."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from bulwark.core.signals import InstanceState, RebalanceRecommendation, ScheduledChange, SpotInterruption

if TYPE_CHECKING:
    from datetime import datetime

    from bulwark.core.signals import ChangeKind, InterruptionAction
    from tests.drain_world import World
    from tests.drain_world_model import Machine, Registration

Announced = TypeVar("Announced", SpotInterruption, ScheduledChange)

FORGOTTEN = timedelta(hours=1)
"""How long EC2 goes on describing what it has terminated."""

PASSING = timedelta(seconds=30)
"""From stopping to stopped, and from shutting-down to terminated."""

DEREGISTERED = timedelta(seconds=60)
"""Until ECS notices by itself that a machine with a connected agent is gone."""

BOOTED = timedelta(seconds=60)
"""From running to registered with ECS."""


def is_forgotten(world: World, machine: Machine) -> bool:
    """Whether EC2 no longer knows the machine."""
    return machine.state == "terminated" and machine.ended_at is not None and world.now >= machine.ended_at + FORGOTTEN


def live(world: World) -> None:
    """What is due at EC2, and what the agents notice of it."""
    for machine in list(world.machines.values()):
        if machine.taken is not None and world.now >= machine.taken[0]:
            _taken(world, machine, machine.taken[1])
        if machine.changes_at is not None and world.now >= machine.changes_at:
            _passed(world, machine)
        if machine.boots_at is not None and world.now >= machine.boots_at and machine.state == "running":
            machine.boots_at = None
            world.register(machine).status = "REGISTERING"
        elif machine.boots_at is None:
            _booted(world, machine)
    for registration in world.registrations.values():
        if registration.forgotten_at is not None and world.now >= registration.forgotten_at:
            deregister(world, registration)


def _taken(world: World, machine: Machine, action: InterruptionAction) -> None:
    """EC2 does what it announced."""
    machine.taken = None
    if machine.alive:
        end(world, machine) if action == "terminate" else stop(world, machine)


def _passed(world: World, machine: Machine) -> None:
    """A state that only passes is over."""
    machine.changes_at = None
    if machine.state == "pending":
        machine.state, machine.boots_at = "running", world.now + BOOTED
        return
    ended = machine.state == "shutting-down"
    machine.state = "terminated" if ended else "stopped"
    if ended:
        machine.ended_at = world.now
        for registration in world.on(machine):
            if machine.agent:
                registration.forgotten_at = world.now + DEREGISTERED
    world.send(InstanceState(machine.id, machine.state, world.now))


def _booted(world: World, machine: Machine) -> None:
    """What was registering has registered."""
    for registration in world.registrations.values():
        if registration.machine is machine and registration.status == "REGISTERING" and machine.alive:
            registration.status = "ACTIVE"


def end(world: World, machine: Machine) -> None:
    """The machine is terminated from now on."""
    if machine.state not in ("shutting-down", "terminated"):
        _leaves(world, machine, "shutting-down")


def stop(world: World, machine: Machine) -> None:
    """The machine is stopped from now on; its registration stays."""
    if machine.alive:
        _leaves(world, machine, "stopping")


def _leaves(world: World, machine: Machine, state: str) -> None:
    machine.state, machine.changes_at, machine.boots_at = state, world.now + PASSING, None
    for registration in world.on(machine):
        registration.connected = False
    world.send(InstanceState(machine.id, state, world.now))


def deregister(world: World, registration: Registration) -> None:
    """ECS forgets a registration, and what ran there."""
    registration.status, registration.forgotten_at, registration.connected = "INACTIVE", None, False
    for task in list(registration.tasks):
        task.last, task.desired, task.stopped_at = "STOPPED", "STOPPED", world.now
    registration.tasks.clear()


def vanish(world: World, machine: Machine) -> None:
    """The machine is gone at once, and its agent was away: ECS goes on listing it (hazard T23)."""
    machine.agent = False
    machine.state, machine.changes_at, machine.ended_at, machine.taken = "terminated", None, world.now, None
    for registration in world.on(machine):
        registration.connected = False


def warn(world: World, machine: Machine, action: InterruptionAction = "terminate") -> SpotInterruption:
    """EC2 says that it takes a Spot Instance back, in two minutes or, to hibernate it, now."""
    warning = SpotInterruption(machine.id, world.now, action)
    return _announced(world, machine, warning, warning.deadline, action)


def schedule(world: World, machine: Machine, kind: ChangeKind, lead: timedelta) -> ScheduledChange:
    """EC2 says that it retires, stops or maintains the host of a machine. Maintenance leaves the machine as it was."""
    change = ScheduledChange(machine.id, kind, world.now + lead)
    if kind == "maintenance":
        machine.deadlines.append(change.deadline)
        world.send(change)
        return change
    return _announced(world, machine, change, change.deadline, "terminate" if kind == "retirement" else "stop")


def _announced(world: World, machine: Machine, notice: Announced, deadline: datetime, action: InterruptionAction) -> Announced:
    machine.deadlines.append(deadline)
    if machine.taken is None or deadline < machine.taken[0]:
        machine.taken = (deadline, action)
    world.send(notice)
    return notice


def recommend(world: World, machine: Machine) -> RebalanceRecommendation:
    """EC2 recommends to move what runs on a machine."""
    notice = RebalanceRecommendation(machine.id, world.now)
    world.send(notice)
    return notice
