"""What can go wrong between the function and AWS: refused, throttled, half answered, answered and lost, or dead between two calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ReadTimeoutError

from tests.fakes import an_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Fault = Literal["throttled", "refused", "broken", "partial", "lost", "died", "overtaken"]
FAULTS: tuple[Fault, ...] = ("throttled", "refused", "broken", "partial", "lost", "died")
"""``partial``: performed for all but the first, which the answer names in ``failures``. ``lost``: performed, and no answer came.

``overtaken`` is none of these: another invocation does all of its work just before the call.
"""

CODES = {"throttled": "ThrottlingException", "refused": "AccessDeniedException", "broken": "ServerException"}


class Died(BaseException):
    """The function was killed. No handler of the code can catch it."""


@dataclass(slots=True)
class Faults:
    """What goes wrong with which call of one delivery, counted from 0, or with every call of an operation (``PutAttributes``)."""

    at: Mapping[int, Fault] = field(default_factory=dict)
    on: Mapping[str, Fault] = field(default_factory=dict)
    calls: int = 0
    meanwhile: Callable[[], Any] = lambda: None
    fired: int = 0
    dead: bool = False

    def perform(self, operation: str, ids: list[Any] | None, call: Callable[[list[Any]], dict[str, Any]]) -> dict[str, Any]:
        """Perform one call for the ids it is about, with what goes wrong with it."""
        if self.dead:
            raise Died(operation)
        fault = self.at.get(self.calls) or self.on.get(operation)
        self.calls += 1
        some = ids or []
        if fault is None:
            return call(some)
        if fault == "overtaken":
            self.meanwhile()
            return call(some)
        self.fired += 1
        if fault == "died":
            self.dead = True
            raise Died(operation)
        if fault == "lost":
            call(some)
            raise ReadTimeoutError(endpoint_url=operation)
        if fault == "partial" and some and operation in NAMES_FAILURES:
            answer = call(some[1:])
            return answer | {"failures": [*answer.get("failures", ()), {"arn": some[0], "reason": "INTERNAL"}]}
        raise an_error(CODES.get(fault, "ThrottlingException"), operation)


NAMES_FAILURES = frozenset(
    {
        "DescribeContainerInstances",
        "UpdateContainerInstancesState",
        "DescribeTasks",
        "DescribeServices",
        "DescribeCapacityProviders",
        "GetTaskProtection",
    }
)
"""Operations that answer with ``failures``."""
