"""Moves work off instances that leave, whatever the reason. Woken through SQS, in batches, by every event that says that one does."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from bulwark.shell.draining import SWEEP, drain, subject_of
from bulwark.shell.handler import Warm
from bulwark.shell.parse import parse_event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from bulwark.core.signals import DrainSignal
    from bulwark.shell.report import Decision

warm = Warm(os.environ)
aws = warm.aws


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """One delivery from SQS; returns the records to be retried, which land in the dead-letter queue in the end."""
    return warm.answer(event, context, parse=parse_event, decide=_decide, subject_of=subject_of, sweep=SWEEP)


def _decide(signals: Sequence[DrainSignal], now: datetime, left: Callable[[], float], owner: str) -> list[Decision]:
    return drain(aws, warm.policies, signals, now, left, ledger=warm.ledger, owner=owner)
