"""Reads plain data, as YAML gives it, into frozen dataclasses: the fields and their types are the schema.

Every refusal names the field by its path (``clusters[0].groups[1].desired``), says what is wrong and what would be right.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, field, fields, is_dataclass
from datetime import UTC, date, datetime
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

LISTED, QUOTED = 20, 40
"""How many valid names, and how long a value, an error message shows."""

_PLAIN = {int: "a whole number", str: "text", bool: "true or false"}


class ScenarioError(ValueError):
    """A scenario that cannot be used. The message is one line: file, field, what is wrong and the fix."""


def required() -> Any:
    """A field that has no default: a mapping without it is refused."""
    return field(metadata={"required": True})


def at_least(least: int, default: int | None, *, most: int | None = None) -> Any:
    """A whole number of ``least`` or more, and ``most`` or less."""
    return field(default=default, metadata={"least": least, "most": most})


def pattern(expression: str, default: str | None, meaning: str) -> Any:
    """Text that matches the regular expression as a whole; ``meaning`` says so in words."""
    return field(default=default, metadata={"pattern": expression, "meaning": meaning})


def nearest(name: str, valid: Iterable[str]) -> str:
    """The valid name most like ``name``, as a question, or all of them if none is like it."""
    known = sorted(valid)
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"valid: {', '.join(known[:LISTED])}" + (", ..." if len(known) > LISTED else "")


def read_mapping(kind: type[T], data: object, where: str) -> T:
    """A ``kind`` (a dataclass) from the mapping ``data`` found at the path ``where``; ScenarioError if it does not fit."""
    if not isinstance(data, Mapping):
        raise _error(where, f"is {_name(data)}, not a mapping; write it as `field: value` lines")
    schema = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    hints = get_type_hints(kind)
    for key in data:
        if key not in schema:
            raise _error(_join(where, str(key)), f"is no field here; {nearest(str(key), schema)}")
    for name, spec in schema.items():
        if name not in data and spec.default is MISSING and spec.default_factory is MISSING:
            raise _error(_join(where, name), "is missing; add it")
    values = {str(key): _read(hints[str(key)], value, _join(where, str(key))) for key, value in data.items()}
    for name, value in values.items():
        _check(schema[name], value, _join(where, name))
    return kind(**values)


def _read(kind: Any, value: object, where: str) -> Any:
    """``value`` as the type ``kind`` says."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return None if value is None else _read(next(a for a in args if a is not NoneType), value, where)
    if origin is Literal:
        return _read_choice(args, value, where)
    if origin in (tuple, frozenset):
        if not isinstance(value, list):
            raise _error(where, f"is {_name(value)}, not a list; write it as [a, b] or `- a` lines")
        return origin(_read(args[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    if origin is Mapping:
        if not isinstance(value, dict) or not all(isinstance(k, str) for k in value):
            raise _error(where, f"is {_name(value)}, not a mapping of names; write it as {{name: value}}")
        return {k: v if args[1] is object else _read(args[1], v, _join(where, k)) for k, v in value.items()}
    if isinstance(kind, type) and is_dataclass(kind):
        return read_mapping(kind, value, where)
    return _read_moment(value, where) if kind is datetime else _read_plain(kind, value, where)


def _read_choice(choices: tuple[Any, ...], value: object, where: str) -> Any:
    """``value`` if it is one of the choices."""
    if value not in choices:
        raise _error(where, f"is {value!r}; {nearest(str(value), choices)}")
    return value


def _read_plain(kind: type, value: object, where: str) -> Any:
    """A number, a text or a truth value; a truth value is no number."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        quote = "; put it in quotes" if kind is str else ""
        raise _error(where, f"is {_name(value)}, not {_PLAIN[kind]}{quote or '; correct it'}")
    return value


def _read_moment(value: object, where: str) -> datetime:
    """A moment in UTC: YAML's own timestamp, or ISO 8601 text."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        moment = None
    if not isinstance(moment, datetime):
        kind = "a day without a time" if isinstance(moment, date) else repr(value)
        raise _error(where, f"is {kind}, not a moment; write it as 2026-11-24T03:00:00Z")
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _check(spec: Field[Any], value: Any, where: str) -> None:
    """Hold a value against the bounds and the pattern of its field."""
    if value is None:
        return
    least, most = spec.metadata.get("least"), spec.metadata.get("most")
    if least is not None and value < least:
        raise _error(where, f"is {value}; it must be {least} or more")
    if most is not None and value > most:
        raise _error(where, f"is {value}; it must be {most} or less")
    if "pattern" in spec.metadata and not re.fullmatch(spec.metadata["pattern"], value):
        raise _error(where, f"is {value!r}; write {spec.metadata['meaning']}")


def _name(value: object) -> str:
    """What a value is, in words, with the value where it is short."""
    if value is None:
        return "empty"
    kinds = {bool: "a truth value", dict: "a mapping", list: "a list", str: "text", int: "a number", float: "a number"}
    kind, text = kinds.get(type(value), type(value).__name__), repr(value)
    return f"{kind} ({text})" if len(text) <= QUOTED else kind


def _join(where: str, name: str) -> str:
    """The path of the field ``name`` under ``where``."""
    return f"{where}.{name}" if where else name


def _error(where: str, problem: str) -> ScenarioError:
    """The error about the field at ``where``; the top of the file has no path."""
    return ScenarioError(f"{where}: {problem}" if where else f"the file {problem}")
