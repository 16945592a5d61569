"""The capacity line: an event says which cluster to look at, the look says what it needs. One decision per cluster and delivery."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bulwark.core.plan import Finding, Plan
from bulwark.core.signals import Irrelevant, LaunchFailure, PlacementFailure, Registration, ReservationAlarm, Sweep
from bulwark.shell.aws import explain
from bulwark.shell.capacity_cluster import STEM, SizedCluster
from bulwark.shell.capacity_sweep import BEGINNING, look_after_alarms
from bulwark.shell.draining_line import LAST_SECONDS, Line
from bulwark.shell.observe import READ_ERRORS
from bulwark.shell.observe_groups import observe_group, observe_groups_of, observe_opted_in
from bulwark.shell.report import Decision

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime

    from bulwark.core.cluster import Group
    from bulwark.core.signals import CapacitySignal
    from bulwark.shell.aws import Aws
    from bulwark.shell.ledger import Ledger
    from bulwark.shell.memory import MemoryBook
    from bulwark.shell.observe_capacity import Known
    from bulwark.shell.policy_book import PolicyBook

SWEEP = "sweep"
"""Stands for the sweep among the subjects of a decision."""


@dataclass(slots=True)
class _Sorted:
    """The signals of one delivery: what they are about, by cluster, and what asks nothing."""

    clusters: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    only_registered: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    groups: set[str] = field(default_factory=set)
    irrelevant: list[Irrelevant] = field(default_factory=list)
    swept: bool = False

    def add(self, signal: CapacitySignal) -> None:
        """Put a signal where it belongs."""
        match signal:
            case ReservationAlarm() | PlacementFailure():
                self.clusters[signal.cluster].add(str(subject_of(signal)))
            case Registration():
                self.only_registered[signal.cluster].add(signal.instance_id)
            case LaunchFailure():
                self.groups.add(signal.group)
            case Sweep():
                self.swept = True
            case Irrelevant():
                self.irrelevant.append(signal)


def subject_of(signal: CapacitySignal) -> str | None:
    """What a signal's record stands or falls with. None: it asks nothing."""
    match signal:
        case ReservationAlarm():
            return signal.cluster
        case PlacementFailure():
            return signal.subject
        case LaunchFailure():
            return signal.group
        case Registration():
            return signal.instance_id
        case Sweep():
            return SWEEP
        case Irrelevant():
            return None


def size(
    aws: Aws,
    policies: PolicyBook,
    signals: Sequence[CapacitySignal],
    now: datetime,
    remaining: Callable[[], float] = lambda: float("inf"),
    *,
    ledger: Ledger,
    book: MemoryBook,
    known: Known,
    owner: str = "size",
) -> list[Decision]:
    """Answer ``signals``: one decision per cluster, and one for what is none of ours.

    A cluster that fails takes no other with it. ``remaining`` returns the seconds left for the whole invocation, ``owner`` tells this
    one from others, ``known`` holds what was read before.
    """
    found = _Sorted()
    for signal in signals:
        found.add(signal)
    line = Line(aws, policies, ledger, now, owner)
    policies.refresh()
    decisions = _of_groups(line, found)
    told = {**found.clusters, **{c: s for c, s in found.only_registered.items() if c not in found.clusters}}
    for name, subjects in sorted(told.items()):
        waking = name in found.clusters
        of = SizedCluster(line, book, known, name, subjects | found.only_registered.get(name, set()))
        of.run(_groups_of(line, of), only_if_waiting=not waking)
        decisions.append(of.decision)
    if found.swept:
        decisions += _sweep(line, book, known, remaining, told.keys())
    if found.irrelevant:
        said = tuple(Finding("nothing-to-do", i.subject, i.because) for i in dict.fromkeys(found.irrelevant))
        decisions.append(Decision(STEM, None, Plan(findings=said)))
    return decisions


def _of_groups(line: Line, found: _Sorted) -> list[Decision]:
    """Groups that could not launch: their clusters join the others. What is nobody's costs the one read that says so."""
    decisions: list[Decision] = []
    for name in sorted(found.groups):
        about = Decision(STEM, None, subjects=frozenset({name}))
        try:
            group = observe_group(line.aws, name)
        except READ_ERRORS as error:
            about.error = f"group {name}: {explain(error)}"
            decisions.append(about)
        else:
            if group is not None and group.cluster:
                found.clusters[group.cluster].add(name)
            else:
                about.plan += Plan(findings=(Finding("foreign", name, "not a group that has opted in (tag bulwark:cluster): left alone"),))
                decisions.append(about)
        about.count(line.aws.take_calls())
    return decisions


def _groups_of(line: Line, of: SizedCluster) -> tuple[Group, ...] | None:
    """The groups of one cluster; None if they could not be read, which is then the decision's error."""
    try:
        return observe_groups_of(line.aws, of.name)
    except READ_ERRORS as error:
        of.decision.error = f"cluster {of.name}: {explain(error)}"
        return None


def _sweep(line: Line, book: MemoryBook, known: Known, remaining: Callable[[], float], done: Collection[str]) -> list[Decision]:
    """Look at every opted-in cluster but those just looked at, beginning where the last sweep had no time left."""
    about = Decision(STEM, None, subjects=frozenset({SWEEP}))
    decisions = [about]
    try:
        groups = [g for g in observe_opted_in(line.aws) if g.cluster]
        begin = line.ledger.begin(BEGINNING)
    except READ_ERRORS as error:
        about.error = f"the opted-in groups could not be listed: {explain(error)}"
        about.count(line.aws.take_calls())
        return decisions
    look_after_alarms(line, groups, about)
    about.count(line.aws.take_calls())
    names = sorted({g.cluster for g in groups if g.cluster})
    first = next((n for n, name in enumerate(names) if name >= (begin or "")), 0)
    ordered = [n for n in names[first:] + names[:first] if n not in done]
    for number, name in enumerate(ordered):
        if remaining() < LAST_SECONDS:
            about.plan += _cut_short(line, name, f"{len(ordered) - number} of {len(names)} clusters wait for the next sweep")
            break
        of = SizedCluster(line, book, known, name, {SWEEP})
        of.run(tuple(g for g in groups if g.cluster == name))
        decisions.append(of.decision)
    about.count(line.aws.take_calls())
    return _worth_telling(decisions)


def _worth_telling(decisions: list[Decision]) -> list[Decision]:
    """The sweep's own decision comes first, and only if it says something or stands alone; its calls are then counted with a cluster's."""
    about, *others = decisions
    if about.plan == Plan() and about.error is None and others:
        others[0].count(about.calls)
        return others
    return decisions


def _cut_short(line: Line, name: str, message: str) -> Plan:
    """The time is up before cluster ``name``: the next sweep begins with it."""
    try:
        line.ledger.note_begin(name, BEGINNING)
    except READ_ERRORS as error:
        message = f"{message}; where it is to begin could not be noted ({explain(error)})"
    return Plan(findings=(Finding("sweep-cut-short", "sweep", message),))
