"""IAM's decision, as far as the template's policies need it: would this role be allowed this request?

Only what is used is known, and anything else is an error: a condition operator that nobody checks would pass every test.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from operator import eq
from typing import Any

from tests.template.translated import Stack

ARN_PARTS = 6


@dataclass(frozen=True, slots=True)
class Request:
    """One thing AWS asks IAM about. A call on several resources makes several.

    ``context`` holds condition keys: a text, or several for a key that can have several values (``aws:TagKeys``).
    """

    action: str
    resource: str
    context: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)

    def without(self, prefix: str) -> "Request":
        """The same, but for the condition keys that begin with ``prefix``."""
        return replace(self, context={key: value for key, value in self.context.items() if not key.startswith(prefix)})


@dataclass(frozen=True, slots=True)
class Statement:
    """One Allow of a role's policies. ``conditions``: key and accepted values by operator."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)

    def allows(self, request: Request) -> bool:
        """Whether this statement grants ``request``. NotImplementedError for an operator not known here."""
        return (
            any(like(request.action.lower(), action.lower()) for action in self.actions)
            and any(like(request.resource, resource) for resource in self.resources)
            and all(
                _holds(operator, request.context.get(key), values)
                for operator, keys in self.conditions.items()
                for key, values in keys.items()
            )
        )

    def narrower(self) -> Iterator["Statement"]:
        """This statement with one action or one resource less, each in turn."""
        for action in self.actions:
            yield replace(self, actions=tuple(a for a in self.actions if a != action))
        for resource in self.resources:
            yield replace(self, resources=tuple(r for r in self.resources if r != resource))


def statements(stack: Stack, role: str) -> tuple[Statement, ...]:
    """Everything the role of that logical id may do. ValueError for a Deny, a managed policy or a Not-element: not known here."""
    properties = stack.resources("AWS::IAM::Role")[role]
    if "ManagedPolicyArns" in properties:
        raise ValueError(f"{role}: managed policies are wider than they need to be")
    return tuple(_statement(role, node) for policy in properties["Policies"] for node in policy["PolicyDocument"]["Statement"])


def denied(granted: Iterable[Statement], requests: Iterable[Request]) -> list[Request]:
    """Those of ``requests`` that no statement allows."""
    everything = tuple(granted)
    return [request for request in requests if not any(statement.allows(request) for statement in everything)]


LAMBDA_ITSELF = frozenset(
    {"logs:CreateLogStream", "logs:PutLogEvents", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
)
"""What Lambda does in a role's name, around the handler: writing its log, and reading its queue."""


def unneeded(granted: tuple[Statement, ...], requests: list[Request]) -> Iterator[str]:
    """What can be taken from a role, one action or one resource at a time, without any of ``requests`` being denied for it."""
    for index, statement in enumerate(granted):
        if LAMBDA_ITSELF.issuperset(statement.actions):
            continue
        affected = [request for request in requests if statement.allows(request)]
        for less in statement.narrower():
            if not denied((*granted[:index], less, *granted[index + 1 :]), affected):
                yield f"{statement.sid}: {sorted({*statement.actions, *statement.resources} - {*less.actions, *less.resources})}"


def like(value: str, pattern: str) -> bool:
    """IAM's wildcards: ``*`` for any characters, slashes and colons too, and ``?`` for one."""
    return _expression(pattern).fullmatch(value) is not None


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    """A pattern of IAM's as a regular expression."""
    return re.compile("".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern), re.DOTALL)


def arn_like(value: str, pattern: str) -> bool:
    """ArnLike: each of the six parts of an ARN by itself, so that no wildcard reaches over a colon into the next."""
    ours, theirs = value.split(":", ARN_PARTS - 1), pattern.split(":", ARN_PARTS - 1)
    return len(ours) == len(theirs) == ARN_PARTS and all(map(like, ours, theirs))


_OPERATORS: Mapping[str, Callable[[str, str], bool]] = {"StringEquals": eq, "StringLike": like, "ArnLike": arn_like, "ArnEquals": arn_like}
"""What each operator asks of a value and one accepted pattern. All of them may end in IfExists, or follow ForAllValues."""


def _holds(operator: str, value: str | tuple[str, ...] | None, accepted: tuple[str, ...]) -> bool:
    """One key under one operator. A key that the request lacks satisfies nothing but Null, ForAllValues and ...IfExists."""
    values = () if value is None else (value,) if isinstance(value, str) else value
    if operator == "Null":
        return str(not values).lower() in accepted
    every, _, plain = operator.rpartition(":")
    test = _OPERATORS.get(plain.removesuffix("IfExists"))
    if test is None or every not in ("", "ForAllValues"):
        raise NotImplementedError(f"condition operator {operator}: teach tests/template/iam.py what it means")
    if not every and isinstance(value, tuple):
        raise NotImplementedError(f"condition operator {operator} on a key with several values: say ForAllValues, or teach iam.py")
    if not every and not values:
        return plain.endswith("IfExists")
    return all(any(test(one, pattern) for pattern in accepted) for one in values)


def _statement(role: str, node: Mapping[str, Any]) -> Statement:
    """One statement of a policy document."""
    strange = set(node) - {"Sid", "Effect", "Action", "Resource", "Condition"}
    if strange or node["Effect"] != "Allow":
        raise ValueError(f"{role}: {node.get('Sid')}: {sorted(strange) or node['Effect']}: only plain Allow is known here")
    conditions = {o: {k: _many(v) for k, v in keys.items()} for o, keys in node.get("Condition", {}).items()}
    return Statement(node.get("Sid", ""), _many(node["Action"]), _many(node["Resource"]), conditions)


def _many(value: str | list[str]) -> tuple[str, ...]:
    """A string or a list of them, as a tuple."""
    return (value,) if isinstance(value, str) else tuple(value)
