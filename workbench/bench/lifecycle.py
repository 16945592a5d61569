"""AWS calls for one terminate lifecycle event, by what the instance holds, on accounts of different sizes; and for what asks nothing."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from workbench.bench.accounts import Function, awake, instance_id
from workbench.bench.drain_accounts import KINDS, Cost, cost_of, hooked_account, lifecycle_event, progress_events
from workbench.bench.recorder import Recorder
from workbench.template import load_rules, rules_for

SIZES = ((1, 10), (1, 5000), (200, 10))
"""Clusters and instances in each."""

BOUND = 6
"""Calls at most for one event, whatever the instance holds."""


@dataclass(frozen=True, slots=True)
class LifecycleCalls:
    """What one lifecycle event cost. ``kind``: what the instance held. ``again``: the same event, delivered once more.

    ``at_most``: the bound of both, in calls.
    """

    kind: str
    clusters: int
    instances: int
    first: Cost
    again: Cost
    at_most: int

    @property
    def holds(self) -> bool:
        """Whether nothing was left undone, within the bound."""
        return all(not cost.undone and len(cost.order) <= self.at_most for cost in (self.first, self.again))


@dataclass(frozen=True, slots=True)
class IdleEvent:
    """A progress event that asks nothing. ``rules``: those of the template that match it; ``calls``: the handler's, given it anyway."""

    what: str
    rules: tuple[str, ...]
    calls: int

    @property
    def holds(self) -> bool:
        """Whether it wakes nobody, and would cost nothing."""
        return not self.rules and not self.calls


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """All of it: each kind on each account, and what asks nothing."""

    calls: tuple[LifecycleCalls, ...]
    idle: tuple[IdleEvent, ...]

    @property
    def same(self) -> bool:
        """Whether each kind costs the same calls on every account, the first time and again."""
        return len({(c.kind, c.first.order, c.again.order) for c in self.calls}) == len({c.kind for c in self.calls})

    @property
    def holds(self) -> bool:
        """Whether every bound holds."""
        return self.same and all(c.holds for c in self.calls) and all(i.holds for i in self.idle)


def measure_lifecycle(
    sizes: Sequence[tuple[int, int]] = SIZES, bound: int = BOUND, progress: Callable[[str], None] = lambda _: None
) -> Lifecycle:
    """Send the events on an account of each of ``sizes``: clusters, and instances in each. ``bound``: calls at most."""
    from workbench.sandbox import Account

    calls: list[LifecycleCalls] = []
    idle: tuple[IdleEvent, ...] = ()
    for clusters, instances in sizes:
        progress(f"lifecycle: building an account of {clusters} x {instances} instances")
        with Account(hooked_account(clusters, instances)) as account:
            recorder = Recorder()
            with recorder.installed(), awake() as function:
                for number, kind in enumerate(KINDS):
                    progress(f"lifecycle: one event among {clusters} x {instances} instances: {kind}")
                    event = lifecycle_event(instance_id(number), "group-0", account.now)
                    account.happen(event)
                    first, again = (cost_of(recorder, function, [event], account.now) for _ in range(2))
                    calls.append(LifecycleCalls(kind, clusters, instances, first, again, bound))
                idle = idle or tuple(_idle(recorder, function, account.now))
    return Lifecycle(tuple(calls), idle)


def _idle(recorder: Recorder, function: Function, now: datetime) -> Iterator[IdleEvent]:
    """What ECS says of instances that are no concern of Bulwark's: rules that match, and calls."""
    rules = load_rules()
    for what, event in progress_events(instance_id(0), now).items():
        matching = tuple(rule.name for rule in rules_for(rules, event))
        yield IdleEvent(what, matching, len(cost_of(recorder, function, [event], now).order))
