"""DynamoDB in the draining tests' world: one table with pk and sk, and the conditions that the ledger writes."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tests.fakes import an_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.drain_faults import Faults
    from tests.drain_world import World

COMPARISON = re.compile(r"([#\w]+) (=|<|>|<=|>=) (:\w+)")
EXISTS = re.compile(r"(attribute_not_exists|attribute_exists)\(([#\w]+)\)")
COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}


class Table:
    """A DynamoDB client on the world's table. Like the real one it goes on showing what has expired."""

    def __init__(self, world: World, faults: Faults) -> None:
        self._world = world
        self._faults = faults

    def put_item(self, **params: Any) -> dict[str, Any]:
        """Put one item, if its condition holds."""

        def call(_: list[Any]) -> dict[str, Any]:
            key = _key(params["Item"])
            self._check("PutItem", self._world.table.get(key), params)
            self._world.table[key] = params["Item"]
            return {}

        return self._faults.perform("PutItem", None, call)

    def delete_item(self, **params: Any) -> dict[str, Any]:
        """Delete one item, if its condition holds. One that is not there is deleted all the same."""

        def call(_: list[Any]) -> dict[str, Any]:
            key = _key(params["Key"])
            self._check("DeleteItem", self._world.table.get(key), params)
            self._world.table.pop(key, None)
            return {}

        return self._faults.perform("DeleteItem", None, call)

    def get_paginator(self, operation: str) -> Any:
        """Only query, by pk, two items to a page."""
        assert operation == "query"

        def paginate(**params: Any) -> Iterator[dict[str, Any]]:
            assert params["KeyConditionExpression"] == "pk = :pk"
            wanted = params["ExpressionAttributeValues"][":pk"]["S"]
            answer = self._faults.perform(
                "Query", None, lambda _: {"Items": [i for (pk, _), i in sorted(self._world.table.items()) if pk == wanted]}
            )
            for start in range(0, max(1, len(answer["Items"])), 2):
                yield {"Items": answer["Items"][start : start + 2]}

        return SimpleNamespace(paginate=paginate)

    def _check(self, operation: str, item: dict[str, Any] | None, params: dict[str, Any]) -> None:
        expression = params.get("ConditionExpression")
        if expression is not None and not any(_holds(part.strip(), item, params) for part in expression.split(" OR ")):
            raise an_error("ConditionalCheckFailedException", operation, "The conditional request failed")


def _key(item: dict[str, Any]) -> tuple[str, str]:
    return item["pk"]["S"], item["sk"]["S"]


def _holds(part: str, item: dict[str, Any] | None, params: dict[str, Any]) -> bool:
    """One comparison of a condition."""
    names = params.get("ExpressionAttributeNames", {})
    if (exists := EXISTS.fullmatch(part)) is not None:
        there = item is not None and names.get(exists[2], exists[2]) in item
        return there == (exists[1] == "attribute_exists")
    comparison = COMPARISON.fullmatch(part)
    assert comparison is not None, f"the fake table does not know the condition {part!r}"
    name, sign, value = comparison.groups()
    stored = (item or {}).get(names.get(name, name))
    if stored is None:
        return False
    return COMPARE[sign](_value(stored), _value(params["ExpressionAttributeValues"][value]))


def _value(typed: dict[str, str]) -> Any:
    return int(typed["N"]) if "N" in typed else typed["S"]
