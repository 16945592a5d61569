"""Says what was decided and done: one structured log record per decision, metrics, and the journal for what stayed undone.

The record's ``decision`` is the same object that ``bulwark replay --json`` prints.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit

from bulwark.core.draining import STILL_REGISTERING
from bulwark.core.plan import Plan, kind
from bulwark.shell.aws import AWS_ERRORS, explain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from aws_lambda_powertools import Logger, Metrics

    from bulwark.core.capacity_figures import Figures
    from bulwark.core.plan import Outcome
    from bulwark.shell.ledger import Ledger


@dataclass(slots=True)
class Decision:
    """What one function decided for one cluster in one invocation, as it comes together.

    ``cluster`` is None for what belongs to no cluster of ours; ``subjects`` are the ids the events were about;
    ``figures`` what a decision about a cluster's size came from.
    """

    function: str
    cluster: str | None
    plan: Plan = field(default_factory=Plan)
    subjects: frozenset[str] = frozenset()
    outcomes: tuple[Outcome, ...] = ()
    calls: dict[str, int] = field(default_factory=dict)
    error: str | None = None
    figures: Figures | None = None

    def count(self, calls: Mapping[str, int]) -> None:
        """Add calls that were made for this decision."""
        for operation, count in calls.items():
            self.calls[operation] = self.calls.get(operation, 0) + count

    @property
    def unfinished(self) -> frozenset[str]:
        """The subjects for which something is left to do: an action failed, or a fact could not be read."""
        if self.error is not None or any(f.code == "not-observed" for f in self.plan.findings):
            return self.subjects
        waiting = frozenset(f.subject for f in self.plan.findings if f.code == STILL_REGISTERING)
        failed = {o.action.target for o in self.outcomes if o.status == "failed"}
        # What is about a task or a service, and not an instance, stands for all that the events were about.
        return waiting | (self.subjects if failed - self.subjects else failed)

    def as_dict(self) -> dict[str, Any]:
        """The decision as it is logged and as ``bulwark replay --json`` prints it."""
        return {
            "function": self.function,
            "cluster": self.cluster,
            "actions": [{"kind": kind(a), "target": a.target, "reason": a.reason} for a in self.plan.actions],
            "findings": [{"code": f.code, "subject": f.subject, "message": f.message} for f in self.plan.findings],
            "outcomes": [{"kind": kind(o.action), "target": o.action.target, "status": o.status, "error": o.error} for o in self.outcomes],
            "calls": dict(sorted(self.calls.items())),
        }


class Reporter:
    """Where decisions go: log, metrics and, if something stayed undone, the journal."""

    def __init__(self, logger: Logger, metrics: Metrics, ledger: Ledger) -> None:
        """``logger`` and ``metrics`` are Powertools'."""
        self._logger = logger
        self._metrics = metrics
        self._ledger = ledger

    def bad_event(self, message_id: str, error: str) -> None:
        """A record that is no event: said here, and left to the queue's retries and dead-letter queue."""
        self._logger.error("bad event", extra={"record": message_id, "error": error})
        self._metrics.add_metric("BadEvents", MetricUnit.Count, 1)

    def decision(self, decision: Decision, at: datetime, request_id: str) -> None:
        """One decision. The journal is written last; if it cannot be, that is logged and takes nothing else down."""
        document = decision.as_dict()
        if decision.error is not None:
            self._logger.error("cluster unreachable", extra={"cluster": decision.cluster, "error": decision.error})
        for outcome in decision.outcomes:
            self._metrics.add_metric(f"{kind(outcome.action)}{outcome.status.capitalize()}", MetricUnit.Count, 1)
        if decision.unfinished:
            try:
                self._ledger.record(document | {"error": decision.error}, at, request_id)
            except AWS_ERRORS as error:
                self._logger.error("journal not written", extra={"error": explain(error)})  # noqa: TRY400  one line, not a traceback
        if decision.figures is not None and decision.cluster is not None:
            self._measured(decision.cluster, decision.figures)
        self._logger.info("decision", extra={"decision": document})

    def _measured(self, cluster: str, figures: Figures) -> None:
        """The figures of a cluster and of its groups, each under its own dimensions. What is not known is left out: it is not zero."""
        from aws_lambda_powertools.metrics import EphemeralMetrics

        for group, measured in figures.measured().items():
            metrics = EphemeralMetrics(namespace=self._metrics.namespace, service=self._metrics.service)
            metrics.add_dimension("Cluster", cluster)
            if group:
                metrics.add_dimension("Group", group)
            for name, (unit, value) in measured.items():
                metrics.add_metric(name, MetricUnit(unit), value)
            metrics.flush_metrics()

    def close(self, *, records: int, retried: int, unswept: bool = False) -> None:
        """End of the invocation: how many records came and how many go back, and everything measured is written out.

        ``unswept``: a sweep left something undone. It is not delivered again, so this is what its alarm hears of it.
        """
        if unswept:
            self._metrics.add_metric("SweepsUnfinished", MetricUnit.Count, 1)
        self._metrics.add_metric("Records", MetricUnit.Count, records)
        self._metrics.add_metric("RecordsRetried", MetricUnit.Count, retried)
        self._metrics.flush_metrics()
