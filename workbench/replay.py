"""Replays events: each wakes the functions whose rules match it, on one account, in the order given."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from workbench.events import InputError, unmatched
from workbench.template import Rule, rules_for
from workbench.view import View, ViewError
from workbench.wake import Handlers

Mode = Literal["observe", "act"]
EventFile = tuple[str, Mapping[str, Any]]
"""The name of a file, and the event read from it."""

DONE, FAILED, BAD_INPUT = 0, 1, 2

MAX_SETTLE = 86_400
"""Seconds: a day of the account's life after one event is more than any of its delays."""


class World(Protocol):
    """An account to replay on: the embedded one, or the one of the ambient credentials."""

    @property
    def now(self) -> datetime:
        """The account's own time, UTC."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables that functions get here whatever the template says: ``BULWARK_TABLE`` and the like."""
        ...

    def happen(self, event: Mapping[str, Any]) -> None:
        """Make true what the event says has happened; where it has happened anyway, do nothing. Never raises."""
        ...

    def settle(self, seconds: float) -> None:
        """Let the account live for so many seconds of its own time; where time passes by itself, do nothing."""
        ...

    def view(self, decided: frozenset[str] | None) -> View | None:
        """The clusters as they are. ``decided``: those decided on, None before anything was; None back: not to be had."""
        ...


@dataclass(frozen=True, slots=True)
class Replayed:
    """What one event came to. ``problem``: the line for stderr if the input was bad."""

    file: str
    detail_type: str
    rules: tuple[Rule, ...]
    decisions: tuple[Mapping[str, Any], ...] = ()
    error: str | None = None
    problem: str | None = None

    @property
    def functions(self) -> list[str]:
        """The stems of the functions that were woken, each once, in the order of their rules."""
        return list(dict.fromkeys(rule.function.stem for rule in self.rules))

    @property
    def failed(self) -> bool:
        """Whether a function failed, or an action of its plan did."""
        return self.error is not None or any(o["status"] == "failed" for d in self.decisions for o in d["outcomes"])

    def document(self) -> dict[str, Any]:
        """The event's entry in the JSON document."""
        return {
            "file": self.file,
            "detail_type": self.detail_type,
            "functions": self.functions,
            "error": self.error,
            "decisions": list(self.decisions),
        }


@dataclass(frozen=True, slots=True)
class Replay:
    """A whole run. ``before`` is None where the account could not be looked at before it was known which clusters matter.

    ``unseen``: why ``after`` is empty, if the account could not be read in the end; what was decided and done still counts.
    """

    events: tuple[Replayed, ...]
    before: View | None
    after: View = field(default_factory=lambda: {"clusters": {}})
    unseen: str | None = None

    @property
    def exit_code(self) -> int:
        """2 if an event was bad input, else 1 if anything failed, else 0."""
        if any(event.problem for event in self.events):
            return BAD_INPUT
        return FAILED if self.unseen or any(event.failed for event in self.events) else DONE

    def document(self) -> dict[str, Any]:
        """What ``replay --json`` prints."""
        return {"events": [event.document() for event in self.events], "after": self.after}


def replay(
    world: World,
    rules: tuple[Rule, ...],
    events: Sequence[EventFile],
    *,
    mode: Mode,
    settle: float = 60,
    keep_time: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Replay:
    """Wake functions with the events, ``settle`` seconds of the account's life after each. ``progress`` hears what is going on.

    What an event says has happened is made true of the account before the functions look at it.

    An event's time becomes the account's now, as if it had just been sent, unless ``keep_time``.
    """
    handlers = Handlers({**world.environment, "BULWARK_MODE": mode})
    before = world.view(None)
    replayed: list[Replayed] = []
    for file, event in events:
        progress(f"{event['detail-type']} wakes its functions")
        sent = event if keep_time else _sent_now(event, world.now)
        world.happen(sent)
        replayed.append(_wake(handlers, rules, file, sent, world.now))
        progress(f"the account lives for {settle:g} s")
        world.settle(settle)
    progress("looking at the account")
    decided = frozenset(str(d["cluster"]) for event in replayed for d in event.decisions if d["cluster"] is not None)
    try:
        return Replay(tuple(replayed), before, world.view(decided) or {"clusters": {}})
    except ViewError as error:
        return Replay(tuple(replayed), before, unseen=str(error))


def _wake(handlers: Handlers, rules: tuple[Rule, ...], file: str, event: Mapping[str, Any], now: datetime) -> Replayed:
    """Wake every function that a rule leads to, one after the other; EventBridge delivers once per rule that matches."""
    matching = tuple(rules_for(rules, event))
    if not matching:
        return Replayed(file, event["detail-type"], (), problem=unmatched(file, event))
    woken = [handlers.wake(rule, event, now) for rule in matching]
    errors = list(dict.fromkeys(answer.error for answer in woken if answer.error))
    error = "; ".join(errors) or None
    problem = f"{file}: {error}" if any(answer.bad_event for answer in woken) else None
    decisions = tuple(decision for answer in woken for decision in answer.decisions)
    return Replayed(file, event["detail-type"], matching, decisions, error, problem)


def _sent_now(event: Mapping[str, Any], now: datetime) -> Mapping[str, Any]:
    """The event, sent at ``now``. A time that is none is left alone: the function is to say so."""
    try:
        datetime.fromisoformat(event["time"])
    except (KeyError, TypeError, ValueError):
        return event
    return {**event, "time": f"{now:%Y-%m-%dT%H:%M:%SZ}"}


def check_settle(seconds: float) -> float:
    """``--settle`` as given, or InputError if no account can live that long. At most a day, in seconds."""
    if not math.isfinite(seconds) or not 0 <= seconds <= MAX_SETTLE:
        raise InputError(f"--settle: {seconds:g}: give seconds from 0 to {MAX_SETTLE}")
    return seconds
