"""How the draining tests' world comes to rest: what the same event may do twice, and that every drain ends."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from bulwark.core.cluster import DRAIN_ATTRIBUTE
from bulwark.core.signals import HOOK_NAME
from tests.drain_watch import HEARTBEAT, VOLUNTARY, deadline_of, readable
from tests.drain_world_model import CLUSTER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bulwark.core.signals import DrainSignal
    from tests.drain_function import Function
    from tests.drain_watch import Delivery
    from tests.drain_world import World

QUIET_AFTER = 6
"""Deliveries without time passing after which there must be nothing left to do."""

CLOSELY = 15
"""Sweeps a minute apart. After those they come less often, which is as good and sooner simulated."""

ENDED = timedelta(hours=6)
"""Within which every drain has to end."""


def effects(delivery: Delivery) -> list[tuple[str, str]]:
    """What a delivery wrote, heartbeats apart."""
    return [w for w in delivery.writes if w[0] != HEARTBEAT]


def quiet(function: Function, signal: DrainSignal) -> None:
    """Deliver ``signal`` and the sweep until nothing more comes of them; then ``signal`` once more, to see that it is so. Seconds pass."""
    watch = function.world.watch
    for _ in range(QUIET_AFTER):
        if not effects(function.deliver(signal)) + effects(function.sweep()):
            break
        function.world.step(1)
    else:
        watch.broken("7", f"{signal} is never done with: {function.last}")
    again = effects(function.deliver(signal))
    if again:
        watch.broken("7", f"{signal} again, to a world at rest: {again}")


def drain_out(function: Function) -> None:
    """Nothing fails any more, and the sweep comes. Notes as a breach of rule 3 what has not ended in six hours."""
    world = function.world
    function.redeliver(due=False)
    function.redeliver(due=False)
    begun, number = world.now, 0
    while world.now < begun + ENDED:
        function.sweep()
        world.watch.patient = True
        if world.watch.violations or (not world_is_going(world) and not list(unended(world))):
            return
        function.step(_until_the_next(world, number))
        number += 1
    for what in unended(world):
        world.watch.broken("3", what)


def _until_the_next(world: World, number: int) -> int:
    """Seconds to the next sweep: while a hook holds, less than its heartbeat."""
    if number < CLOSELY:
        return 60
    return 240 if any(g.holds for g in world.groups.values()) else 900


def world_is_going(world: World) -> bool:
    """Whether EC2 has something announced that it has not done yet."""
    return any(m.taken is not None or m.changes_at is not None for m in world.machines.values())


def unended(world: World) -> Iterator[str]:
    """What has begun and not ended."""
    for one in world.registrations.values():
        mark = one.custom.get(DRAIN_ATTRIBUTE)
        if one.status == "INACTIVE" or (one.status != "DRAINING" and mark is None):
            continue
        # Outside its group it is tried again from time to time; each try ends at its own deadline.
        until = deadline_of(mark)
        trying = one.status == "ACTIVE" or (until is not None and world.now < until)
        waits = trying and readable(mark) and str(mark).startswith(VOLUNTARY) and one.machine.group is None
        if (mark is not None or one.drained) and not waits:
            yield f"{one.machine.id} ({one.machine.state}) is still {one.status}, marked {mark!r}"
    yield from _unended_groups(world)
    for service in world.services.values():
        if service.most != service.usual:
            yield f"the maximumPercent of {service.name} is still {service.most}, and was {service.usual}"
    yield from (f"the table still holds {key}" for key in world.table if key[0] == "raised")
    yield from _unended_work(world)


def _unended_groups(world: World) -> Iterator[str]:
    """Hooks that hold, and machines that ECS goes on listing though EC2 has ended them: where draining is off, only drained ones."""
    for group in world.groups.values():
        if group.cluster == CLUSTER:
            yield from (f"{h.hook} still holds {h.machine.id}" for h in group.holds if h.hook == HOOK_NAME)
    everything = all('"enabled": false' not in text for text in world.parameters.values())
    for one in world.registrations.values():
        known = world.machine(one.machine.id)
        if one.status == "INACTIVE" or one.machine.cluster != CLUSTER or known is None or known.state not in ("stopped", "terminated"):
            continue
        if everything or DRAIN_ATTRIBUTE in one.custom:
            yield f"ECS still lists {one.machine.id} as {one.status}, which EC2 says is {known.state}"


def _unended_work(world: World) -> Iterator[str]:
    """Standalone tasks that run twice."""
    for family in {t.family for t in world.tasks.values() if t.service is None}:
        alive = [
            t for t in world.tasks.values() if t.family == family and t.desired == "RUNNING" and t.alive and t.registration.machine.alive
        ]
        if len(alive) > 1:
            yield f"{family} runs {len(alive)} times"
