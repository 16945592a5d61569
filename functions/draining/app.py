"""Moves work off instances that leave, whatever the reason. Woken through SQS, in batches, by every event that says that one does."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger, Metrics

from bulwark.shell.aws import Aws
from bulwark.shell.draining import SWEEP, drain, subject_of
from bulwark.shell.ledger import Ledger
from bulwark.shell.parse import parse_batch
from bulwark.shell.policy_book import PolicyBook
from bulwark.shell.report import Reporter
from bulwark.shell.settings import Settings

# The init phase: clients and policies are ready before there is an event that waits for them.
settings = Settings.from_env(os.environ)
aws = Aws()
policies = PolicyBook(aws.ssm, settings.parameters, settings.mode)
policies.refresh()
aws.take_calls()
ledger = Ledger(aws, settings.table)
reporter = Reporter(Logger(), Metrics(), ledger)


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """One delivery from SQS; returns the records to be retried, which land in the dead-letter queue in the end."""
    now = datetime.now(UTC)
    batch = parse_batch(event["Records"], settings.region)
    for message_id, error in batch.errors.items():
        reporter.bad_event(message_id, error)
    signals = [signal for found in batch.signals.values() for signal in found]
    unfinished: set[str | None] = set()
    if signals:
        owner, left = context.aws_request_id, lambda: context.get_remaining_time_in_millis() / 1000
        for decision in drain(aws, policies, signals, now, left, ledger=ledger, owner=owner):
            reporter.decision(decision, now, owner)
            unfinished |= decision.unfinished
    # A sweep is not handed back: the next one, within the minute, is its second try.
    again = {m for m, found in batch.signals.items() if any(subject_of(s) in unfinished - {SWEEP} for s in found)}
    retry = sorted(set(batch.errors) | again)
    reporter.close(records=len(event["Records"]), retried=len(retry), unswept=SWEEP in unfinished)
    return {"batchItemFailures": [{"itemIdentifier": m} for m in retry]}
