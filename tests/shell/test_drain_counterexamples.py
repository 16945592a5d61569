"""What the state machine on draining has found, each as the shortest sequence that broke a rule, with a name."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from bulwark.core.signals import DrainProgress, Sweep, TerminateHook
from tests import drain_world_ec2, drain_world_groups
from tests.drain_ending import drain_out, quiet
from tests.drain_faults import Faults
from tests.drain_function import Function
from tests.drain_layouts import DEFAULTS, REMEDIES, SPOT, STEADY, Layout, set_policy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bulwark.core.signals import ChangeKind
    from tests.drain_world import World
    from tests.drain_world_model import Machine

STALE = "99999999-0000-4000-8000-000000000000"
"""A token of no lifecycle action that is in progress."""


def a_world(*work: str, policy: Mapping[str, Any] = DEFAULTS, **layout: Any) -> tuple[World, Function]:
    """A world in which ``work`` runs, and the function on it."""
    world = Layout(policy, work=work, **layout).build()
    return world, Function(world)


def first_of(world: World, group: str = SPOT) -> Machine:
    """The first machine of a group."""
    return world.machines[next(iter(world.groups[group].members))]


def end(world: World, machine: Machine) -> TerminateHook:
    """The machine's group ends it. Returns the event of our hook."""
    group = world.group_of(machine)
    assert group is not None
    drain_world_groups.begin(world, group, group.members[machine.id])
    event = world.mail[-1]
    assert isinstance(event, TerminateHook)
    return event


def a_stale_event(world: World, machine: Machine) -> TerminateHook:
    """A hook's event with a token that holds nothing."""
    return TerminateHook(machine.id, str(machine.group), world.now, STALE)


def test_an_event_with_an_old_token_does_not_let_the_hook_run_out() -> None:
    """The event of an earlier action comes last: its token is in the mark, and heartbeats must reach the action that waits all the same."""
    world, function = a_world("locked", spot=1, steady=0)
    machine = first_of(world)

    function.deliver(end(world, machine))
    function.deliver(a_stale_event(world, machine))
    drain_out(function)

    assert [] == world.watch.violations


def test_the_hook_is_not_taken_off_while_it_holds_an_instance_with_work() -> None:
    """The policy no longer asks for the hook that Bulwark installed: deleting it would let go on what it holds (Rule 2)."""
    world, function = a_world("locked", policy={"hook": "install"}, spot=1, steady=0, hook=False)
    function.sweep()
    set_policy(world, DEFAULTS)
    world.step(100)
    end(world, first_of(world))

    function.sweep()

    assert [] == world.watch.violations
    assert "Terminating:Wait" == world.groups[SPOT].members[first_of(world).id].lifecycle


def test_T24_an_old_registration_does_not_stand_for_the_instance() -> None:
    """Hazard T24: the host is registered twice, the old one empty with its agent away: the sweep looks at the other too (Rule 2)."""
    world, function = a_world("web", spot=1, steady=0, twice=True)
    end(world, first_of(world))

    function.sweep()
    assert [] == world.watch.violations
    assert {"DRAINING"} == {r.status for r in world.on(first_of(world))}

    drain_out(function)
    assert [] == world.watch.violations


@pytest.mark.parametrize("work", [("web", "logs"), ("locked",)])
def test_an_instance_that_no_hook_holds_goes_back_to_active(work: tuple[str, ...]) -> None:
    """An old event drains an instance that its group is not ending: it goes back, with work on it and without (Rule 3)."""
    world, function = a_world(*work, spot=1, steady=0)
    machine = first_of(world)

    function.deliver(a_stale_event(world, machine))
    drain_out(function)

    assert [] == world.watch.violations
    assert [("ACTIVE", {})] == [(r.status, r.custom) for r in world.on(machine)]


@pytest.mark.parametrize("work", [("web", "logs"), ("locked",)])
def test_an_old_hook_event_does_not_give_back_what_ec2_takes(work: tuple[str, ...]) -> None:
    """First an old hook event, then a warning: no hook holds the instance, but EC2 takes it, so it does not go back to ACTIVE."""
    world, function = a_world(*work, spot=1, steady=1, policy={"replace": False})
    machine = first_of(world)
    function.deliver(a_stale_event(world, machine))
    function.step(60)
    function.deliver(drain_world_ec2.warn(world, machine))
    function.step(70)

    function.sweep()

    assert [] == world.watch.violations
    assert ["DRAINING"] == [r.status for r in world.on(machine)]


def test_a_drain_that_began_ends_though_draining_is_turned_off() -> None:
    """EC2 stops an instance that was drained for it, and draining is off by then: ECS still has to forget it (Rule 3)."""
    world, function = a_world("web", "logs", spot=1)
    function.deliver(drain_world_ec2.warn(world, first_of(world), "stop"))
    set_policy(world, {"enabled": False})

    drain_out(function)

    assert [] == world.watch.violations


@pytest.mark.parametrize("operation", ["DescribeServices", "DescribeTasks", "ListTasks"])
def test_what_was_lent_is_not_forgotten_because_the_service_could_not_be_read(operation: str) -> None:
    """The service's upper bound is raised; a sweep that cannot read the service must not take it for gone (rules 3 and 5)."""
    world, function = a_world("locked", policy=REMEDIES, spot=1)
    function.deliver(drain_world_ec2.warn(world, first_of(world)))
    function.step(45)

    for _ in range(3):
        function.sweep(Faults(on={operation: "throttled"}))
        function.step(60)
    drain_out(function)

    assert [] == world.watch.violations
    assert 100 == world.services["locked"].most


def test_a_retirement_is_not_forgotten_for_an_old_hook_event() -> None:
    """The same for a retirement, which leaves more time to forget it in."""
    world, function = a_world("locked", spot=1, steady=1, policy={"replace": False})
    machine = first_of(world, STEADY)
    function.deliver(drain_world_ec2.schedule(world, machine, "retirement", timedelta(minutes=20)))
    function.deliver(a_stale_event(world, machine))
    function.step(180)

    function.sweep()

    assert [] == world.watch.violations
    assert ["DRAINING"] == [r.status for r in world.on(machine)]


def test_an_event_while_the_sweep_gives_an_instance_back_does_not_drain_it_again_unmarked() -> None:
    """The sweep has set an instance ACTIVE and is about to take its mark off; an event in between must not take that for a drain begun."""
    world, function = a_world("web", "logs", spot=1, steady=0)
    machine = first_of(world)
    function.deliver(a_stale_event(world, machine))
    function.step(180)
    progress = DrainProgress("orders", machine.id)
    overtaken = Faults(on={"DeleteAttributes": "overtaken"}, meanwhile=lambda: function.deliver(progress))

    function.sweep(overtaken)
    drain_out(function)

    assert [] == world.watch.violations


def test_a_mark_on_an_active_instance_is_taken_off_though_draining_is_turned_off() -> None:
    """Marked first, DRAINING refused, and then draining is turned off: the mark does not stay for ever (Rule 3)."""
    world, function = a_world("web", "logs", spot=1, steady=0)
    event = a_stale_event(world, first_of(world))
    function.deliver(event, faults=Faults(on={"UpdateContainerInstancesState": "throttled"}))
    set_policy(world, {"enabled": False})
    world.step(100)

    drain_out(function)

    assert [] == world.watch.violations


@pytest.mark.parametrize("again", ["sweep", "event"])
def test_what_its_group_ends_already_is_not_ended_again_and_again(again: str) -> None:
    """A drain by choice is done, its group ends the instance, and the hook is left to managed draining: once is enough (Rule 7)."""
    world, function = a_world("one", "logs", policy={"replace": False}, spot=1, steady=1, provider=(False, True))
    machine = first_of(world, STEADY)
    function.deliver(drain_world_ec2.recommend(world, machine))
    function.sweep()
    assert "Terminating:Wait" == world.groups[STEADY].members[machine.id].lifecycle

    signal = Sweep(world.now) if again == "sweep" else next(s for s in world.mail if isinstance(s, TerminateHook))
    writes = [function.deliver(signal).writes for _ in range(3)]

    assert [] == writes[-1]
    assert [] == world.watch.violations


@pytest.mark.parametrize("kind", ["maintenance", "retirement"])
def test_an_announcement_that_is_long_over_drains_nothing(kind: ChangeKind) -> None:
    """A notice comes (again) when its time was up over an hour ago and the instance runs on: it must not drain and come back in turns."""
    world, function = a_world("locked", spot=1, steady=2)
    machine = first_of(world, STEADY)
    notice = drain_world_ec2.schedule(world, machine, kind, timedelta(minutes=1))
    machine.taken = None
    world.step(4000)

    for _ in range(3):
        quiet(function, notice)
        function.step(300)

    assert [] == world.watch.violations
    assert [("ACTIVE", {})] == [(r.status, r.custom) for r in world.on(machine)]
    assert machine.id in world.groups[STEADY].members
