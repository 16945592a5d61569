"""The comparisons of an EventBridge event pattern: one value in a pattern becomes one test of a scalar.

A test takes a scalar of the event (str, int, float, bool or None) and says whether it matches. Numbers compare by value
(300 and 300.0 are the same), and never with booleans or strings. Bounds and refusals are event-ruler's and the user
guide's: numeric values lie within +-5e9, wildcards may not be adjacent, a comparison object has exactly one key.
"""

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network
from operator import eq, ge, gt, le, lt
from typing import Any

Test = Callable[[Any], bool]

NUMERIC_BOUND = 5e9
"""The largest magnitude that EventBridge compares numerically (event-ruler README, "Numeric matching")."""

_COMPARE: Mapping[str, Callable[[float, float], bool]] = {"=": eq, "<": lt, "<=": le, ">": gt, ">=": ge}


class PatternError(ValueError):
    """An event pattern that EventBridge would refuse. The message is one line: the field and what is wrong with it."""


def ABSENT(_: object) -> bool:  # noqa: N802  a constant that is also a test: compared by identity, and never true of a value that is there
    """The test of ``exists: false``: no value can pass it, only the lack of one."""
    return False


def compile_value(path: str, item: object) -> Test:
    """The test that one entry of a pattern's array stands for; ``path`` is for the message of a ``PatternError``."""
    if isinstance(item, Mapping):
        operator, operand = _single(path, item)
        if operator not in _BUILDERS:
            raise PatternError(f"{path}: {operator!r} is no comparison; use one of {', '.join(sorted(OPERATORS))}")
        return _BUILDERS[operator](path, operand)
    if isinstance(item, list):
        raise PatternError(f"{path}: an array may hold strings, numbers, booleans, null and comparison objects, not arrays")
    return _equals(item)


def _single(path: str, item: Mapping[str, Any]) -> tuple[str, Any]:
    """The one key and value of a comparison object."""
    if len(item) != 1:
        raise PatternError(f"{path}: a comparison object has exactly one key, not {len(item)}")
    return next(iter(item.items()))


def _text(path: str, operator: str, operand: object, *, empty: bool = True) -> str:
    """The operand as a string, or a ``PatternError``. ``empty`` says whether "" is allowed."""
    if not isinstance(operand, str):
        raise PatternError(f"{path}: {operator} takes a string, not {operand!r}")
    if not operand and not empty:
        raise PatternError(f"{path}: {operator} takes a string that is not empty")
    return operand


def _is_number(value: object) -> bool:
    """Whether a JSON value is a number; a boolean is not, though Python says so."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _equals(wanted: object) -> Test:
    """Exact equality, by JSON's types."""
    if _is_number(wanted):
        return lambda value: _is_number(value) and value == wanted
    return lambda value: type(value) is type(wanted) and value == wanted


def _affix(operator: str, find: Callable[[str, str], bool]) -> Callable[[str, object], Test]:
    """The builder of ``prefix`` or ``suffix``: a string, or {"equals-ignore-case": string}."""

    def build(path: str, operand: object) -> Test:
        """The test for one operand."""
        if isinstance(operand, Mapping):
            inner, text = _single(path, operand)
            if inner != "equals-ignore-case":
                raise PatternError(f"{path}: {operator} takes a string or equals-ignore-case, not {inner!r}")
            folded = _text(path, inner, text).lower()
            return lambda value: isinstance(value, str) and find(value.lower(), folded)
        wanted = _text(path, operator, operand)
        return lambda value: isinstance(value, str) and find(value, wanted)

    return build


def _ignore_case(path: str, operand: object) -> Test:
    """``equals-ignore-case``."""
    folded = _text(path, "equals-ignore-case", operand).lower()
    return lambda value: isinstance(value, str) and value.lower() == folded


def _exists(path: str, operand: object) -> Test:
    """``exists``: true for any leaf, or ``ABSENT``."""
    if not isinstance(operand, bool):
        raise PatternError(f"{path}: exists takes true or false, not {operand!r}")
    return (lambda _: True) if operand else ABSENT


def _numeric(path: str, operand: object) -> Test:
    """``numeric``: one comparison, or a range of a lower and an upper one."""
    if not isinstance(operand, list) or len(operand) not in (2, 4):
        raise PatternError(f"{path}: numeric takes [operator, number] or [operator, number, operator, number]")
    pairs = list(zip(operand[::2], operand[1::2], strict=True))
    for operator, bound in pairs:
        if operator not in _COMPARE:
            raise PatternError(f"{path}: numeric knows =, <, <=, > and >=, not {operator!r}")
        if not _is_number(bound) or abs(bound) > NUMERIC_BOUND:
            raise PatternError(f"{path}: numeric takes numbers from -5e9 to 5e9, not {bound!r}")
    if len(pairs) > 1:
        (first, low), (second, high) = pairs
        if first not in (">", ">=") or second not in ("<", "<=") or low >= high:
            raise PatternError(f"{path}: a numeric range is a lower bound (> or >=) and then a higher upper bound (< or <=)")
    return lambda value: (
        _is_number(value) and abs(value) <= NUMERIC_BOUND and all(_COMPARE[operator](value, bound) for operator, bound in pairs)
    )


def _cidr(path: str, operand: object) -> Test:
    """``cidr``, IPv4 or IPv6."""
    try:
        network = ip_network(_text(path, "cidr", operand), strict=False)
    except ValueError as error:
        raise PatternError(f"{path}: cidr takes an address range such as 10.0.0.0/24: {error}") from None

    def test(value: object) -> bool:
        """Whether the value is an address in the range."""
        try:
            return isinstance(value, str) and ip_address(value) in network
        except ValueError:
            return False

    return test


def _wildcard(path: str, operand: object) -> Test:
    r"""``wildcard``: ``*`` stands for any characters, ``\*`` and ``\\`` for themselves."""
    text = _text(path, "wildcard", operand)
    if "**" in re.sub(r"\\.", "", text, flags=re.DOTALL):
        raise PatternError(f"{path}: wildcard may not hold two * in a row")
    parts = re.findall(r"\\.|\\|[^\\]", text, flags=re.DOTALL)
    if any(part[0] == "\\" and part not in (r"\*", r"\\") for part in parts):
        raise PatternError(f"{path}: in a wildcard, a backslash may stand only before * or another backslash")
    expression = re.compile("".join(".*" if part == "*" else re.escape(part[-1]) for part in parts), re.DOTALL)
    return lambda value: isinstance(value, str) and expression.fullmatch(value) is not None


def _anything_but(path: str, operand: object) -> Test:
    """``anything-but``: a string or number, a list of either, or prefix, suffix, wildcard, equals-ignore-case of one or several strings."""
    if isinstance(operand, Mapping):
        inner, wanted = _single(path, operand)
        if inner not in ("prefix", "suffix", "wildcard", "equals-ignore-case"):
            raise PatternError(f"{path}: anything-but takes prefix, suffix, wildcard or equals-ignore-case, not {inner!r}")
        texts = [_text(path, inner, text, empty=inner == "equals-ignore-case") for text in _listed(path, wanted)]
        refused = [_BUILDERS[inner](path, text) for text in texts]
    else:
        values = _listed(path, operand)
        if not (all(isinstance(value, str) for value in values) or all(_is_number(value) for value in values)):
            raise PatternError(f"{path}: anything-but takes strings only or numbers only, not {operand!r}")
        refused = [_equals(value) for value in values]
    return lambda value: not any(test(value) for test in refused)


def _listed(path: str, operand: object) -> list[Any]:
    """One value, or the list of them, as a list that is not empty."""
    values = operand if isinstance(operand, list) else [operand]
    if not values:
        raise PatternError(f"{path}: anything-but takes at least one value")
    return values


_BUILDERS: Mapping[str, Callable[[str, object], Test]] = {
    "prefix": _affix("prefix", str.startswith),
    "suffix": _affix("suffix", str.endswith),
    "equals-ignore-case": _ignore_case,
    "exists": _exists,
    "numeric": _numeric,
    "cidr": _cidr,
    "wildcard": _wildcard,
    "anything-but": _anything_but,
}

OPERATORS = frozenset(_BUILDERS)
"""The names of the comparisons, which may not be field names inside ``$or``."""
