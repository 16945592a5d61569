"""Sizes groups by what is reserved and what waits. Woken through SQS, in batches, by whatever may have changed either."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from bulwark.shell.capacity import SWEEP, size, subject_of
from bulwark.shell.handler import Warm
from bulwark.shell.memory import MemoryBook
from bulwark.shell.observe_capacity import Known
from bulwark.shell.parse_capacity import parse_capacity_event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from bulwark.core.signals import CapacitySignal
    from bulwark.shell.report import Decision

# Draining may need all of ECS's rates, and is the more urgent: an invocation here takes a quarter at most.
warm = Warm(os.environ, sharers=4)
aws = warm.aws
book = MemoryBook(aws, warm.settings.table)
known = Known()


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """One delivery from SQS; returns the records to be retried, which land in the dead-letter queue in the end."""
    return warm.answer(event, context, parse=parse_capacity_event, decide=_decide, subject_of=subject_of, sweep=SWEEP)


def _decide(signals: Sequence[CapacitySignal], now: datetime, left: Callable[[], float], owner: str) -> list[Decision]:
    return size(aws, warm.policies, signals, now, left, ledger=warm.ledger, book=book, owner=owner, known=known)
