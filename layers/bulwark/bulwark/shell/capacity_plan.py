"""One cluster's sizing, looked at without doing any of it: what it rests on, and what the next look would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bulwark.core.capacity import Sizing, decide_capacity
from bulwark.core.plan import Finding, Plan
from bulwark.shell.capacity_cluster import SizedCluster
from bulwark.shell.memory import Memory, MemoryBook
from bulwark.shell.observe_capacity import Known, observe_capacity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bulwark.core.cluster import Cluster, Group
    from bulwark.shell.draining_line import Line


class LookedAt(SizedCluster):
    """A cluster's sizing that is neither done nor remembered. ``seen`` and ``sizing`` are None where nothing is sized: findings say why."""

    seen: Cluster | None = None
    sizing: Sizing | None = None

    def _size(self, groups: Sequence[Group], memory: Memory) -> None:
        """See and decide. What stands in the way of it is judged as ever, by the class above."""
        self.seen = observe_capacity(self.line.aws, self.name, groups, self.policy, memory, self._known, self.line.now)
        self.sizing = decide_capacity(self.seen, self.policy)
        unread = sorted(self.seen.unread.items())
        self.say(Plan(findings=tuple(Finding("not-observed", self.name, f"{part} could not be read: {why}") for part, why in unread)))
        self._end_idle(self.perform(self.seen, self.sizing.plan), self.sizing.plan)


class _NoBook(MemoryBook):
    """Stands for the memory where the table's name is not known."""

    def recall(self, cluster: str) -> Memory:  # noqa: ARG002  it is nothing for each of them
        """Nothing, of any cluster; no call is made."""
        return Memory()


def plan_sizing(line: Line, table: str, name: str, groups: Sequence[Group] | None) -> LookedAt:
    """What the next look would decide about the size of cluster ``name``. Nothing is written, whatever the mode.

    ``table``: Bulwark's, empty if that is not known; ``groups``: those that opted in, None if they could not be read. What else cannot be
    read is in the decision.
    """
    book = MemoryBook(line.aws, table) if table else _NoBook(line.aws, table)
    of = LookedAt(line, book, Known(), name, {name})
    of.mode = "observe"
    of.run(groups)
    if of.decision.error is not None:
        of.say(Plan(findings=(Finding("not-observed", name, of.decision.error),)))
    return of
