"""Every AWS request of the code under measurement, in order and with its time, taken from botocore's own events."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import botocore.handlers

SERVICES = {"auto-scaling": "autoscaling"}
"""botocore's event names that differ from the service names of IAM."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request. ``at``: seconds on the clock the recorder was given. ``goal``: the watched state held after it."""

    operation: str
    at: float
    goal: bool = False


class Recorder:
    """Records while ``recording()`` is entered. It hears clients of sessions that were made within ``installed()``.

    ``clock`` returns seconds; ``watch`` is asked after each call whether what is waited for has come true, and its own AWS calls
    are not recorded. A request that botocore sends again is recorded again: AWS counts it too.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter, watch: Callable[[], bool] | None = None) -> None:
        """Start empty."""
        self.calls: list[Call] = []
        self.clock = clock
        self.watch = watch
        self._on = False

    @contextlib.contextmanager
    def installed(self) -> Iterator["Recorder"]:
        """Hook into every session made within: botocore hands its hooks to a session when that is made."""
        hooks = [("request-created", self._created), ("after-call", self._answered)]
        # First in line: the in-memory account answers requests from a hook of its own, which ends the round.
        botocore.handlers.BUILTIN_HANDLERS[:0] = hooks
        try:
            yield self
        finally:
            for hook in hooks:
                botocore.handlers.BUILTIN_HANDLERS.remove(hook)

    @contextlib.contextmanager
    def recording(self) -> Iterator[list[Call]]:
        """Record into a fresh list, which is also ``calls``."""
        self.calls = []
        self._on = True
        try:
            yield self.calls
        finally:
            self._on = False

    def _created(self, event_name: str, **_: Any) -> None:
        """A request is about to be sent: ``request-created.<service>.<Operation>``."""
        if self._on:
            service, operation = event_name.split(".")[1:]
            self.calls.append(Call(f"{SERVICES.get(service, service)}:{operation}", self.clock()))

    def _answered(self, **_: Any) -> None:
        """A call came back: see whether what is waited for holds now."""
        if self._on and self.watch is not None and self.calls:
            self._on = False
            try:
                self.calls[-1] = Call(self.calls[-1].operation, self.calls[-1].at, goal=self.watch())
            finally:
                self._on = True


def per_operation(calls: list[Call]) -> dict[str, int]:
    """How many of each, by name."""
    return dict(sorted(Counter(call.operation for call in calls).items()))


def first_goal(calls: list[Call]) -> int | None:
    """The number, counted from one, of the call after which the watched state held; None if it never did."""
    return next((number for number, call in enumerate(calls, 1) if call.goal), None)
