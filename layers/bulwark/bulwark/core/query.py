"""ECS's cluster query language: which container instances an expression means.

The grammar and the operators are those of the ECS developer guide, "Cluster query language", with every spelling it
lists. What the guide leaves open is read like this: ``=~`` must match the whole value (``t3.*`` is meant to match
``t3.large``), a comparison with an attribute that the instance lacks is false, and so its negation is true.
"""

import operator as op
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NoReturn, Protocol

MAX_DEPTH = 50
"""Parentheses and negations deeper than this are refused, so that no expression can exhaust the stack."""


class QueryError(ValueError):
    """An expression is not in the language. The text says what is wrong, and at which character."""


class Subject(Protocol):
    """What an expression may ask of a container instance."""

    @property
    def attributes(self) -> Mapping[str, str | None]:
        """Attribute names and their values, built-in and custom."""

    @property
    def ec2_id(self) -> str:
        """The EC2 instance id."""

    @property
    def agent_connected(self) -> bool:
        """Whether the agent is connected."""

    @property
    def agent_version(self) -> str | None:
        """The agent's version, as ``1.106.1``; None if ECS does not know it."""

    @property
    def registered_at(self) -> datetime | None:
        """When the instance registered; None if that was not read."""

    @property
    def running(self) -> int:
        """Tasks in RUNNING."""

    @property
    def groups(self) -> Mapping[str, int]:
        """Task groups (``service:NAME``, ``family:NAME``) on the instance, with their number of tasks."""


Test = Callable[[Subject], bool]

_COMPARE = {
    "==": "==", "equals": "==", "!=": "!=", "not_equals": "!=", ">": ">", "greater_than": ">", ">=": ">=",
    "greater_than_equal": ">=", "<": "<", "less_than": "<", "<=": "<=", "less_than_equal": "<=", "exists": "exists",
    "!exists": "!exists", "not_exists": "!exists", "in": "in", "!in": "!in", "not_in": "!in", "=~": "=~",
    "matches": "=~", "!~": "!~", "not_matches": "!~",
}  # fmt: skip
_NEGATED = {"!=": "==", "!exists": "exists", "!in": "in", "!~": "=~"}
_ORDER: dict[str, Callable[[Any, Any], bool]] = {"==": op.eq, ">": op.gt, ">=": op.ge, "<": op.lt, "<=": op.le}
_PLAIN_SUBJECTS = ("agentConnected", "agentVersion", "ec2InstanceId", "registeredAt", "runningTasksCount", "task:group")
_TOKEN = re.compile(
    r"\s*(?:(?P<op>==|!=|>=|<=|=~|!~|&&|\|\||!exists\b|!in\b|[><!()\[\],])|'(?P<single>[^']*)'|\"(?P<double>[^\"]*)\""
    r"|(?P<word>[^\s()\[\],=!<>&|'\"]+))"
)
_BARE_PATTERN = re.compile(r"\s*(?P<pattern>(?:\((?:[^()\s])*\)|[^\s()])+)")


@dataclass(frozen=True, slots=True)
class _Token:
    """One word of an expression; ``quoted`` words are never operators. ``at`` counts characters from 0."""

    text: str
    at: int
    end: int
    quoted: bool = False
    symbol: bool = False


def matches(expression: str, subject: Subject) -> bool:
    """Whether the instance is one the expression means. Raises QueryError if the expression is not in the language."""
    return parse(expression)(subject)


@lru_cache(maxsize=256)
def parse(expression: str) -> Test:
    """The expression as a test of one instance. Raises QueryError. Parsing is remembered, as one filter meets many instances."""
    parser = _Parser(expression)
    test = parser.either(0)
    if (extra := parser.peek()) is not None:
        parser.fail(f"unexpected {extra.text!r}", extra.at)
    return test


class _Parser:
    """Recursive descent: or, and, not, comparison, in rising order of binding."""

    def __init__(self, text: str) -> None:
        """Start at the first character of ``text``."""
        self._text = text
        self._at = 0

    def fail(self, what: str, at: int | None = None) -> NoReturn:
        """Raise QueryError saying what is wrong and where."""
        raise QueryError(f"{what} at character {(self._at if at is None else at) + 1} of {self._text!r}")

    def peek(self) -> _Token | None:
        """The next token, not consumed; None at the end."""
        if not self._text[self._at :].strip():
            return None
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            self.fail(f"cannot read {self._text[self._at :].strip()[:20]!r}")
        kind = found.lastgroup or ""
        quoted = kind in ("single", "double")
        return _Token(found[kind], found.start(kind), found.end(), quoted, kind == "op")

    def take(self, expected: str) -> _Token:
        """The next token, consumed. ``expected`` names what should stand here, for the error at the end of the text."""
        token = self.peek()
        if token is None:
            self.fail(f"{expected} expected", len(self._text))
        self._at = token.end
        return token

    def accept(self, *spellings: str) -> bool:
        """Consume the next token if it is one of these, unquoted."""
        token = self.peek()
        if token is None or token.quoted or token.text not in spellings:
            return False
        self._at = token.end
        return True

    def either(self, depth: int) -> Test:
        """One or more ``and`` chains joined by ``or``."""
        options = [self._both(depth)]
        while self.accept("or", "||"):
            options.append(self._both(depth))
        return options[0] if len(options) == 1 else lambda subject: any(test(subject) for test in options)

    def _both(self, depth: int) -> Test:
        """One or more terms joined by ``and``."""
        terms = [self._term(depth)]
        while self.accept("and", "&&"):
            terms.append(self._term(depth))
        return terms[0] if len(terms) == 1 else lambda subject: all(test(subject) for test in terms)

    def _term(self, depth: int) -> Test:
        """A negation, something in parentheses, or a comparison."""
        if depth > MAX_DEPTH:
            self.fail(f"more than {MAX_DEPTH} levels of nesting")
        if self.accept("not", "!"):
            inner = self._term(depth + 1)
            return lambda subject: not inner(subject)
        if self.accept("("):
            inner = self.either(depth + 1)
            if not self.accept(")"):
                self.fail("')' expected")
            return inner
        return self._comparison()

    def _comparison(self) -> Test:
        """``subject operator [argument]``."""
        subject = self.take("a subject such as attribute:NAME")
        if subject.symbol or not (subject.text in _PLAIN_SUBJECTS or subject.text.removeprefix("attribute:") not in ("", subject.text)):
            self.fail(f"{subject.text!r} is no subject; use attribute:NAME or one of {', '.join(_PLAIN_SUBJECTS)}", subject.at)
        written = self.take("an operator such as ==")
        operator = _COMPARE.get(written.text)
        if operator is None or written.quoted:
            self.fail(f"{written.text!r} is no operator", written.at)
        arguments = self._arguments(operator)
        positive = _NEGATED.get(operator)
        try:
            test = _comparison(subject.text, positive or operator, arguments)
        except ValueError as wrong:
            self.fail(str(wrong), subject.at)
        return (lambda instance: not test(instance)) if positive else test

    def _arguments(self, operator: str) -> tuple[str, ...]:
        """What stands after the operator: nothing, one value, a pattern, or a list."""
        if operator in ("exists", "!exists"):
            return ()
        if operator in ("=~", "!~"):
            return (self._pattern(),)
        if operator in ("in", "!in"):
            return self._list()
        return (self._value().text,)

    def _value(self) -> _Token:
        """One word, bare or in quotes."""
        token = self.take("a value")
        if token.symbol:
            self.fail(f"a value expected, not {token.text!r}", token.at)
        return token

    def _pattern(self) -> str:
        """A regular expression: in quotes, or bare up to the next blank or unmatched parenthesis."""
        rest = self._text[self._at :].lstrip()
        if rest[:1] in ("'", '"'):
            return self._value().text
        found = _BARE_PATTERN.match(self._text, self._at)
        if found is None:
            self.fail("a regular expression expected")
        self._at = found.end()
        return found["pattern"]

    def _list(self) -> tuple[str, ...]:
        """``[a, 'b']``."""
        if not self.accept("["):
            self.fail("'[' expected")
        values = [self._value().text]
        while self.accept(","):
            values.append(self._value().text)
        if not self.accept("]"):
            self.fail("']' expected")
        return tuple(values)


def _comparison(subject: str, operator: str, arguments: tuple[str, ...]) -> Test:
    """The test for one positive comparison. Raises ValueError if the argument does not suit the subject."""
    if subject.startswith("attribute:"):
        name = subject.removeprefix("attribute:")
        if operator == "exists":
            return lambda instance: name in instance.attributes
        return _on_text(operator, arguments, lambda instance: _texts(instance.attributes.get(name)))
    if operator == "exists":
        read = _TEXTS.get(subject) or _ORDERED[subject][1]
        return lambda instance: bool(read(instance))
    if subject in _ORDERED:
        key, value = _ORDERED[subject]
        return _on_order(operator, arguments, key, value)
    if subject == "agentConnected" and (operator not in ("==", "in") or not {"true", "false"}.issuperset(arguments)):
        raise ValueError("agentConnected is compared by == or in with true or false")
    return _on_text(operator, arguments, _TEXTS[subject])


def _texts(value: str | None) -> tuple[str, ...]:
    """The values a comparison may meet: none for an attribute that is absent or has no value."""
    return () if value is None else (value,)


def _on_text(operator: str, arguments: tuple[str, ...], values: Callable[[Subject], tuple[str, ...]]) -> Test:
    """Compare text, and by number where both sides of an ordering are numbers. True if any of the values satisfies it."""
    if operator in ("==", "in"):
        wanted = frozenset(arguments)
        return lambda instance: not wanted.isdisjoint(values(instance))
    if operator == "=~":
        try:
            pattern = re.compile(arguments[0])
        except re.error as wrong:
            raise ValueError(f"{arguments[0]!r} is no regular expression ({wrong})") from wrong
        return lambda instance: any(pattern.fullmatch(value) for value in values(instance))
    stands = _ORDER[operator]
    return lambda instance: any(stands(*_alike(value, arguments[0])) for value in values(instance))


def _on_order(operator: str, arguments: tuple[str, ...], key: Callable[[str], Any], value: Callable[[Subject], str | None]) -> Test:
    """Compare by ``key``, the value's own order. An unknown value satisfies nothing."""
    if operator == "=~":
        return _on_text(operator, arguments, lambda instance: _texts(value(instance)))
    wanted = [key(argument) for argument in arguments]
    stands = _ORDER["==" if operator == "in" else operator]

    def test(instance: Subject) -> bool:
        """Whether the instance's value stands so to any of the wanted ones."""
        seen = value(instance)
        try:
            own = None if seen is None else key(seen)
        except ValueError:
            return False
        return own is not None and any(stands(own, one) for one in wanted)

    return test


def _alike(left: str, right: str) -> tuple[Any, Any]:
    """Both as numbers if both are, otherwise both as text."""
    try:
        return float(left), float(right)
    except ValueError:
        return left, right


def _moment(text: str) -> datetime:
    """An ISO 8601 moment; UTC unless it says otherwise. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def version_key(version: str) -> tuple[int, ...]:
    """An agent version as numbers: 1.106.1 is newer than 1.99.0, which as text it is not. Raises ValueError if it is none."""
    numbers = version.removeprefix("v").split(".")
    if not all(number.isdigit() and number.isascii() for number in numbers):
        raise ValueError(f"{version!r} is no agent version such as 1.106.1")
    return tuple(int(number) for number in numbers)


_TEXTS: Mapping[str, Callable[[Subject], tuple[str, ...]]] = {
    "agentConnected": lambda instance: ("true" if instance.agent_connected else "false",),
    "ec2InstanceId": lambda instance: (instance.ec2_id,),
    "task:group": lambda instance: tuple(instance.groups),
}
"""Subjects compared as text, with how to read them."""

_ORDERED: Mapping[str, tuple[Callable[[str], Any], Callable[[Subject], str | None]]] = {
    "agentVersion": (version_key, lambda instance: instance.agent_version),
    "registeredAt": (_moment, lambda instance: instance.registered_at.isoformat() if instance.registered_at else None),
    "runningTasksCount": (int, lambda instance: str(instance.running)),
}
"""Subjects with an order of their own: what makes a text comparable, and how to read them."""
