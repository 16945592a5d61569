"""AWS calls for one Spot warning, on accounts of different sizes: how many, in which order, and after which one the instance drains."""

from collections.abc import Callable
from dataclasses import dataclass

from workbench.bench.accounts import awake, delivery, instance_id, quiet_account
from workbench.bench.recorder import Recorder, first_goal, per_operation

SIZES = ((1, 10), (1, 5000), (200, 25))
"""Clusters and instances in each."""

DRAINING_BOUND, TOTAL_BOUND = 3, 10
"""The instance is DRAINING after at most so many calls, and there are at most so many in all."""


@dataclass(frozen=True, slots=True)
class WarningCalls:
    """What one warning cost on one account. ``order``: the calls as they were made. ``draining_after`` None: it never drained.

    ``at_start``: the calls of the init phase, which every environment makes once, before there is an event.
    """

    clusters: int
    instances: int
    draining_after: int | None
    order: tuple[str, ...]
    operations: dict[str, int]
    at_start: dict[str, int]
    undone: int

    @property
    def total(self) -> int:
        """Calls in all."""
        return len(self.order)


def measure_calls(clusters: int, instances: int, progress: Callable[[str], None] = lambda _: None) -> WarningCalls:
    """Send one warning about the first instance of the first of ``clusters`` clusters of ``instances`` each."""
    from workbench.sandbox import Account

    progress(f"calls: building an account of {clusters} x {instances} instances")
    with Account(quiet_account(clusters, instances)) as account:
        watcher = account.client("ecs")
        (arn,) = watcher.list_container_instances(cluster="cluster-0", filter=f"ec2InstanceId in ['{instance_id(0)}']")[
            "containerInstanceArns"
        ]

        def drains() -> bool:
            """Whether the instance is DRAINING now."""
            found = watcher.describe_container_instances(cluster="cluster-0", containerInstances=[arn])
            return bool(found["containerInstances"][0]["status"] == "DRAINING")

        recorder = Recorder(watch=drains)
        progress(f"calls: one warning among {clusters} x {instances} instances")
        with recorder.installed(), recorder.recording() as started, awake() as function:
            at_start = per_operation(list(started))
            with recorder.recording() as calls:
                answer = function.invoke(delivery([instance_id(0)], account.now))
    return WarningCalls(
        clusters=clusters,
        instances=instances,
        draining_after=first_goal(calls),
        order=tuple(call.operation for call in calls),
        operations=per_operation(calls),
        at_start=at_start,
        undone=len(answer["batchItemFailures"]),
    )


def calls_hold(results: list[WarningCalls]) -> bool:
    """Whether every bound holds, and the calls are the same on every account."""
    bounded = all(
        r.draining_after is not None and r.draining_after <= DRAINING_BOUND and r.total <= TOTAL_BOUND and not r.undone for r in results
    )
    return bounded and len({tuple(r.operations.items()) for r in results}) == 1
