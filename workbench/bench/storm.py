"""Hundreds of warnings at once for one cluster: calls, their order, and what they do to ECS's token buckets.

Measured twice. As it ran: on this machine's clock, where every call takes the time that the account in memory needs for it.
At worst: every call takes no time at all, as many environments as the template allows get their share at the same moment, and
only the function's own pacing keeps the calls apart.
"""

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.bench.accounts import awake, delivery, instance_id, storm_account
from workbench.bench.buckets import Use, use_of_buckets
from workbench.bench.recorder import Call, Recorder, per_operation
from workbench.template import TemplateError, load_template

if TYPE_CHECKING:
    from workbench.sandbox import Account

UPDATE = "ecs:UpdateContainerInstancesState"
LOCATING = frozenset({"ec2:DescribeInstances", "ecs:ListContainerInstances", "ecs:DescribeContainerInstances"})
"""The reads that say which container instances to drain: they alone may come before the last drain."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """How the template lets SQS deliver: ``batch_size`` records at most to an invocation, ``at_once`` invocations at most."""

    batch_size: int
    at_once: int


def read_delivery(template: Mapping[str, Any] | None = None) -> Delivery:
    """The SQS event of template.yaml's DrainingFunction. Raises TemplateError if it has none, or not with both limits."""
    resources = (load_template() if template is None else template)["Resources"]
    for event in resources.get("DrainingFunction", {}).get("Properties", {}).get("Events", {}).values():
        properties = event.get("Properties", {})
        limits = properties.get("BatchSize"), properties.get("ScalingConfig", {}).get("MaximumConcurrency")
        if event.get("Type") == "SQS" and all(isinstance(limit, int) for limit in limits):
            return Delivery(*limits)
    raise TemplateError("template.yaml: DrainingFunction: no SQS event with BatchSize and ScalingConfig.MaximumConcurrency as numbers")


class VirtualClock:
    """Seconds that pass only when somebody sleeps."""

    def __init__(self) -> None:
        """Start at zero."""
        self.now = 0.0

    def read(self) -> float:
        """The time, in seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        self.now += seconds


@dataclass(frozen=True, slots=True)
class Storm:
    """One storm. ``order`` holds the first invocation's calls; ``draining_s`` when the last of all drains was asked for, in seconds."""

    warnings: int
    instances: int
    invocations: int
    at_once: int
    drained: int
    undone: int
    operations: dict[str, int]
    foreign_before_last_update: int
    draining_s: float
    seconds: float
    buckets: tuple[Use, ...]

    @property
    def calls(self) -> int:
        """Calls in all."""
        return sum(self.operations.values())


def measure_storm(
    warnings: int,
    instances: int,
    batch_size: int,
    *,
    at_once: int = 1,
    virtual: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Storm:
    """Send ``warnings`` to a cluster of ``instances``, in batches of ``batch_size`` that are shared by ``at_once`` environments.

    ``virtual``: calls take no time, and each environment waits on a clock of its own; otherwise the machine's clock counts,
    and environments follow one another.
    """
    from workbench.sandbox import Account

    clocks = [VirtualClock() for _ in range(at_once)] if virtual else []
    progress(f"storm: building an account of {instances} instances")
    with Account(storm_account(instances)) as account:
        ids = [instance_id(n) for n in range(warnings)]
        batches = batches_of(ids, min(batch_size, -(-warnings // at_once)))
        recorder = Recorder()
        calls: list[list[Call]] = []
        undone = 0
        for number, batch in enumerate(batches):
            progress(f"storm: batch {number + 1} of {len(batches)}: {len(batch)} warnings, {'virtual' if virtual else 'real'} time")
            clock = clocks[number % at_once] if virtual else None
            recorder.clock = clock.read if clock else time.perf_counter
            with recorder.installed(), awake() as function:
                if clock:
                    function.pace(clock.read, clock.sleep)
                with recorder.recording() as made:
                    undone += len(function.invoke(delivery(batch, account.now))["batchItemFailures"])
            calls.append(list(made))
        drained = _count_draining(account)
    every = list(itertools.chain.from_iterable(calls))
    began = min(call.at for call in every)
    return Storm(
        warnings=warnings,
        instances=instances,
        invocations=len(batches),
        at_once=at_once,
        drained=drained,
        undone=undone,
        operations=per_operation(every),
        foreign_before_last_update=sum(foreign_before_last_update([c.operation for c in some]) for some in calls),
        draining_s=max((c.at for c in every if c.operation == UPDATE), default=began) - began,
        seconds=max(c.at for c in every) - began,
        buckets=use_of_buckets((c.at - began, c.operation) for c in every),
    )


def batches_of(ids: Sequence[str], size: int) -> list[list[str]]:
    """``ids`` in lists of at most ``size``."""
    return [list(ids[i : i + size]) for i in range(0, len(ids), size)]


def foreign_before_last_update(order: Sequence[str]) -> int:
    """Calls before the last drain of an invocation that neither locate an instance before the first one, nor drain."""
    updates = [index for index, operation in enumerate(order) if operation == UPDATE]
    if not updates:
        return 0
    before = [o for o in order[: updates[0]] if o not in LOCATING]
    between = [o for o in order[updates[0] : updates[-1]] if o != UPDATE]
    return len(before) + len(between)


def _count_draining(account: "Account") -> int:
    """How many container instances of the cluster are DRAINING, page by page."""
    pages = account.client("ecs").get_paginator("list_container_instances").paginate(cluster="storm", status="DRAINING")
    return sum(len(page["containerInstanceArns"]) for page in pages)


def storm_holds(storm: Storm) -> bool:
    """All drained, before anything slower, with less than a call per instance, and no bucket ever empty."""
    fits = all(use.refused == 0 for use in storm.buckets)
    return (
        storm.drained == storm.warnings
        and not storm.undone
        and not storm.foreign_before_last_update
        and storm.calls < storm.warnings
        and fits
    )
