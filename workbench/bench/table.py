"""The results as one table for people, and as one JSON document for programs."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table

from workbench.bench.calls import DRAINING_BOUND, TOTAL_BOUND, WarningCalls, calls_hold
from workbench.bench.cold_start import BOUND, OURS, SAME_CLIENTS, ColdStart, ratio
from workbench.bench.decide import Decisions
from workbench.bench.in_time import InTime, assumptions
from workbench.bench.lifecycle import Lifecycle
from workbench.bench.packing_quality import Quality
from workbench.bench.rows import Row, decide_rows, in_time_rows, lifecycle_rows, packing_rows, sizing_rows, sweep_rows
from workbench.bench.sizing_calls import SizingSweep
from workbench.bench.storm import Storm, storm_holds
from workbench.bench.sweep import Sweeps


@dataclasses.dataclass(frozen=True, slots=True)
class Results:
    """What was measured; what was left out is empty."""

    calls: tuple[WarningCalls, ...] = ()
    storms: tuple[tuple[str, Storm], ...] = ()
    cold_starts: tuple[ColdStart, ...] = ()
    python: str = ""
    lifecycle: Lifecycle | None = None
    sweeps: Sweeps | None = None
    in_time: tuple[InTime, ...] = ()
    packing: tuple[Quality, ...] = ()
    decisions: Decisions | None = None
    sizing: tuple[SizingSweep, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether every bound holds among what was measured."""
        calls = not self.calls or calls_hold(list(self.calls))
        storms = all(storm_holds(storm) for _, storm in self.storms)
        drains = all(part is None or part.holds for part in (self.lifecycle, self.sweeps)) and all(i.holds for i in self.in_time)
        capacity = (
            all(q.holds for q in self.packing) and all(s.holds for s in self.sizing) and (self.decisions is None or self.decisions.holds)
        )
        return calls and storms and drains and capacity and (not self.cold_starts or ratio(list(self.cold_starts)) <= BOUND)


def as_document(results: Results) -> dict[str, Any]:
    """The JSON document: every figure, and ``holds``."""
    document: dict[str, Any] = {"holds": results.holds}
    if results.calls:
        document["calls"] = [{**dataclasses.asdict(c), "total": c.total} for c in results.calls]
    if results.storms:
        document["storm"] = [{"time": name, **dataclasses.asdict(s), "calls": s.calls} for name, s in results.storms]
    if results.cold_starts:
        variants = [dataclasses.asdict(c) for c in results.cold_starts]
        document["cold_start"] = {"python": results.python, "variants": variants, "ratio": ratio(list(results.cold_starts)), "bound": BOUND}
    if results.lifecycle:
        document["lifecycle"] = {**dataclasses.asdict(results.lifecycle), "same": results.lifecycle.same, "holds": results.lifecycle.holds}
    if results.sweeps:
        document["sweep"] = {**dataclasses.asdict(results.sweeps), "same": results.sweeps.same, "holds": results.sweeps.holds}
    if results.in_time:
        warnings = [{**dataclasses.asdict(i), "holds": i.holds} for i in results.in_time]
        document["in_time"] = {"assumed": assumptions(), "warnings": warnings}
    if results.packing:
        document["packing"] = [{**dataclasses.asdict(q), "over": q.over, "holds": q.holds} for q in results.packing]
    if results.sizing:
        document["sizing"] = [{**dataclasses.asdict(s), "at_most": s.at_most, "holds": s.holds} for s in results.sizing]
    if results.decisions:
        growth = {kind: dict(zip(("time", "instances"), results.decisions.growth(kind), strict=True)) for kind in results.decisions.kinds}
        document["decide"] = {**dataclasses.asdict(results.decisions), "growth": growth, "holds": results.decisions.holds}
    return document


def as_table(results: Results) -> Table:
    """One row per figure: what, on what, the figure, its bound, and whether it holds."""
    table = Table(box=box.SIMPLE_HEAD, title="Bulwark: measured", title_justify="left")
    for column, justify in (("measured", "left"), ("on", "left"), ("figure", "right"), ("at most", "right"), ("holds", "left")):
        table.add_column(column, justify=justify, overflow="fold")  # type: ignore[arg-type]
    groups = (
        _call_rows(results.calls),
        lifecycle_rows(results.lifecycle),
        sweep_rows(results.sweeps),
        in_time_rows(results.in_time),
        packing_rows(results.packing),
        decide_rows(results.decisions),
        sizing_rows(results.sizing),
        _storm_rows(results.storms),
        _cold_rows(results.cold_starts, results.python),
    )
    for rows in groups:
        for measured, on, figure, bound, holds in rows:
            table.add_row(measured, on, figure, bound, "" if holds is None else "yes" if holds else "[bold red]NO[/]")
        if rows:
            table.add_section()
    return table


def _call_rows(results: Sequence[WarningCalls]) -> list[Row]:
    """The calls of one warning, per account, and once what they are."""
    rows: list[Row] = []
    for result in results:
        on = f"{result.clusters} x {result.instances:,} instances"
        after = "never" if result.draining_after is None else f"call {result.draining_after}"
        drains = result.draining_after is not None and result.draining_after <= DRAINING_BOUND
        rows.append(("one warning: DRAINING after", on, after, str(DRAINING_BOUND), drains))
        rows.append(("one warning: AWS calls", on, str(result.total), str(TOTAL_BOUND), result.total <= TOTAL_BOUND and not result.undone))
    if results:
        last = results[-1]
        same = len({tuple(r.operations.items()) for r in results}) == 1
        rows.append(("same calls on every account", "", "yes" if same else "no", "", same))
        rows.append(("once per environment start", "", _listed(last.at_start), "", None))
        rows += [(f"  call {number}", operation, "", "", None) for number, operation in enumerate(last.order, 1)]
    return rows


def _storm_rows(results: Sequence[tuple[str, Storm]]) -> list[Row]:
    """The storm, once per way of keeping time."""
    rows: list[Row] = []
    for name, storm in results:
        rows += [
            (
                f"storm: {storm.warnings} warnings, drained",
                name,
                f"{storm.drained}",
                "",
                storm.drained == storm.warnings and not storm.undone,
            ),
            ("storm: invocations", name, str(storm.invocations), "", None),
            ("storm: AWS calls in all", name, str(storm.calls), f"{storm.warnings - 1}", storm.calls < storm.warnings),
            ("storm: calls per instance", name, f"{storm.calls / storm.warnings:.2f}", "below 1", storm.calls < storm.warnings),
            (
                "storm: slower calls before last drain",
                name,
                str(storm.foreign_before_last_update),
                "0",
                not storm.foreign_before_last_update,
            ),
            ("storm: last drain asked for after", name, f"{storm.draining_s:.1f} s", "", None),
            ("storm: last call after", name, f"{storm.seconds:.1f} s", "", None),
        ]
        rows += [
            (f"storm: tokens, {use.bucket.name}", name, f"peak {use.peak:.0f}, {use.calls} calls", f"{use.bucket.burst}", not use.refused)
            for use in storm.buckets
        ]
    if results:
        operations = results[0][1].operations
        rows += [(f"  {operation}", results[0][0], str(count), "", None) for operation, count in operations.items()]
    return rows


def _cold_rows(results: Sequence[ColdStart], python: str) -> list[Row]:
    """Cold starts, the fastest variant first, each beside the handler with the same clients."""
    if not results:
        return []
    base = next(r.median_ms for r in results if r.variant == SAME_CLIENTS)
    rows: list[Row] = []
    for result in sorted(results, key=lambda r: r.median_ms):
        share = result.median_ms / base
        bounded = result.variant == OURS
        figure = f"{result.median_ms:.0f} ms, x {share:.2f}"
        bound = f"x {BOUND}" if bounded else ""
        rows.append((f"cold start: {result.variant}", f"{python}, {result.runs} runs", figure, bound, share <= BOUND if bounded else None))
    return rows


def _listed(operations: dict[str, int]) -> str:
    """Operations and how many of each, in one line."""
    return ", ".join(f"{name} x {count}" for name, count in operations.items()) or "none"
