"""The draining function on the tests' world, run as SQS and Lambda run it: failing deliveries come again, twice at most."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from bulwark.core.signals import SpotInterruption, Sweep
from bulwark.shell import draining
from bulwark.shell.aws import AWS_ERRORS
from bulwark.shell.ledger import Ledger
from bulwark.shell.policy_book import PolicyBook
from tests.drain_faults import Died, Faults
from tests.drain_watch import Delivery
from tests.drain_world_clients import WorldAws

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from bulwark.core.signals import DrainSignal
    from bulwark.shell.report import Decision
    from tests.drain_world import World

DELIVERIES = 3
"""How often SQS hands a record out before it goes to the dead-letter queue."""

VISIBLE_AFTER = timedelta(seconds=45)
"""After which it hands a record out again."""


@dataclass(slots=True)
class Returned:
    """A record that went back to the queue after ``count`` deliveries."""

    signal: DrainSignal
    count: int
    due: datetime


class Function:
    """The function, its warm environment and its queue. ``clients`` makes what stands for boto3, per delivery."""

    def __init__(self, world: World, clients: Callable[[World, Faults], WorldAws] = WorldAws) -> None:
        self.world = world
        self.queue: list[Returned] = []
        self.last: list[Decision] = []
        self._clients = clients
        self._policies: PolicyBook | None = None

    def deliver(self, *signals: DrainSignal, faults: Faults | None = None, count: int = 1) -> Delivery:
        """Hand out records, one signal each, for the ``count``-th time. What is unfinished goes back to the queue."""
        world, wrong = self.world, faults or Faults()
        told = tuple(replace(s, redelivered=True) if count > 1 and isinstance(s, SpotInterruption) else s for s in signals)
        outer, world.watch.delivery = world.watch.delivery, Delivery(told)
        delivery = world.watch.delivery
        aws = self._clients(world, wrong)
        again: Sequence[DrainSignal] = signals
        try:
            self.last = self._drain(aws, told)
        except Died:
            self.last, self._policies = [], None
        except AWS_ERRORS:
            self.last = []
        else:
            unfinished: set[Any] = {s for d in self.last for s in d.unfinished}
            again = [s for s in signals if draining.subject_of(s) in unfinished]
        delivery.troubled = wrong.fired > 0
        if count < DELIVERIES:
            self.queue += [Returned(s, count, world.now + VISIBLE_AFTER) for s in again]
        if outer is None:
            world.watch.marks()
        world.watch.delivery = outer
        return delivery

    def _drain(self, aws: WorldAws, signals: Sequence[DrainSignal]) -> list[Decision]:
        if self._policies is None:
            self._policies = PolicyBook(aws.ssm, "/bulwark", "act", clock=self._seconds)
            self._policies.refresh()
        return draining.drain(
            aws, self._policies, signals, self.world.now, ledger=Ledger(aws, "table"), owner=f"request-{self.world.number()}"
        )

    def _seconds(self) -> float:
        """The world's clock, as PolicyBook reads it."""
        return self.world.now.timestamp()

    def sweep(self, faults: Faults | None = None) -> Delivery:
        """The minute's sweep."""
        return self.deliver(Sweep(self.world.now), faults=faults)

    def redeliver(self, *, due: bool = True, faults: Faults | None = None) -> list[Delivery]:
        """Hand out again what went back: what is due, or all of it. ``faults`` are the first one's."""
        ready = [r for r in self.queue if not due or r.due <= self.world.now]
        self.queue = [r for r in self.queue if r not in ready]
        deliveries = []
        for one in ready:
            deliveries.append(self.deliver(one.signal, faults=faults, count=one.count + 1))
            faults = None
        return deliveries

    def step(self, seconds: int) -> None:
        """Time passes, and what becomes visible in the queue meanwhile is handed out."""
        end = self.world.now + timedelta(seconds=seconds)
        while (first := min((r.due for r in self.queue), default=end)) < end:
            self.world.step(max(0.0, (first - self.world.now).total_seconds()))
            self.redeliver()
        self.world.step((end - self.world.now).total_seconds())
