"""EventBridge event patterns: does a rule match an event?

A small engine of our own, because none at hand tells the truth: moto's never matches a field inside an array of objects
(``detail.attributes[].name``), and AWS's own library (event-ruler, Java) has no Python wheel for the Pythons used here.
Semantics follow that library and the EventBridge user guide, "Comparison operators for use in event patterns":

- fields are ANDed, the values of one field are ORed, ``$or`` ORs whole sets of fields; keys and values are case-sensitive;
- an event's array matches if any of its elements does, and two fields inside one array of objects must match in the same
  element ("array consistency");
- ``exists`` and every other comparison see leaves only: an object is not a value, and an empty array holds none;
- a dot in a key and a step into an object are the same thing, as they are for EventBridge.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workbench.comparisons import ABSENT, OPERATORS, PatternError, Test, compile_value

__all__ = ["Pattern", "PatternError", "compile_pattern"]

Membership = Mapping[str, int]
"""Which element of which array a value sits in: the array's path (with the indices above it) -> index."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One scalar of an event, with its dotted path and the array elements it sits in."""

    path: str
    value: Any
    membership: Membership


Condition = tuple[str, tuple[Test, ...]]
"""A dotted path, and the tests of which one must hold for a value there."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled event pattern: alternatives (from ``$or``), each a list of conditions that must all hold."""

    alternatives: tuple[tuple[Condition, ...], ...]

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Whether a rule with this pattern would be triggered by ``event`` (an event as parsed JSON)."""
        leaves: dict[str, list[Leaf]] = {}
        for leaf in _flatten("", event, {}):
            leaves.setdefault(leaf.path, []).append(leaf)
        return any(_holds(conditions, leaves, {}) for conditions in self.alternatives)


def compile_pattern(pattern: object) -> Pattern:
    """Check a pattern (parsed JSON) and make it ready to match; ``PatternError`` if EventBridge would refuse it."""
    if not isinstance(pattern, Mapping):
        raise PatternError("the event pattern must be an object")
    # Sorted, because EventBridge walks fields in order of name: it decides which array element `exists: false` is asked about.
    return Pattern(tuple(tuple(sorted(alternative, key=lambda c: c[0])) for alternative in _alternatives("", pattern)))


def _alternatives(prefix: str, node: Mapping[str, Any]) -> list[tuple[Condition, ...]]:
    """The object ``node`` of a pattern in disjunctive form: a list of alternatives, each all the conditions below ``prefix``."""
    if not node:
        raise PatternError(f"{prefix.rstrip('.') or 'the event pattern'}: an empty object is not allowed")
    product: list[tuple[Condition, ...]] = [()]
    for key, value in node.items():
        path = f"{prefix}{key}"
        if key == "$or" and _is_or(value):
            branches = [alternative for branch in value for alternative in _alternatives(prefix, branch)]
        elif isinstance(value, Mapping):
            branches = _alternatives(f"{path}.", value)
        elif isinstance(value, list):
            if not value:
                raise PatternError(f"{path}: an empty array is not allowed")
            branches = [((path, tuple(compile_value(path, item) for item in value)),)]
        else:
            raise PatternError(f"{path}: must be an object or an array, not {value!r}")
        product = [left + right for left in product for right in branches]
    return product


def _is_or(value: object) -> bool:
    """Whether the value of a ``$or`` key is the operator: at least two objects, none with an operator's name as a field."""
    return (
        isinstance(value, list)
        and len(value) > 1
        and all(isinstance(branch, Mapping) and branch and not OPERATORS.intersection(branch) for branch in value)
    )


def _flatten(path: str, node: Any, membership: Membership, array: str = "") -> Iterator[Leaf]:
    """Every scalar below ``node``. ``array`` names an array by its path and the indices of the arrays around it."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            step = f"{path}.{key}" if path else str(key)
            yield from _flatten(step, value, membership, f"{array}.{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _flatten(path, value, {**membership, array: index}, f"{array}[{index}]")
    else:
        yield Leaf(path, node, membership)


def _consistent(one: Membership, other: Membership) -> bool:
    """Whether no array is asked to be at two of its elements at once."""
    return all(one.get(array, index) == index for array, index in other.items())


def _holds(conditions: tuple[Condition, ...], leaves: Mapping[str, list[Leaf]], chosen: Membership) -> bool:
    """Whether the conditions can all hold with one consistent choice of array elements; ``chosen`` is the choice so far."""
    if not conditions:
        return True
    (path, tests), rest = conditions[0], conditions[1:]
    here = [leaf for leaf in leaves.get(path, ()) if _consistent(chosen, leaf.membership)]
    if not here:
        return any(test is ABSENT for test in tests) and _holds(rest, leaves, chosen)
    return any(any(test(leaf.value) for test in tests) and _holds(rest, leaves, {**chosen, **leaf.membership}) for leaf in here)
