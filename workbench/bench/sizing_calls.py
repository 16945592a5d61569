"""AWS calls of one sweep of the function ``capacity`` over a cluster, against its size: instances and services, nothing per task."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from workbench.bench.accounts import awake
from workbench.bench.artifact import ROOT
from workbench.bench.drain_accounts import Cost, cost_of, sweep_event
from workbench.bench.recorder import Recorder
from workbench.sandbox import Scenario
from workbench.sandbox.scenario import read_scenario

SIZES = ((10, 10), (100, 50), (1000, 200), (5000, 500))
"""Instances and services of the cluster. Each service runs one task, and one of them has two hundred, whatever the size."""

TASKS = 200
START = datetime(2026, 11, 24, 3, 1, tzinfo=UTC)
"""A minute at which alarms are not looked at: that is every ten minutes, whatever the size."""

INSTANCES_A_PAGE, SERVICES_A_PAGE, SERVICES_A_CALL = 100, 100, 10
"""What ListContainerInstances and DescribeContainerInstances, ListServices, and DescribeServices take and give (ECS API reference)."""

FIXED = 7
"""Calls that do not grow: groups, where to begin, memory, lease and its return, what is remembered; and one made now and then."""


@dataclass(frozen=True, slots=True)
class SizingSweep:
    """One cluster. ``first``: the first sweep of an environment; ``usual``: the first that has no task definition to read any more.

    ``after``: how many sweeps came before that one.
    """

    instances: int
    services: int
    first: Cost
    usual: Cost
    after: int

    @property
    def at_most(self) -> int:
        """Calls of the usual sweep at most."""
        pages = -(-self.instances // INSTANCES_A_PAGE)
        return 2 * pages + -(-self.services // SERVICES_A_PAGE) + -(-self.services // SERVICES_A_CALL) + FIXED

    @property
    def holds(self) -> bool:
        """Whether nothing was left undone, within the bound."""
        return not self.first.undone and not self.usual.undone and len(self.usual.order) <= self.at_most


def measure_sizing(sizes: Sequence[tuple[int, int]] = SIZES, progress: Callable[[str], None] = lambda _: None) -> tuple[SizingSweep, ...]:
    """Sweep a cluster of each of ``sizes``, a minute apart, until every task definition has been read."""
    return tuple(_measured(instances, services, progress) for instances, services in sizes)


def _measured(instances: int, services: int, progress: Callable[[str], None]) -> SizingSweep:
    from workbench.sandbox import Account

    progress(f"sizing: building a cluster of {instances} instances and {services} services")
    with Account(sized_account(instances, services)) as account:
        recorder = Recorder()
        costs: list[Cost] = []
        with recorder.installed(), awake(ROOT / "functions" / "capacity" / "app.py") as function:
            while not costs or "ecs:DescribeTaskDefinition" in costs[-1].order:
                progress(f"sizing: {instances} instances, {services} services: sweep {len(costs) + 1}")
                costs.append(cost_of(recorder, function, [sweep_event(account.now)], account.now))
                account.settle(60)
    return SizingSweep(instances, services, costs[0], costs[-1], len(costs) - 1)


def sized_account(instances: int, services: int) -> Scenario:
    """One cluster that is neither too small nor, for its minimum, too large."""
    group = {"name": "group-0", "min": instances, "desired": instances, "max": 3 * instances}
    size = {"cpu": 8, "memory": 16}
    work: list[Mapping[str, Any]] = [{"name": f"service-{n}", "desired": TASKS if n == 0 else 1, **size} for n in range(services)]
    cluster = {"name": "cluster-0", "groups": [group], "services": work}
    return read_scenario({"clusters": [cluster], "start": START}, "bench")
