"""What every function on a queue does around its decision: ready before the first event, then parse, decide and act, report."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from aws_lambda_powertools import Logger, Metrics

from bulwark.shell.aws import Aws
from bulwark.shell.ledger import Ledger
from bulwark.shell.pace import SHARERS, Pace
from bulwark.shell.parse import parse_batch
from bulwark.shell.policy_book import PolicyBook
from bulwark.shell.report import Reporter
from bulwark.shell.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bulwark.shell.parse import Parse
    from bulwark.shell.report import Decision

T = TypeVar("T")
"""One of the function's signals."""


class Warm:
    """What a function has for as long as its environment lives."""

    def __init__(self, environ: Mapping[str, str], *, sharers: int = SHARERS) -> None:
        """Lambda's init phase: clients and policies are ready before there is an event that waits for them. Raises SettingsError.

        ``sharers``: into how many parts ECS's request rates are divided, of which an invocation takes one.
        """
        self.settings = Settings.from_env(environ)
        self.aws = Aws(pace=Pace(sharers=sharers))
        self.policies = PolicyBook(self.aws.ssm, self.settings.parameters, self.settings.mode)
        self.policies.refresh()
        self.aws.take_calls()
        self.ledger = Ledger(self.aws, self.settings.table)
        self.reporter = Reporter(Logger(), Metrics(), self.ledger)

    def answer(
        self,
        event: Mapping[str, Any],
        context: Any,
        *,
        parse: Parse[T],
        decide: Callable[[Sequence[T], datetime, Callable[[], float], str], list[Decision]],
        subject_of: Callable[[T], str | None],
        sweep: str,
    ) -> dict[str, Any]:
        """One delivery from SQS; returns the records to be retried, which land in the dead-letter queue in the end.

        ``decide`` gets the signals, the time, what tells the seconds left, and a name for this invocation. ``sweep`` is the subject
        that stands for the minute's sweep.
        """
        now, records = datetime.now(UTC), event["Records"]
        batch = parse_batch(records, self.settings.region, parse=parse)
        for message_id, error in batch.errors.items():
            self.reporter.bad_event(message_id, error)
        signals = [signal for found in batch.signals.values() for signal in found]
        unfinished: set[str | None] = set()
        if signals:
            owner, left = context.aws_request_id, lambda: context.get_remaining_time_in_millis() / 1000
            for decision in decide(signals, now, left, owner):
                self.reporter.decision(decision, now, owner)
                unfinished |= decision.unfinished
        # A sweep is not handed back: the next one, within the minute, is its second try.
        again = {m for m, found in batch.signals.items() if any(subject_of(s) in unfinished - {sweep} for s in found)}
        retry = sorted(set(batch.errors) | again)
        self.reporter.close(records=len(records), retried=len(retry), unswept=sweep in unfinished)
        return {"batchItemFailures": [{"itemIdentifier": m} for m in retry]}
