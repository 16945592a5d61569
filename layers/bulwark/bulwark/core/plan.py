"""What we want: actions, each with its reason, and findings: what was learned or declined, with its evidence."""

from dataclasses import dataclass
from typing import Literal

from bulwark.core.cluster import DrainMark


@dataclass(frozen=True, slots=True)
class DrainInstance:
    """Set every ACTIVE registration of an EC2 instance to DRAINING and mark it with cause, since and deadline."""

    target: str
    cluster: str
    arns: tuple[str, ...]
    mark: DrainMark
    reason: str


@dataclass(frozen=True, slots=True)
class ReplaceInstance:
    """Take the instance out of its group without lowering desired, so that the group launches another at once."""

    target: str
    group: str
    reason: str


Action = DrainInstance | ReplaceInstance
"""Every intended write: a closed union, matched with ``assert_never``."""


def kind(action: Action) -> str:
    """The action's name, as it appears in reports: ``DrainInstance``."""
    return type(action).__name__


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing learned or declined. ``code`` is stable; ``subject`` is the id a person would paste into the console."""

    code: str
    subject: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a decision comes to. An empty plan with a finding is 'did nothing because ...'."""

    actions: tuple[Action, ...] = ()
    findings: tuple[Finding, ...] = ()

    def __add__(self, other: "Plan") -> "Plan":
        """Both plans, in order."""
        return Plan(self.actions + other.actions, self.findings + other.findings)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one action. ``error`` is one line, and None unless the status is ``failed`` or ``skipped`` for a cause."""

    action: Action
    status: Literal["done", "skipped", "failed"]
    error: str | None = None
