"""Batches of writes: as many ids to a call as AWS takes, and each id alone where one of them spoils the call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bulwark.shell.aws import AWS_ERRORS, error_code, explain
from bulwark.shell.observe import chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REFUSALS = frozenset(
    {
        "InvalidParameterException", "ClientException", "TargetNotFoundException", "ValidationError", "AttributeLimitExceededException",
        "InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed",
    }
)  # fmt: skip
"""Codes by which one entry spoils a whole call: then each is tried alone. Not throttling: that would be ten times the load."""

Errors = dict[str, str]
"""What went wrong, by the id it went wrong for."""


def each_or_alone(ids: list[str], size: int, call: Callable[[list[str]], Errors]) -> Errors:
    """``call`` with at most ``size`` ids at a time; where AWS refuses the lot for one of them, each alone."""
    errors: Errors = {}
    for some in chunks(ids, size):
        try:
            errors |= call(some)
        except AWS_ERRORS as error:
            if len(some) > 1 and error_code(error) in REFUSALS:
                errors |= each_or_alone(some, 1, call)
            else:
                errors |= dict.fromkeys(some, explain(error))
    return errors


def already(error: Exception, signs: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether an error says that what was asked for has already come about: a code, and what its message then holds."""
    texts = signs.get(error_code(error))
    return texts is not None and any(text.lower() in str(error).lower() for text in texts)
