"""A cluster's decision, sorted by the drains it is about: what is left on each, what holds it, what happens to it next."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bulwark.core.cluster import Cluster, ContainerInstance, DrainMark, Task
from bulwark.core.draining import OVER
from bulwark.core.draining_ends import emptiness, is_daemon
from bulwark.core.draining_marks import VOLUNTARY, clock, deadline_of, drains, mark_on, strongest
from bulwark.core.plan import (
    Action,
    DrainInstance,
    Finding,
    MarkInstance,
    Plan,
    RaiseMaxPercent,
    ReactivateInstance,
    UnmarkInstance,
    kind,
)
from bulwark.core.policies import Policy

WAIT = "Wait"
"""The kind of a step that is no action: why nothing is done."""

TURN = "drain-waits"
"""The finding that says why a voluntary drain has not begun."""

TURNS = (DrainInstance, MarkInstance, ReactivateInstance, UnmarkInstance)
"""Actions after which an instance no longer waits for its turn as it did."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that the next sweep would do, or, if its kind is ``Wait``, why it would do nothing."""

    kind: str
    target: str
    reason: str

    def document(self) -> dict[str, str]:
        """The step as JSON has it."""
        return {"kind": self.kind, "target": self.target, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Left:
    """One task that still holds its place on an instance. A ``daemon``'s does not keep the drain from ending."""

    task: Task
    daemon: bool

    def document(self) -> dict[str, Any]:
        """The task as JSON has it."""
        return {"task": self.task.id, "group": self.task.group, "status": self.task.last_status, "daemon": self.daemon}


@dataclass(frozen=True, slots=True)
class Drain:
    """One instance's drain. ``left``: the tasks on it; None if they were not looked at."""

    instance: str
    group: str | None
    draining: bool
    mark: DrainMark
    deadline: datetime
    left: tuple[Left, ...] | None
    blockers: tuple[Finding, ...]
    steps: tuple[Step, ...]

    def document(self) -> dict[str, Any]:
        """The drain's entry in the JSON document."""
        return {
            "instance": self.instance,
            "group": self.group,
            "state": "draining" if self.draining else "waiting",
            "cause": self.mark.cause,
            "since": f"{self.mark.since:%Y-%m-%dT%H:%M:%SZ}",
            "deadline": f"{self.deadline:%Y-%m-%dT%H:%M:%SZ}",
            "hook": self.mark.hook is not None,
            "left": None if self.left is None else [left.document() for left in self.left],
            "blockers": findings_document(self.blockers),
            "next": [step.document() for step in self.steps],
        }


def findings_document(findings: Iterable[Finding]) -> list[dict[str, str]]:
    """Findings as JSON has them."""
    return [{"code": f.code, "subject": f.subject, "message": f.message} for f in findings]


def steps_of(actions: Iterable[Action]) -> tuple[Step, ...]:
    """Actions as steps, each once: a sweep that writes nothing can come to the same action twice, by two ways."""
    return tuple({(kind(a), a.target): Step(kind(a), a.target, a.reason) for a in reversed(tuple(actions))}.values())[::-1]


def drains_in(cluster: Cluster, plan: Plan, policy: Policy | None = None) -> tuple[tuple[Drain, ...], Plan]:
    """Every drain in progress, the next to end first, and what ``plan`` says of anything else.

    ``cluster`` is as it was seen, before any of ``plan``. An instance that ``plan`` is going to drain counts as well. ``policy``
    (default: the defaults) says how long a hook may hold.
    """
    begun = {a.target: cluster.registrations(a.target) for a in plan.actions if isinstance(a, DrainInstance)}
    parts = []
    for subject, found in (begun | drains(cluster)).items():
        planned = (a.mark for a in plan.actions if isinstance(a, DrainInstance) and a.target == subject)
        mark = strongest([mark_on(found), *planned])
        if mark is not None:
            parts.append(_Part(cluster, plan, subject, found, mark, policy or Policy()))
    actions = {a for part in parts for a in part.actions}
    findings = {f for part in parts for f in (*part.blockers, *part.reasons)}
    rest = Plan(tuple(a for a in plan.actions if a not in actions), tuple(f for f in plan.findings if f not in findings))
    return tuple(sorted((part.drain() for part in parts), key=lambda d: (d.deadline, d.instance))), rest


class _Part:
    """What a snapshot and a plan hold about one instance."""

    def __init__(
        self, cluster: Cluster, plan: Plan, subject: str, found: Sequence[ContainerInstance], mark: DrainMark, policy: Policy
    ) -> None:
        self._cluster = cluster
        self._subject = subject
        self._found = found
        self._mark = mark
        self._policy = policy
        self._host = cluster.host(subject)
        self._draining = bool(found) and all(i.status == "DRAINING" for i in found)
        # Of a drain that waits for its turn, nothing is said by service: that is about drains that have begun.
        self._in_turn = mark.cause in VOLUNTARY and not self._draining
        alive = [Left(t, is_daemon(cluster, t)) for t in cluster.tasks_on(found) if t.alive]
        self._left = tuple(sorted(alive, key=lambda left: (left.daemon, left.task.group, left.task.id)))
        tasks = {left.task.id for left in alive}
        services = set() if self._in_turn else {left.task.service for left in alive if not left.daemon}
        self._own = [a for a in plan.actions if a.target == subject]
        on = {subject, *tasks}
        self.actions = tuple(a for a in plan.actions if a.target in on or (isinstance(a, RaiseMaxPercent) and a.target in services))
        about = [f for f in plan.findings if f.subject == subject]
        on_it = [f for f in plan.findings if f.subject in tasks or f.subject in services]
        self.blockers = (*(f for f in about if f.code == TURN), *on_it)
        # "Did nothing because ..." is a finding; beside an action, what is found is about something else.
        self.reasons = () if self._own else tuple(f for f in about if f.code != TURN)

    def drain(self) -> Drain:
        """All of it together."""
        deadline = deadline_of(self._cluster, self._subject, self._mark, self._policy)
        waits = (Step(WAIT, self._subject, reason) for reason in self._waits(deadline))
        return Drain(
            instance=self._subject,
            group=self._host.group if self._host else None,
            draining=self._draining,
            mark=self._mark,
            deadline=deadline,
            left=self._left if self._looked_at else None,
            blockers=self.blockers,
            steps=(*steps_of(self.actions), *waits),
        )

    @property
    def _looked_at(self) -> bool:
        """Whether all tasks on it are known: those of an instance that holds none need no look."""
        unseen = [i for i in self._found if i.arn not in self._cluster.tasks_examined]
        return not unseen or emptiness(self._cluster, unseen) == "empty"

    def _waits(self, deadline: datetime) -> Iterator[str]:
        """Why nothing is done about the instance, or nothing that ends its waiting."""
        yield from (f.message for f in self.reasons)
        until = clock(deadline, self._cluster.seen_at)
        if self._in_turn and not any(isinstance(a, TURNS) for a in self._own):
            yield f"waits for its turn until {until}"
        elif not self._own and not self.reasons:
            yield self._idle(until, late=self._cluster.seen_at >= deadline)

    def _idle(self, until: str, *, late: bool) -> str:
        """Why nothing is done, where the decision itself did not have to say so."""
        if self._host is None:
            return "EC2 did not tell where it belongs: nothing is done about it until it does"
        if self._host.state in OVER:
            return f"EC2 says it is {self._host.state}: waits for EC2 to end it, so that ECS can forget it"
        if not self._looked_at:
            return "the tasks on it were not looked at: nothing is done about it until they are"
        work = sum(not left.daemon for left in self._left)
        if not work:
            return "what is still held on it is not clear: looked at again by the next sweep"
        tasks = f"{work} task{'s' if work > 1 else ''} to leave"
        return f"waits for {tasks}, although its time was up at {until}" if late else f"waits for {tasks} until {until}"
