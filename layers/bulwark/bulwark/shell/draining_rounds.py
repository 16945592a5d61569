"""Three short rounds for events about instances of one cluster, so that nothing waits for a slower fact.

Round one makes the instances DRAINING, and lets the hooks of empty ones go on; round two brings replacements; round three
says what cannot leave in time, and applies the remedies that the policy asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bulwark.core.draining import decide_replacement, explain_refusals
from bulwark.core.draining_blockers import decide_blockers
from bulwark.core.draining_ends import decide_ends
from bulwark.core.draining_ghosts import decide_ghosts
from bulwark.core.draining_remedies import decide_remedies
from bulwark.core.plan import CompleteLifecycleAction, DrainInstance, Plan, ReplaceInstance
from bulwark.core.signals import InstanceState, RebalanceRecommendation, ScheduledChange, SpotInterruption, TerminateHook
from bulwark.shell.aws import explain
from bulwark.shell.draining_line import Line, OfCluster
from bulwark.shell.draining_voluntary import recommend
from bulwark.shell.observe import READ_ERRORS, MissingClusterError, observe_registrations, observe_surroundings
from bulwark.shell.observe_groups import observe_capacity_providers, observe_groups
from bulwark.shell.observe_work import observe_work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bulwark.core.cluster import Cluster, Host
    from bulwark.core.signals import Notice


class Rounds(OfCluster):
    """The rounds of one cluster, and the decision that comes of them."""

    def __init__(self, line: Line, name: str, notices: Sequence[Notice], hosts: Sequence[Host]) -> None:
        """``hosts``: the EC2 instances of cluster ``name`` that ``notices`` are about."""
        super().__init__(line, name, (h.id for h in hosts))
        self._recommended = [n for n in notices if isinstance(n, RebalanceRecommendation)]
        self._notices = [n for n in notices if not isinstance(n, RebalanceRecommendation)]
        about = {n.instance_id for n in self._notices}
        self._located = hosts
        self._hosts = [h for h in hosts if h.id in about]
        self._cluster: Cluster | None = None
        self._leaving: tuple[str, ...] = ()

    def cordon_all(self) -> None:
        """Round one: find the registrations, set them DRAINING, and end what is over at once."""
        try:
            if self._notices:
                self._cluster = self._cordoned()
        except MissingClusterError as error:
            self.decision.error = str(error)
        except READ_ERRORS as error:
            self.decision.error = f"cluster {self.name}: {explain(error)}"
        self.count()

    def _cordoned(self) -> Cluster:
        """The snapshot after round one. One Spot warning about one ACTIVE instance needs no description before DRAINING."""
        hasty = all(isinstance(n, SpotInterruption) for n in self._notices)
        cluster = observe_registrations(self.line.aws, self.name, self._hosts, self.line.now, hasty=hasty)
        hooked = {n.instance_id for n in self._notices if isinstance(n, TerminateHook)}
        cluster = self.cordon(cluster, self._notices, hooked=bool(hooked))
        warned = {n.instance_id for n in self._notices if isinstance(n, SpotInterruption)}
        drained = (a for a in self.decision.plan.actions if isinstance(a, DrainInstance) and a.target in warned)
        self._leaving = tuple(arn for action in drained for arn in action.arns)
        ended = [n.instance_id for n in self._notices if isinstance(n, InstanceState)]
        if ended and self.policy.draining.enabled:
            cluster = self.perform(cluster, decide_ghosts(cluster, ended))
        if hooked and self.policy.draining.enabled and not cluster.capacity_providers:
            # Only what its counts call empty is let go here. Whatever takes another look, at tasks that may all be daemons', is left to
            # the event that ECS sends about the instance being DRAINING, seconds later: a hook event costs six calls at most.
            ends = decide_ends(cluster, self.policy, beat=False)
            cluster = self.perform(cluster, Plan(tuple(a for a in ends.actions if isinstance(a, CompleteLifecycleAction))))
        return cluster

    def replace(self) -> None:
        """Round two: see what ECS manages itself, and bring replacement capacity for the rest."""
        if self._cluster is not None and self.policy.draining.enabled:
            if self._leaving:
                self._cluster = observe_surroundings(self.line.aws, self._cluster)
            losing = [n for n in self._notices if isinstance(n, SpotInterruption | ScheduledChange)]
            if losing:
                self._cluster = observe_capacity_providers(self.line.aws, self._cluster)
                self._cluster = self.perform(self._cluster, decide_replacement(self._cluster, losing, self.policy))
                self._explain_refusals()
        self.count()

    def recommend(self, *, enough: bool) -> None:
        """What is only recommended, once nothing more urgent waits for it in any cluster. ``enough``: there is time for it."""
        if not self._recommended or self.decision.error is not None:
            return
        try:
            if enough:
                recommend(self, self._recommended, self._located)
            else:
                self.decision.error = f"cluster {self.name}: no time left for recommendations: they come again"
        except MissingClusterError as error:
            self.decision.error = str(error)
        except READ_ERRORS as error:
            self.decision.error = f"cluster {self.name}: {explain(error)}"
        self.count()

    def explain(self, limit: int) -> int:
        """Round three: look at the work on at most ``limit`` instances that Spot takes; say what cannot leave in time, and help.

        Returns how many were looked at.
        """
        if self._cluster is None or not self._leaving:
            return 0
        tags = self.policy.draining.standalone
        self._cluster = observe_work(self.line.aws, self._cluster, self._leaving, limit, tags=tags)
        deadlines = {n.instance_id: n.deadline for n in self._notices if isinstance(n, SpotInterruption)}
        self.say(decide_blockers(self._cluster, deadlines, self._leaving))
        self._cluster = self.perform(self._cluster, decide_remedies(self._cluster, self.policy))
        self.count()
        return min(limit, len(self._leaving))

    def _explain_refusals(self) -> None:
        refused = {o.action.group for o in self.decision.outcomes if o.status == "failed" and isinstance(o.action, ReplaceInstance)}
        if self._cluster is None or not refused:
            return
        seen = observe_groups(self.line.aws, self._cluster, refused)
        self.decision.outcomes, findings = explain_refusals(seen, self.decision.outcomes)
        self.say(findings)
