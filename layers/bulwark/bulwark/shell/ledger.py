"""The controller's own memory: one DynamoDB table. For now the journal of decisions that left something undone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from bulwark.shell.aws import Aws

JOURNAL_DAYS = 30
"""How long an entry is kept: long enough for a monthly review."""


class Ledger:
    """Entries by cluster (``pk``: ``journal#<cluster>``) and time (``sk``), gone by themselves after JOURNAL_DAYS."""

    def __init__(self, aws: Aws, table: str) -> None:
        """``table``: the table's name. No call is made before there is something to write."""
        self._aws = aws
        self._table = table

    def record(self, decision: Mapping[str, Any], at: datetime, request_id: str) -> None:
        """Write one decision, as reported. Raises what AWS raised."""
        self._aws.dynamodb.put_item(
            TableName=self._table,
            Item={
                "pk": {"S": f"journal#{decision['cluster'] or '-'}"},
                "sk": {"S": f"{at:%Y-%m-%dT%H:%M:%S.%fZ}#{request_id}"},
                "function": {"S": str(decision["function"])},
                "decision": {"S": json.dumps(decision, default=str)},
                "expires_at": {"N": str(int(at.timestamp()) + JOURNAL_DAYS * 86_400)},
            },
        )
