"""What a cluster's sizing remembers between two looks, in Bulwark's table: demands of the last hour, groups at rest, learned shapes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bulwark.shell import translate_capacity as translate
from bulwark.shell.aws import AWS_ERRORS, error_code

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from bulwark.core.capacity_rest import Rest
    from bulwark.core.cluster import Demand, Shape
    from bulwark.shell.aws import Aws

FORGOTTEN_DAYS = 90
"""How long the table keeps what it knows of a cluster that nobody looks at any more."""

MEMORY, SHAPES = "memory", "shapes"
"""``sk`` of the two entries of a cluster: one changes with every look, the other hardly ever."""


class MemoryEntryError(LookupError):
    """An entry of the table that another version wrote, or somebody by hand; the message says which, and what to do."""


@dataclass(frozen=True, slots=True)
class Memory:
    """``demands``: oldest first; ``rests`` by group; ``shapes`` that were learned; ``waits``: something waited at the last look.

    ``removed``, ``regret``: what was asked for when instances were last taken out, and when they were last missed again.
    """

    demands: tuple[Demand, ...] = ()
    rests: Mapping[str, Rest] = field(default_factory=dict)
    shapes: tuple[Shape, ...] = ()
    waits: bool = False
    removed: Demand | None = None
    regret: Demand | None = None


class MemoryBook:
    """The memory of every cluster."""

    def __init__(self, aws: Aws, table: str) -> None:
        """``table``: the name of Bulwark's table."""
        self._aws = aws
        self._table = table

    def recall(self, cluster: str) -> Memory:
        """What is known of ``cluster``; nothing of one that was never looked at. Raises MemoryEntryError, or what AWS raised."""
        answer = self._aws.dynamodb.query(
            TableName=self._table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": _partition(cluster)}},
            ConsistentRead=True,
        )
        try:
            return _read({item["sk"]["S"]: item for item in answer["Items"]})
        except (KeyError, ValueError, TypeError) as error:
            raise MemoryEntryError(f"table entry {_partition(cluster)}: not understood ({error}): delete it") from error

    def remember(self, cluster: str, memory: Memory, before: Memory, seen_at: datetime) -> bool:
        """Write what was learned at ``seen_at``; False if something that was seen later is there already. Raises what AWS raised."""
        try:
            self._put(
                cluster,
                MEMORY,
                seen_at,
                {
                    "demands": {"S": translate.write_demands(memory.demands)},
                    "rests": {"S": translate.write_rests(memory.rests)},
                    "waits": {"BOOL": memory.waits},
                    "removed": {"S": translate.write_demands([memory.removed] if memory.removed else [])},
                    "regret": {"S": translate.write_demands([memory.regret] if memory.regret else [])},
                },
                ConditionExpression="attribute_not_exists(seen) OR seen <= :seen",
                ExpressionAttributeValues={":seen": {"N": _milliseconds(seen_at)}},
            )
        except AWS_ERRORS as error:
            if error_code(error) == "ConditionalCheckFailedException":
                return False
            raise
        shapes = translate.write_shapes(memory.shapes)
        if shapes != translate.write_shapes(before.shapes):
            self._put(cluster, SHAPES, seen_at, {"shapes": {"S": shapes}})
        return True

    def _put(self, cluster: str, which: str, seen_at: datetime, values: dict[str, Any], **condition: Any) -> None:
        expires = int(seen_at.timestamp()) + FORGOTTEN_DAYS * 86_400
        key = {"pk": {"S": _partition(cluster)}, "sk": {"S": which}}
        item = {**key, **values, "seen": {"N": _milliseconds(seen_at)}, "expires_at": {"N": str(expires)}}
        self._aws.dynamodb.put_item(TableName=self._table, Item=item, **condition)


def _read(items: Mapping[str, Mapping[str, Any]]) -> Memory:
    """The memory that these entries hold. What an earlier version did not write yet is nothing."""
    memory = Memory()
    if SHAPES in items:
        memory = replace(memory, shapes=translate.read_shapes(items[SHAPES]["shapes"]["S"]))
    if MEMORY in items:
        item = items[MEMORY]
        removed, regret = (next(iter(translate.read_demands(item.get(n, {"S": "[]"})["S"])), None) for n in ("removed", "regret"))
        demands, rests = translate.read_demands(item["demands"]["S"]), translate.read_rests(item["rests"]["S"])
        memory = replace(memory, demands=demands, rests=rests, waits=item["waits"]["BOOL"], removed=removed, regret=regret)
    return memory


def _partition(cluster: str) -> str:
    return f"capacity#{cluster}"


def _milliseconds(at: datetime) -> str:
    return str(int(at.timestamp() * 1000))
