"""One cluster's sizing: under its lease, on a look at all of it, and remembered before anything is done."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bulwark.core.capacity import decide_capacity, remembered
from bulwark.core.cluster import Cluster, Host
from bulwark.core.draining_ends import decide_ends
from bulwark.core.draining_marks import SCALE_IN_CAUSE
from bulwark.core.plan import DrainInstance, Finding, Plan, ReactivateInstance, TerminateInstance
from bulwark.core.query import QueryError
from bulwark.shell.aws import AWS_ERRORS, error_code, explain
from bulwark.shell.draining_line import Line, OfCluster
from bulwark.shell.memory import Memory, MemoryEntryError
from bulwark.shell.observe import READ_ERRORS, MissingClusterError
from bulwark.shell.observe_capacity import observe_capacity, rests_of
from bulwark.shell.observe_groups import observe_groups_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bulwark.core.cluster import Group
    from bulwark.shell.memory import MemoryBook
    from bulwark.shell.observe_capacity import Known

STEM = "capacity"

DENIED = "AccessDeniedException"
"""ECS's answer where the role, or ClusterPattern, leaves the cluster out."""


class SizedCluster(OfCluster):
    """One cluster's part of an invocation."""

    def __init__(self, line: Line, book: MemoryBook, known: Known, name: str, subjects: Iterable[str]) -> None:
        """``subjects``: what the events are about; ``known``: what was read before and never changes."""
        super().__init__(line, name, subjects, STEM)
        self._book = book
        self._known = known

    def run(self, groups: Sequence[Group] | None, *, only_if_waiting: bool = False) -> None:
        """Size the cluster by a look at it now. ``groups``: those that opted in; None: they could not be read, which is said already.

        ``only_if_waiting``: the event matters only if something waited at the last look.
        """
        if groups is not None:
            try:
                self._under_lease(groups, only_if_waiting=only_if_waiting)
            except (MissingClusterError, MemoryEntryError) as error:
                self.decision.error = str(error)
            except QueryError as error:
                self.decision.error = f"cluster {self.name}: a placement constraint could not be understood: {error}"
            except READ_ERRORS as error:
                self._failed(error)
        self.count()

    def _failed(self, error: Exception) -> None:
        if error_code(error) == DENIED:
            message = f"{explain(error)}: its group is tagged, and the stack's ClusterPattern or the role leaves it out"
            self.say(Plan(findings=(Finding("cluster-denied", self.name, message),)))
        else:
            self.decision.error = f"cluster {self.name}: {explain(error)}"

    def _under_lease(self, groups: Sequence[Group], *, only_if_waiting: bool) -> None:
        """Nothing of a cluster that is nobody's, is not to be sized, or is being decided about."""
        if not groups:
            self._nothing(Finding("foreign", self.name, "no group has opted in for it (tag bulwark:cluster): left alone"))
            return
        if not self.policy.capacity.enabled:
            self._nothing(Finding("capacity-off", self.name, "its policy turns capacity off"))
            return
        if any(f.code in ("policy-invalid", "policy-unreadable") for f in self.decision.plan.findings):
            self._nothing(Finding("capacity-stands-still", self.name, "its policy is not certain: nothing is sized by an old one"))
            return
        memory = self._book.recall(self.name)
        if only_if_waiting and not memory.waits:
            self._nothing(Finding("nothing-waits", self.name, "nothing waited for an instance at the last look: the sweep sees the rest"))
            return
        if not self._lease():
            return
        try:
            self._size(groups, memory)
        finally:
            if self.mode == "act":
                self.line.ledger.release(self.name, self.line.owner)

    def _nothing(self, because: Finding) -> None:
        self.say(Plan(findings=(because,)))

    def _lease(self) -> bool:
        """Whether this invocation alone decides about the cluster. Observing, two may: neither does anything."""
        if self.mode == "observe":
            return True
        try:
            ours = self.line.ledger.lease(self.name, self.line.owner, self.line.now)
        except AWS_ERRORS as error:
            self._nothing(Finding("lease-unknown", self.name, f"the table did not answer ({explain(error)}): the sweep carries on"))
            return False
        if not ours:
            self._nothing(Finding("lease-taken", self.name, "another invocation is deciding about this cluster: the sweep carries on"))
        return ours

    def _size(self, groups: Sequence[Group], memory: Memory) -> None:
        """See, decide, remember, act."""
        cluster = observe_capacity(self.line.aws, self.name, groups, self.policy, memory, self._known, self.line.now)
        sizing = decide_capacity(cluster, self.policy)
        if any(isinstance(a, ReactivateInstance) for a in sizing.plan.actions):
            # The groups were read before the lease was taken: what is to be kept may have been ended since.
            now = {g.name: g for g in observe_groups_of(self.line.aws, self.name)}
            kept = (replace(g, members=now[g.name].members, desired=now[g.name].desired) for g in cluster.groups if g.name in now)
            cluster = replace(cluster, groups=tuple(kept))
            sizing = decide_capacity(cluster, self.policy)
        unread = sorted(cluster.unread.items())
        self.say(Plan(findings=tuple(Finding("not-observed", self.name, f"{part} could not be read: {why}") for part, why in unread)))
        waits = bool(sizing.figures.waiting_tasks)
        learned = Memory(remembered(cluster, sizing.demand), rests_of(cluster), cluster.shapes, waits, sizing.removed, sizing.regret)
        if not self._book.remember(self.name, learned, memory, self.line.now):
            self._nothing(Finding("stale-snapshot", self.name, "a later look has been decided on already: this one counts for nothing"))
            return
        self.decision.figures = sizing.figures
        cluster = self.perform(cluster, sizing.plan)
        self._end_idle(cluster, sizing.plan)

    def _end_idle(self, cluster: Cluster, plan: Plan) -> None:
        """End at once what was empty when it was drained, if ECS's answer says that it still is. The others' ends are draining's."""
        begun = {a.target for a in plan.actions if isinstance(a, DrainInstance)}
        if not begun:
            return
        hosts = tuple(
            Host(m.id, "running", cluster.name, g.name, m.zone, m.instance_type) for g in cluster.groups for m in g.members if m.id in begun
        )
        drained = tuple(i for i in cluster.instances if i.ec2_id in begun and i.drain is not None and i.drain.cause == SCALE_IN_CAUSE)
        ends = decide_ends(replace(cluster, hosts=hosts, instances=drained), self.policy, beat=False)
        actions = tuple(a for a in ends.actions if isinstance(a, TerminateInstance))
        self.perform(cluster, Plan(actions))
