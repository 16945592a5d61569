"""The controller's own memory, one DynamoDB table: the journal of what was left undone, leases, and what was lent."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bulwark.core.cluster import RaisedBound
from bulwark.shell.aws import AWS_ERRORS, error_code

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bulwark.shell.aws import Aws

JOURNAL_DAYS = 30
"""How long an entry is kept: long enough for a monthly review."""

LEASE_SECONDS = 150
"""How long a lease is held if whoever has it dies: longer than a function runs."""

RAISED = "raised"
"""Partition of the notes about services whose upper bound was raised; ``sk`` is ``<cluster>/<service>``."""


BEGIN = "#begin"
"""``sk``, in the same partition so that one query finds both, of the note where the next sweep begins. No cluster is called so."""


@dataclass(frozen=True, slots=True)
class Notes:
    """What a sweep has to remember: bounds that were raised, by cluster, and the cluster to begin with, if the last was cut short."""

    raised: dict[str, tuple[RaisedBound, ...]] = field(default_factory=dict)
    begin: str | None = None


class Ledger:
    """Entries by ``pk`` and ``sk``; those with ``expires_at`` are gone by themselves after it."""

    def __init__(self, aws: Aws, table: str) -> None:
        """``table``: the table's name. No call is made before there is something to write."""
        self._aws = aws
        self._table = table

    def record(self, decision: Mapping[str, Any], at: datetime, request_id: str) -> None:
        """Write one decision, as reported, to the journal (``pk``: ``journal#<cluster>``). Raises what AWS raised."""
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

    def lease(self, cluster: str, owner: str, now: datetime) -> bool:
        """Take the lease on ``cluster`` for LEASE_SECONDS; False if somebody else has it. Raises what AWS raised."""
        try:
            self._aws.dynamodb.put_item(
                TableName=self._table,
                Item={**self._lease_key(cluster), "owner": {"S": owner}, "expires_at": {"N": str(int(now.timestamp()) + LEASE_SECONDS)}},
                ConditionExpression="attribute_not_exists(pk) OR expires_at < :now OR #owner = :owner",
                ExpressionAttributeNames={"#owner": "owner"},
                ExpressionAttributeValues={":now": {"N": str(int(now.timestamp()))}, ":owner": {"S": owner}},
            )
        except AWS_ERRORS as error:
            if error_code(error) == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def release(self, cluster: str, owner: str) -> None:
        """Give the lease back, if ``owner`` still has it. What goes wrong is left to its expiry."""
        try:
            self._aws.dynamodb.delete_item(
                TableName=self._table,
                Key=self._lease_key(cluster),
                ConditionExpression="#owner = :owner",
                ExpressionAttributeNames={"#owner": "owner"},
                ExpressionAttributeValues={":owner": {"S": owner}},
            )
        except AWS_ERRORS:
            return

    @staticmethod
    def _lease_key(cluster: str) -> dict[str, Any]:
        return {"pk": {"S": f"lease#{cluster}"}, "sk": {"S": "lease"}}

    def note_raised(self, cluster: str, service: str, usual: int, raised: int, now: datetime) -> None:
        """Note that a service's upper bound is going to be raised. Raises what AWS raised, also if there is such a note already."""
        self._aws.dynamodb.put_item(
            TableName=self._table,
            Item={
                "pk": {"S": RAISED},
                "sk": {"S": f"{cluster}/{service}"},
                "usual": {"N": str(usual)},
                "raised": {"N": str(raised)},
                "since": {"N": str(int(now.timestamp()))},
            },
            ConditionExpression="attribute_not_exists(pk)",
        )

    def forget_raised(self, cluster: str, service: str) -> None:
        """Remove the note about a service. Raises what AWS raised."""
        self._aws.dynamodb.delete_item(TableName=self._table, Key={"pk": {"S": RAISED}, "sk": {"S": f"{cluster}/{service}"}})

    def raised(self) -> dict[str, tuple[RaisedBound, ...]]:
        """Every note about a raised bound, by cluster. Raises what AWS raised."""
        return self.notes().raised

    def notes(self) -> Notes:
        """What a sweep has to remember, in one query. Raises what AWS raised."""
        pages = self._aws.dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": RAISED}},
            ConsistentRead=True,
        )
        notes, begin = dict[str, tuple[RaisedBound, ...]](), None
        for item in (item for page in pages for item in page["Items"]):
            if item["sk"]["S"] == BEGIN:
                begin = item["cluster"]["S"]
                continue
            cluster, _, service = item["sk"]["S"].partition("/")
            since = datetime.fromtimestamp(int(item["since"]["N"]), UTC)
            note = RaisedBound(service, int(item["usual"]["N"]), int(item["raised"]["N"]), since)
            notes[cluster] = (*notes.get(cluster, ()), note)
        return Notes(notes, begin)

    def note_begin(self, cluster: str, whose: str = RAISED) -> None:
        """Note with which cluster the next sweep begins, as this one has no time for it. Raises what AWS raised.

        ``whose``: the partition of the sweep's notes.
        """
        self._aws.dynamodb.put_item(TableName=self._table, Item={"pk": {"S": whose}, "sk": {"S": BEGIN}, "cluster": {"S": cluster}})

    def begin(self, whose: str) -> str | None:
        """With which cluster the sweep begins whose notes are in partition ``whose``. Raises what AWS raised."""
        answer = self._aws.dynamodb.query(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk = :sk",
            ExpressionAttributeValues={":pk": {"S": whose}, ":sk": {"S": BEGIN}},
        )
        return next((item["cluster"]["S"] for item in answer["Items"]), None)
