"""The state machine on draining: anything may happen to the world, in any order, and the function may fail at any call.

Hypothesis chooses. What may never be is checked by ``drain_watch`` with each write and after each step; in the end nothing fails
any more, the sweep comes every minute, EC2 does what it announced, and every drain has to end (``drain_ending``).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from bulwark.core.signals import ChangeKind, InterruptionAction, Sweep, TerminateHook
from tests import drain_world_ec2, drain_world_groups
from tests.drain_ending import drain_out, quiet
from tests.drain_faults import FAULTS, Fault, Faults
from tests.drain_function import Function
from tests.drain_layouts import MIXES, POLICIES, Layout, set_policy
from tests.drain_world_clients import WorldAws

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.drain_world import World
    from tests.drain_world_model import Machine

OPERATIONS = (
    "DescribeInstances", "ListContainerInstances", "DescribeContainerInstances", "UpdateContainerInstancesState",
    "PutAttributes", "DeleteAttributes", "ListTasks", "DescribeTasks", "DescribeServices", "DetachInstances",
    "DescribeAutoScalingGroups", "DescribeLifecycleHooks", "CompleteLifecycleAction", "RecordLifecycleActionHeartbeat",
    "TerminateInstances", "TerminateInstanceInAutoScalingGroup", "DeregisterContainerInstance",
    "DescribeSpotInstanceRequests", "StopTask", "RunTask", "UpdateService", "PutItem", "Query", "DeleteItem",
    "PutLifecycleHook", "DeleteLifecycleHook", "CreateOrUpdateTags", "DeleteTags", "ListServices", "GetTaskProtection",
    "DescribeTaskDefinition", "DescribeCapacityProviders",
)  # fmt: skip

AT_CALL: st.SearchStrategy[Any] = st.dictionaries(st.integers(0, 14), st.sampled_from(FAULTS), min_size=1, max_size=2).map(
    lambda at: (at, {})
)
AT_OPERATION: st.SearchStrategy[Any] = st.tuples(
    st.just({}), st.dictionaries(st.sampled_from(OPERATIONS), st.sampled_from(FAULTS), min_size=1, max_size=1)
)
TROUBLE: st.SearchStrategy[Any] = st.one_of(st.none(), st.none(), AT_CALL, AT_OPERATION)
"""What goes wrong in one delivery: half of the time nothing."""

ANY = st.integers(0, 11)
"""Chooses among whatever there is."""

ANY_MIX = st.integers(0, len(MIXES) - 1)
"""The same for what runs in the world."""

HAPPENINGS = (
    "warn", "warn", "recommend", "recommend", "schedule", "end", "end", "vanish", "stop", "hand", "agent", "away", "spare",
)  # fmt: skip
"""What may happen to a machine: ``hand`` is somebody at the console, ``agent`` an ECS agent that drains for itself; it is
``away`` without the machine being gone; EC2 may ``spare`` what it announced to take.
"""


def faults(trouble: tuple[Mapping[int, Fault], Mapping[str, Fault]] | None) -> Faults:
    """Faults as drawn."""
    return Faults(*trouble) if trouble else Faults()


class DrainMachine(RuleBasedStateMachine):
    """The rules. ``policies`` may govern, ``mixes`` may run, ``happenings`` may happen, and ``clients`` stand for boto3."""

    policies: ClassVar[Sequence[Mapping[str, Any]]] = POLICIES
    mixes: ClassVar[Sequence[Sequence[str]]] = MIXES
    happenings: ClassVar[Sequence[str]] = HAPPENINGS
    clients: ClassVar[Callable[..., WorldAws]] = WorldAws
    examples: ClassVar[int] = 0
    steps: ClassVar[int] = 0

    world: World
    function: Function

    @initialize(
        policy=ANY,
        spot=st.integers(1, 3),
        steady=st.integers(0, 2),
        work=ANY_MIX,
        hook=st.sampled_from((True, True, True, False)),
        odd=st.sampled_from(("", "", "", "other_hook", "abandon", "twice", "provider", "scaling", "rebalancing")),
    )
    def begin(self, policy: int, spot: int, steady: int, work: int, *, hook: bool, odd: str) -> None:
        """A world at rest."""
        type(self).examples += 1
        chosen: dict[str, Any] = {odd: True} if odd in ("other_hook", "abandon", "twice", "rebalancing") else {}
        if odd in ("provider", "scaling"):
            chosen["provider"] = (odd == "scaling", odd == "provider")
        mix = self.mixes[work % len(self.mixes)]
        layout = Layout(self.policies[policy % len(self.policies)], spot, steady, mix, hook, **chosen)
        self.world = layout.build()
        self.function = Function(self.world, self.clients)

    def _machine(self, which: int) -> Machine | None:
        """One of those that run, foreign ones among them."""
        alive = [m for m in self.world.machines.values() if m.alive]
        return alive[which % len(alive)] if alive else None

    @rule(what=ANY, which=ANY, how=ANY, told=st.sampled_from((True, True, False)), trouble=TROUBLE)
    def happens(self, what: int, which: int, how: int, *, told: bool, trouble: Any) -> None:
        """Something happens to a machine; if ``told``, the function hears of it at once."""
        machine = self._machine(which)
        if machine is None:
            return
        before = len(self.world.mail)
        actions: tuple[InterruptionAction, ...] = ("terminate", "terminate", "stop", "hibernate")
        kinds: tuple[ChangeKind, ...] = ("retirement", "stop", "maintenance")
        name = self.happenings[what % len(self.happenings)]
        match name:
            case "warn":
                drain_world_ec2.warn(self.world, machine, actions[how % 4])
            case "recommend":
                drain_world_ec2.recommend(self.world, machine)
            case "schedule":
                drain_world_ec2.schedule(self.world, machine, kinds[how % 3], timedelta(minutes=how // 3 * 12))
            case "end":
                self._end(machine)
            case "vanish":
                drain_world_ec2.vanish(self.world, machine)
            case "stop":
                drain_world_ec2.stop(self.world, machine)
            case _:
                self._oddly(name, machine, actions[how % 4])
        if told and self.world.mail[before:]:
            self.function.deliver(*self.world.mail[before:], faults=faults(trouble))

    def _end(self, machine: Machine) -> None:
        """The machine's group ends it, as for a refresh."""
        group = self.world.group_of(machine)
        if group is not None and group.members[machine.id].lifecycle == "InService":
            drain_world_groups.begin(self.world, group, group.members[machine.id])

    def _oddly(self, what: str, machine: Machine, action: InterruptionAction) -> None:
        """What does not happen every day."""
        match what:
            case "hand":
                self._by_hand(machine)
            case "agent":
                drain_world_ec2.warn(self.world, machine, action)
                self._by_hand(machine, status="DRAINING")
            case "away":
                for one in self.world.on(machine):
                    one.connected = not one.connected
            case _:
                machine.taken = None

    def _by_hand(self, machine: Machine, status: str | None = None) -> None:
        """Somebody else sets a machine DRAINING, or back to ACTIVE: that is no drain of Bulwark's, and not its end."""
        for one in self.world.on(machine):
            if one.status in ("ACTIVE", "DRAINING"):
                one.status = status or ("ACTIVE" if one.status == "DRAINING" else "DRAINING")
                one.drained = False

    @rule(which=st.lists(ANY, min_size=1, max_size=3), trouble=TROUBLE)
    def deliver(self, which: list[int], trouble: Any) -> None:
        """Events are delivered, for the first time or again, in any order and at any time."""
        if self.world.mail:
            chosen = [self.world.mail[-1 - n % len(self.world.mail)] for n in which]
            self.function.deliver(*dict.fromkeys(chosen), faults=faults(trouble))

    @rule(which=ANY, trouble=TROUBLE)
    def deliver_stale(self, which: int, trouble: Any) -> None:
        """A hook's event comes with the token of an action that is over, if there ever was one."""
        machine = self._machine(which)
        if machine is not None and machine.group is not None:
            token = f"99999999-0000-4000-8000-{which:012d}"
            self.function.deliver(TerminateHook(machine.id, machine.group, self.world.now, token), faults=faults(trouble))

    @rule(first=ANY, second=ANY, call=st.integers(0, 14))
    def overlap(self, first: int, second: int, call: int) -> None:
        """Two invocations at once: the second does all of its work just before one of the first one's calls. Never two sweeps."""
        mail = [*self.world.mail[-7:], *[Sweep(self.world.now)] * 4]
        one, other = mail[first % len(mail)], mail[second % len(mail)]
        if one != other:
            self.function.deliver(one, faults=Faults({call: "overtaken"}, meanwhile=lambda: self.function.deliver(other)))

    @rule(trouble=TROUBLE)
    def redeliver(self, trouble: Any) -> None:
        """What went back to the queue comes again."""
        self.function.redeliver(due=False, faults=faults(trouble))

    @rule(trouble=TROUBLE)
    def sweep(self, trouble: Any) -> None:
        """The minute's sweep."""
        self.function.sweep(faults(trouble))

    @rule(seconds=st.sampled_from((1, 20, 45, 60, 100, 180, 180, 600, 4000)), swept=st.booleans())
    def step(self, seconds: int, *, swept: bool) -> None:
        """Time passes; if ``swept``, the sweep comes after it."""
        self.function.step(seconds)
        if swept:
            self.function.sweep()

    @rule(which=ANY, change=st.sampled_from((-1, 1, 4, 9)), capacity=st.sampled_from((None, True, False)), policy=st.none() | ANY)
    def change(self, which: int, change: int, *, capacity: bool | None, policy: int | None) -> None:
        """A service is scaled, EC2's capacity comes or goes, and somebody writes another policy."""
        if policy is not None:
            set_policy(self.world, self.policies[policy % len(self.policies)])
        services = [s for s in self.world.services.values() if not s.daemon]
        if services:
            one = services[which % len(services)]
            one.desired = max(0, one.desired + change)
        if capacity is not None:
            for group in self.world.groups.values():
                group.launches = capacity

    @rule(which=ANY)
    def repeat(self, which: int) -> None:
        """Rule 7: once all is quiet, the same event again has no effect."""
        mail = [*self.world.mail[-11:], Sweep(self.world.now)]
        signal = mail[-1 - which % len(mail)]
        quiet(self.function, signal)

    @invariant()
    def holds(self) -> None:
        """No rule is broken."""
        type(self).steps += 1
        if hasattr(self, "world"):
            self._check()

    def _check(self) -> None:
        if self.world.watch.violations:
            raise AssertionError("; ".join(self.world.watch.violations))

    def teardown(self) -> None:
        """Rule 3: every drain ends."""
        if hasattr(self, "world") and not self.world.watch.violations:
            drain_out(self.function)
            self._check()


ROUND = 10
"""Sequences in one run of hypothesis. In a longer one it makes five of six by changing the sixth a little: less is tried."""


def explore(machine: type[DrainMachine], examples: int, *, phases: Sequence[Phase] = tuple(Phase), first: int = 0) -> None:
    """Try at least ``examples`` sequences, the same ones every time that ``first`` is the same.

    Raises AssertionError with a short sequence that breaks a rule, as soon as there is one.
    """
    checks = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
    chosen = settings(max_examples=ROUND, stateful_step_count=15, deadline=None, database=None, phases=phases, suppress_health_check=checks)
    machine.examples, machine.steps, number = 0, 0, first
    while machine.examples < examples:
        seed(number)(machine)
        run_state_machine_as_test(machine, settings=chosen)
        number += 1
