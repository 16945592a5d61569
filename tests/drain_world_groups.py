"""EC2 Auto Scaling in the draining tests' world: groups launch what they lack, and hooks hold what they end."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from bulwark.core.signals import HOOK_NAME, TerminateHook
from tests import drain_world_ec2
from tests.drain_world_model import Hold, Machine, Member

if TYPE_CHECKING:
    from tests.drain_world import World
    from tests.drain_world_model import Group

LAUNCHED = timedelta(seconds=20)
"""From launch to running."""

ILL = timedelta(seconds=30)
"""Until a group notices that a member does not run."""

LIMIT, BEATS = timedelta(hours=48), 100
"""The longest a hook may hold an instance (aws-facts F.2)."""

OTHERS = timedelta(seconds=45)
"""After which somebody else answers the hooks that are not ours."""


def launch(world: World, group: Group) -> Machine:
    """One more machine of the group; the group's tags are propagated."""
    machine = Machine(f"i-0{world.number():016x}", group.name, group.cluster, spot=group.spot, state="pending")
    machine.changes_at = world.now + LAUNCHED
    world.machines[machine.id] = machine
    group.members[machine.id] = Member(machine, "Pending")
    return machine


def live(world: World) -> None:
    """What is due in every group."""
    for group in world.groups.values():
        for hold in [h for h in group.holds if h.deadline <= world.now]:
            if hold in group.holds:
                _expired(world, group, hold)
        for member in list(group.members.values()):
            _member(world, group, member)
        _size(world, group)


def _member(world: World, group: Group, member: Member) -> None:
    """What is due about one machine."""
    machine = member.machine
    match member.lifecycle:
        case "Detaching":
            del group.members[machine.id]
            machine.group = None
        case "Pending" if machine.state == "running":
            member.lifecycle = "InService"
        case "InService" | "Pending" if not machine.alive:
            if member.ill_at is None:
                member.ill_at = world.now + ILL
            elif world.now >= member.ill_at:
                begin(world, group, member)
        case "Terminating:Proceed" if machine.state == "terminated":
            del group.members[machine.id]


def _size(world: World, group: Group) -> None:
    """Launch what is missing; end what is too much, the oldest first."""
    serving = [m for m in group.members.values() if m.lifecycle in ("InService", "Pending")]
    if group.launches:
        for _ in range(group.desired - len(serving)):
            launch(world, group)
    for member in serving[: max(0, len(serving) - group.desired)]:
        begin(world, group, member)


def begin(world: World, group: Group, member: Member) -> None:
    """The group ends a member, once no hook holds it any more."""
    machine = member.machine
    for name, hook in group.hooks.items():
        beat = hook["HeartbeatTimeout"]
        last = world.now + min(LIMIT, BEATS * timedelta(seconds=beat))
        token = f"00000000-0000-4000-8000-{world.number():012d}"
        deadline = world.now + (timedelta(seconds=beat) if name == HOOK_NAME else OTHERS)
        group.holds.append(Hold(name, machine, token, hook["DefaultResult"] if name == HOOK_NAME else "CONTINUE", beat, deadline, last))
        if name == HOOK_NAME:
            world.send(TerminateHook(machine.id, group.name, world.now, token))
    member.lifecycle = "Terminating:Wait"
    _proceed(world, group, member)


def _proceed(world: World, group: Group, member: Member) -> None:
    """End the machine if nothing holds it."""
    if not any(h.machine is member.machine for h in group.holds):
        member.lifecycle = "Terminating:Proceed"
        drain_world_ec2.end(world, member.machine)


def complete(world: World, group: Group, hold: Hold, result: str) -> None:
    """One hook lets go; ABANDON makes the others let go too."""
    group.holds.remove(hold)
    if result == "ABANDON":
        group.holds[:] = [h for h in group.holds if h.machine is not hold.machine]
    member = group.members.get(hold.machine.id)
    if member is not None:
        _proceed(world, group, member)


def _expired(world: World, group: Group, hold: Hold) -> None:
    """Nobody answered in time."""
    if hold.hook == HOOK_NAME:
        world.watch.ran_out(group, hold)
    complete(world, group, hold, hold.default_result)


def hold_of(group: Group, hook: str, token: str | None, instance_id: str | None) -> Hold | None:
    """The action in progress with that token, or of that instance if there is no token."""
    return next(
        (h for h in group.holds if h.hook == hook and (h.token == token if token is not None else h.machine.id == instance_id)), None
    )


def beat(world: World, hold: Hold) -> None:
    """The heartbeat starts anew; the limit does not."""
    hold.deadline = min(world.now + timedelta(seconds=hold.heartbeat), hold.last)
