"""Moves work off instances that are about to leave. Woken by Spot interruption warnings, in batches from SQS."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger, Metrics

from bulwark.shell.aws import Aws
from bulwark.shell.draining import drain
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
reporter = Reporter(Logger(), Metrics(), Ledger(aws, settings.table))


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """One delivery from SQS; returns the records to be retried, which land in the dead-letter queue in the end."""
    now = datetime.now(UTC)
    batch = parse_batch(event["Records"])
    for message_id, error in batch.errors.items():
        reporter.bad_event(message_id, error)
    unfinished: set[str] = set()
    if batch.signals:
        for decision in drain(aws, policies, list(batch.signals.values()), now, lambda: context.get_remaining_time_in_millis() / 1000):
            reporter.decision(decision, now, context.aws_request_id)
            unfinished |= decision.unfinished
    retry = sorted(set(batch.errors) | {m for m, s in batch.signals.items() if s.instance_id in unfinished})
    reporter.close(records=len(event["Records"]), retried=len(retry))
    return {"batchItemFailures": [{"itemIdentifier": m} for m in retry]}
