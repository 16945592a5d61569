"""The table's rows about drains, and about capacity: how well tasks are packed, and how long a decision takes."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from workbench.bench.decide import Decisions
from workbench.bench.in_time import InTime, assumptions
from workbench.bench.lifecycle import Lifecycle, LifecycleCalls
from workbench.bench.packing_quality import Quality
from workbench.bench.sizing_calls import SizingSweep
from workbench.bench.sweep import GROUPS_A_PAGE, BusySweep, QuietSweep, Sweeps

Row = tuple[str, str, str, str, bool | None]
"""Measured, on what, the figure, its bound, and whether that holds; None: there is none."""

EXPLAINED: Mapping[str, str] = MappingProxyType(
    {
        "autoscaling:DescribeAutoScalingGroups": f"a page for each {GROUPS_A_PAGE} groups",
        "ecs:ListContainerInstances": "one for each cluster: marked, or away",
        "dynamodb:Query": "what was lent to services",
        "ec2:DescribeSpotInstanceRequests": "Spot Instances that EC2 has marked",
        "autoscaling:DescribeLifecycleHooks": "only at a full hour: one for each group",
        "ssm:GetParametersByPath": "only if the policies' copy is 90 s old",
    }
)
"""What each call of a quiet sweep is for. One that is not here has no explanation yet, and shows without."""


def lifecycle_rows(results: Lifecycle | None) -> list[Row]:
    """The calls of one hook event, per account and kind, and once what they are."""
    if results is None:
        return []
    rows: list[Row] = []
    for one in results.calls:
        on = f"{one.clusters} x {one.instances:,} instances"
        rows.append((f"hook, {one.kind}: AWS calls", on, str(len(one.first.order)), str(one.at_most), one.holds))
    last = list({one.kind: one for one in results.calls}.values())
    more = "the same event once more"
    rows += [(f"hook, {one.kind}: again", more, str(len(one.again.order)), str(one.at_most), one.holds) for one in last]
    rows.append(("same calls on every account", "", "yes" if results.same else "no", "", results.same))
    for idle in results.idle:
        rows.append((f"progress, {idle.what}", "rules that match, AWS calls", f"{len(idle.rules)}, {idle.calls}", "0, 0", idle.holds))
    return rows + _orders(last)


def _orders(results: Sequence[LifecycleCalls]) -> list[Row]:
    """The calls: first those with which every kind begins, then what each has of its own."""
    orders = [one.first.order for one in results]
    shared = 0
    while all(len(order) > shared for order in orders) and len({order[shared] for order in orders}) == 1:
        shared += 1
    rows: list[Row] = [(f"  call {number}", operation, "", "", None) for number, operation in enumerate(orders[0][:shared], 1)]
    for one in results:
        own = enumerate(one.first.order[shared:], shared + 1)
        rows += [(f"  {one.kind}, call {number}", operation, "", "", None) for number, operation in own]
    return rows


def sweep_rows(results: Sweeps | None) -> list[Row]:
    """The calls of a sweep: with nothing to do, on each account, and once what for; then with drains in progress."""
    if results is None:
        return []
    rows: list[Row] = []
    for one in results.quiet:
        on = f"{one.clusters} x {one.instances:,} instances"
        rows.append(("sweep, no drain: AWS calls", on, str(len(one.usual.order)), str(one.at_most), one.holds))
    rows.append(("same calls however many instances", "", "yes" if results.same else "no", "", results.same))
    rows += _quiet_operations(results.quiet[-1]) if results.quiet else []
    for busy in results.busy:
        on = f"{busy.instances} instances, work cannot leave"
        holds = None if busy.holds else False
        rows.append((f"sweep, {_drains(busy)}: AWS calls", on, str(len(busy.cost.order)), "", holds))
    operations = sorted({o for busy in results.busy for o in busy.cost.operations})
    drains = ", ".join(_drains(busy) for busy in results.busy)
    for operation in operations:
        rows.append((f"  {drains}", operation, ", ".join(str(b.cost.operations.get(operation, 0)) for b in results.busy), "", None))
    return rows


def _drains(busy: BusySweep) -> str:
    """``1 drain``, ``10 drains``."""
    return f"{busy.drains} drain{'s' * (busy.drains != 1)}"


def _quiet_operations(one: QuietSweep) -> list[Row]:
    """What a quiet sweep calls and why; then what is more at a full hour, and when the policies are read again."""
    rows: list[Row] = [(f"  {o}", EXPLAINED.get(o, ""), str(count), "", None) for o, count in one.usual.operations.items()]
    for cost in (one.hourly, one.renewing):
        more = {o: n - one.usual.operations.get(o, 0) for o, n in cost.operations.items()}
        rows += [(f"  {o}", EXPLAINED.get(o, ""), f"+{n}", "", None) for o, n in more.items() if n]
    return rows


def in_time_rows(results: Sequence[InTime]) -> list[Row]:
    """One row for each way and room, in seconds after the warning; then what all of them rest on."""
    rows: list[Row] = []
    for one in results:
        draining = "never" if one.draining_s is None else f"{one.draining_s} s"
        elsewhere = "not yet" if one.elsewhere_s is None else f"{one.elsewhere_s} s"
        figure = f"{draining}, {elsewhere}, {one.lost} of {one.tasks}"
        bound = "" if one.at_most_s is None else f"{one.at_most_s} s, 0"
        holds = one.holds if one.at_most_s is not None or not one.holds else None
        rows.append((f"{'room' if one.room else 'no room'}: DRAINING, elsewhere, lost", one.way, figure, bound, holds))
    if results:
        rows += [("  assumed", what, value, "", None) for what, value in assumptions().items()]
    return rows


def packing_rows(results: Sequence[Quality]) -> list[Row]:
    """Two rows for each mix: ours over the fewest that any packing could take, and the library's."""
    rows: list[Row] = []
    for one in results:
        on = f"{one.tasks} tasks; {math.ceil(one.bound)} is the least"
        least = min(one.first_fit, one.best_fit)
        rows.append((f"packing, {one.mix}: instances", on, f"{one.ours}, x {one.over:.3f}", str(least), one.holds))
        crowded = f"; {one.crowded} had too many of a service" if one.crowded else ""
        rows.append(("  rectpack: first fit, best fit", f"dominant share alone{crowded}", f"{one.first_fit}, {one.best_fit}", "", None))
    return rows


def decide_rows(results: Decisions | None) -> list[Row]:
    """Two rows for each cluster, seconds and memory; then for each kind of decision how that grows."""
    if results is None:
        return []
    rows: list[Row] = []
    for one in results.decided:
        on = f"{one.instances:,} instances, {one.tasks:,} tasks, {one.waiting:,} waiting"
        in_time, in_memory = results.within(one)
        decided = f"{one.more:,} more" if one.waiting else f"{one.fewer:,} drained"
        rows.append((f"decide, {one.kind}", on, f"{one.seconds:.3f} s: {decided}", f"{results.seconds:g} s", in_time))
        rows.append(
            (
                "  most memory of the process",
                "interpreter, snapshot, decision",
                f"{one.peak_mib:.0f} MiB",
                f"{results.mib:g} MiB",
                in_memory,
            )
        )
    for kind in results.kinds:
        times, larger = results.growth(kind)
        on = f"x {larger:g} instances"
        rows.append((f"decide, {kind}: time grows", on, f"x {times:.1f}", f"x {results.steeper * larger:g}", results.straight(kind)))
    return rows


def sizing_rows(results: Sequence[SizingSweep]) -> list[Row]:
    """Two rows for each cluster: the usual sweep, and the first of an environment; then what the largest one's calls are."""
    rows: list[Row] = []
    for one in results:
        on = f"{one.instances:,} instances, {one.services} services"
        rows.append(("sweep of capacity: AWS calls", on, str(len(one.usual.order)), str(one.at_most), one.holds))
        rows.append(("  the first of an environment", f"definitions are read in {one.after} sweeps", str(len(one.first.order)), "", None))
    if results:
        rows += [
            (f"    {operation}", "the largest cluster", str(count), "", None) for operation, count in results[-1].usual.operations.items()
        ]
    return rows
