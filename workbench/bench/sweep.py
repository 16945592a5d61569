"""AWS calls of one sweep: over clusters in which nothing drains, and over one in which drains do not get on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from workbench.bench.accounts import awake, instance_id
from workbench.bench.drain_accounts import Cost, cost_of, lifecycle_event, plain_account, stuck_account, sweep_event
from workbench.bench.recorder import Recorder

if TYPE_CHECKING:
    from workbench.sandbox import Account

CLUSTERS = (1, 10, 50)
INSTANCES = (10, 100)
"""Instances in each cluster. The sweep must not depend on them."""

DRAINS = (1, 10)
"""Drains in progress in one cluster."""

MEMBERS = 20
"""Instances of the cluster with drains in progress."""

GROUPS_A_PAGE = 100
"""Groups that one DescribeAutoScalingGroups call returns at most (Auto Scaling API reference)."""

START = datetime(2026, 11, 24, 2, 59, tzinfo=UTC)
"""A minute before a full hour: the sweep of the full hour looks for groups without a hook."""

MINUTE = 60


@dataclass(frozen=True, slots=True)
class QuietSweep:
    """A sweep with no drain in progress. ``groups``: one for each cluster. ``hourly``: the sweep of the full hour.

    ``renewing``: a sweep that finds its environment's copy of the policies too old. ``at_most``: calls of ``usual``.
    """

    clusters: int
    instances: int
    usual: Cost
    hourly: Cost
    renewing: Cost
    at_most: int

    @property
    def holds(self) -> bool:
        """Whether nothing was left undone, within the bound."""
        done = not any(cost.undone for cost in (self.usual, self.hourly, self.renewing))
        return done and len(self.usual.order) <= self.at_most


@dataclass(frozen=True, slots=True)
class BusySweep:
    """A sweep with ``drains`` in progress in one cluster of ``instances``, a minute after they began, their work still there.

    ``begun``: how many of them were in progress when it came; with fewer, ``cost`` is about something else.
    """

    drains: int
    instances: int
    begun: int
    cost: Cost

    @property
    def holds(self) -> bool:
        """Whether every drain was in progress, and nothing was left undone."""
        return self.begun == self.drains and not self.cost.undone


@dataclass(frozen=True, slots=True)
class Sweeps:
    """All of it."""

    quiet: tuple[QuietSweep, ...]
    busy: tuple[BusySweep, ...]

    @property
    def same(self) -> bool:
        """Whether a quiet sweep over as many clusters costs the same calls, however many instances they have."""
        seen = {(s.clusters, s.usual.order, s.hourly.order, s.renewing.order) for s in self.quiet}
        return len(seen) == len({s.clusters for s in self.quiet})

    @property
    def holds(self) -> bool:
        """Whether every bound holds."""
        return self.same and all(s.holds for s in self.quiet) and all(s.holds for s in self.busy)


def most_calls(clusters: int) -> int:
    """A quiet sweep's calls at most: a page of groups for each hundred, a list for each cluster, and two that do not grow.

    Those are one page of the Spot Instances that EC2 has marked, and one query of the table.
    """
    return -(-clusters // GROUPS_A_PAGE) + clusters + 2


def measure_sweeps(
    clusters: Sequence[int] = CLUSTERS,
    instances: Sequence[int] = INSTANCES,
    drains: Sequence[int] = DRAINS,
    *,
    bound: Callable[[int], int] = most_calls,
    progress: Callable[[str], None] = lambda _: None,
) -> Sweeps:
    """Sweep accounts of each of ``clusters`` with each of ``instances`` a cluster, and one cluster with each of ``drains``.

    ``bound``: from the number of clusters, a quiet sweep's calls at most.
    """
    quiet = tuple(_quiet(c, i, bound(c), progress) for c in clusters for i in instances)
    return Sweeps(quiet, tuple(_busy(d, max(d, MEMBERS), progress) for d in drains))


def _quiet(clusters: int, instances: int, at_most: int, progress: Callable[[str], None]) -> QuietSweep:
    """Three sweeps, a minute apart, by one environment that started at the first."""
    from workbench.sandbox import Account

    progress(f"sweep: building an account of {clusters} x {instances} instances")
    with Account(plain_account(clusters, instances, START)) as account:
        recorder = Recorder()
        costs: list[Cost] = []
        with recorder.installed(), awake() as function:
            for what in ("usual", "full hour", "policies read again"):
                progress(f"sweep: {clusters} x {instances} instances, nothing drains: {what}")
                costs.append(cost_of(recorder, function, [sweep_event(account.now)], account.now))
                account.settle(MINUTE)
    usual, hourly, renewing = costs
    return QuietSweep(clusters, instances, usual, hourly, renewing, at_most)


def _busy(drains: int, instances: int, progress: Callable[[str], None]) -> BusySweep:
    """Lifecycle events begin the drains, a minute passes, and a new environment sweeps."""
    from workbench.sandbox import Account

    progress(f"sweep: building a cluster of {instances} instances")
    with Account(stuck_account(instances, START + timedelta(minutes=2))) as account:
        recorder = Recorder()
        events = [lifecycle_event(instance_id(n), "group-0", account.now) for n in range(drains)]
        for event in events:
            account.happen(event)
        with recorder.installed(), awake() as function:
            progress(f"sweep: {drains} drains begin, and do not get on")
            cost_of(recorder, function, events, account.now)
        account.settle(MINUTE)
        begun = _in_progress(account)
        with recorder.installed(), awake() as function:
            cost = cost_of(recorder, function, [sweep_event(account.now)], account.now)
    return BusySweep(drains, instances, begun, cost)


def _in_progress(account: "Account") -> int:
    """How many instances of the first cluster are DRAINING, if their group's hook holds as many; else 0."""
    draining = account.client("ecs").list_container_instances(cluster="cluster-0", status="DRAINING")["containerInstanceArns"]
    (group,) = account.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=["group-0"])["AutoScalingGroups"]
    held = [member for member in group["Instances"] if member["LifecycleState"] == "Terminating:Wait"]
    return len(draining) if len(draining) == len(held) else 0
