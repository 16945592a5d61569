"""The draining line: what each kind of event leads to, over all clusters of one delivery.

Events about instances go through three short rounds, each finished for every cluster before the next begins for any
(``draining_rounds``). What is in progress is carried on by what ECS says of it and by the sweep (``draining_sweep``).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bulwark.core.draining import decide_foreign
from bulwark.core.plan import Finding, Plan
from bulwark.core.signals import (
    DrainProgress,
    InstanceState,
    Irrelevant,
    RebalanceRecommendation,
    ScheduledChange,
    SpotInterruption,
    Sweep,
    TerminateHook,
)
from bulwark.shell.aws import explain
from bulwark.shell.draining_line import LAST_SECONDS, STEM, Line
from bulwark.shell.draining_rounds import Rounds
from bulwark.shell.draining_sweep import carry_on, sweep
from bulwark.shell.observe import READ_ERRORS, MissingClusterError, observe_active, observe_condemned, observe_hosts
from bulwark.shell.observe_work import EXAMINED
from bulwark.shell.report import Decision

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from bulwark.core.signals import DrainSignal, Notice
    from bulwark.shell.aws import Aws
    from bulwark.shell.ledger import Ledger
    from bulwark.shell.policy_book import PolicyBook

SWEEP = "sweep"
"""Stands for the sweep among the subjects of a decision."""


@dataclass(slots=True)
class _Sorted:
    """The signals of one delivery by what they lead to."""

    notices: list[Notice] = field(default_factory=list)
    progress: dict[str, list[DrainProgress]] = field(default_factory=lambda: defaultdict(list))
    irrelevant: list[Irrelevant] = field(default_factory=list)
    swept: bool = False

    def add(self, signal: DrainSignal) -> None:
        """Put a signal where it belongs. Several sweeps in one delivery are one."""
        match signal:
            case SpotInterruption() | RebalanceRecommendation() | TerminateHook() | ScheduledChange() | InstanceState():
                self.notices.append(signal)
            case DrainProgress():
                self.progress[signal.cluster].append(signal)
            case Sweep():
                self.swept = True
            case Irrelevant():
                self.irrelevant.append(signal)


def subject_of(signal: DrainSignal) -> str | None:
    """What a signal's record stands or falls with: the instance it is about, or the sweep. None: it asks nothing."""
    match signal:
        case Sweep():
            return SWEEP
        case Irrelevant():
            return None
        case _:
            return signal.instance_id


def drain(
    aws: Aws,
    policies: PolicyBook,
    signals: Sequence[DrainSignal],
    now: datetime,
    remaining: Callable[[], float] = lambda: float("inf"),
    *,
    ledger: Ledger,
    owner: str = "drain",
) -> list[Decision]:
    """Answer ``signals``: one decision per cluster and kind of event, and one for what is none of ours.

    Raises what AWS raised if the instances could not even be located; a cluster that fails takes no other with it. ``remaining``
    returns the seconds left for the whole invocation: ECS's rates can make the explaining of a storm longer than a function may
    run. ``owner`` tells this invocation from others.
    """
    found = _Sorted()
    for signal in signals:
        found.add(signal)
    line = Line(aws, policies, ledger, now, owner)
    decisions: list[Decision] = []
    if found.notices:
        decisions += _notices(line, found.notices, remaining)
    if found.swept and (unheard := _unheard(line, found.notices, decisions)):
        decisions += _notices(line, unheard, remaining)
    for cluster, progress in sorted(found.progress.items()):
        policies.refresh()
        decisions.append(carry_on(line, cluster, progress))
    if found.swept:
        policies.refresh()
        decisions += sweep(line, SWEEP, remaining)
    if found.irrelevant:
        said = tuple(Finding("nothing-to-do", i.subject, i.because) for i in dict.fromkeys(found.irrelevant))
        decisions.append(Decision(STEM, None, Plan(findings=said)))
    return decisions


def _unheard(line: Line, heard: Sequence[Notice], decisions: list[Decision]) -> list[Notice]:
    """Spot interruptions that no event told of, and that are not being drained yet: events of EC2 are best effort.

    What is nobody's, or drained already, is not worth a decision each minute. What could not be read is a decision of its own.
    """
    told = {n.instance_id for n in heard}
    try:
        condemned = [c for c in observe_condemned(line.aws) if c.instance_id not in told]
        hosts = observe_hosts(line.aws, sorted(c.instance_id for c in condemned)) if condemned else ()
    except READ_ERRORS as error:
        decisions.append(_not_seen("Spot Instances that EC2 is about to take", error))
        return []
    ours: dict[str, set[str]] = defaultdict(set)
    for host in hosts:
        if host.cluster:
            ours[host.cluster].add(host.id)
    waiting: set[str] = set()
    for name, ids in sorted(ours.items()):
        try:
            waiting |= observe_active(line.aws, name, ids)
        except (*READ_ERRORS, MissingClusterError) as error:
            decisions.append(_not_seen(f"instances of cluster {name} that EC2 is about to take", error))
    return [c for c in condemned if c.instance_id in waiting]


def _not_seen(what: str, error: Exception) -> Decision:
    """Something that the sweep could not read."""
    said = Finding("not-observed", SWEEP, f"{what} could not be read: {explain(error)}")
    return Decision(STEM, None, Plan(findings=(said,)), subjects=frozenset({SWEEP}))


def _notices(line: Line, notices: Sequence[Notice], remaining: Callable[[], float]) -> list[Decision]:
    """Answer what is about single instances.

    Policies that are too old are read again once it is known that one is ours: somebody else's costs the one read that says so.
    """
    hosts = observe_hosts(line.aws, sorted({n.instance_id for n in notices}))
    if any(h.cluster for h in hosts):
        line.policies.refresh()
    located = line.aws.take_calls()
    rounds = []
    for name in sorted({h.cluster for h in hosts if h.cluster}):
        of_cluster = [h for h in hosts if h.cluster == name]
        ids = {h.id for h in of_cluster}
        rounds.append(Rounds(line, name, [n for n in notices if n.instance_id in ids], of_cluster))
    for one in rounds:
        one.cordon_all()
    for one in rounds:
        one.replace()
    for one in rounds:
        one.recommend(enough=remaining() > LAST_SECONDS)
    budget = EXAMINED
    for one in rounds:
        budget -= one.explain(budget if remaining() > LAST_SECONDS else 0)
    decisions = [one.decision for one in rounds]
    foreign = decide_foreign(notices, hosts)
    if foreign.findings:
        decisions.append(Decision(STEM, None, foreign))
    decisions[0].count(located)
    return decisions
