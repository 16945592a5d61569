"""The draining line for one cluster: observe, decide and act in three short rounds, so that nothing waits for a slower fact.

Round one makes the instances DRAINING, round two brings replacements, round three says what cannot leave in time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bulwark.core.draining import decide_blockers, decide_cordon, decide_foreign, decide_replacement, explain_refusals, leaving_arns
from bulwark.core.plan import Finding, Plan, ReplaceInstance
from bulwark.shell.act import act
from bulwark.shell.aws import explain
from bulwark.shell.observe import (
    EXAMINED,
    READ_ERRORS,
    MissingClusterError,
    observe_capacity_providers,
    observe_groups,
    observe_hosts,
    observe_registrations,
    observe_surroundings,
    observe_work,
)
from bulwark.shell.report import Decision

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from bulwark.core.cluster import Cluster, Host
    from bulwark.core.policies import Mode, Policy
    from bulwark.core.signals import Signal
    from bulwark.shell.aws import Aws
    from bulwark.shell.policy_book import PolicyBook

STEM = "draining"


LAST_SECONDS = 12.0
"""Seconds before the function's timeout at which no further cluster is explained: what was done must still be reported."""


def drain(
    aws: Aws, policies: PolicyBook, signals: Sequence[Signal], now: datetime, remaining: Callable[[], float] = lambda: float("inf")
) -> list[Decision]:
    """Answer ``signals``: one decision per cluster, and one for the instances that are none of ours.

    Each round is finished for every cluster before the next begins for any. Raises what AWS raised if the instances could
    not even be located; a cluster that fails takes no other with it. Policies that are too old are read again once it is
    known that an instance is ours: somebody else's costs the one read that says so. ``remaining`` returns the seconds left
    for the whole invocation: ECS's rates can make the explaining of a storm over many clusters longer than a function may run.
    """
    hosts = observe_hosts(aws, sorted({s.instance_id for s in signals}))
    if any(h.cluster for h in hosts):
        policies.refresh()
    located = aws.take_calls()
    rounds = []
    for name in sorted({h.cluster for h in hosts if h.cluster}):
        of_cluster = [h for h in hosts if h.cluster == name]
        ids = {h.id for h in of_cluster}
        rounds.append(Rounds(aws, policies, name, [s for s in signals if s.instance_id in ids], of_cluster))
    for one in rounds:
        one.cordon(now)
    for one in rounds:
        one.replace()
    budget = EXAMINED
    for one in rounds:
        budget -= one.explain(budget if remaining() > LAST_SECONDS else 0)
    decisions = [one.decision for one in rounds]
    foreign = decide_foreign(signals, hosts)
    if foreign.findings:
        decisions.append(Decision(STEM, None, foreign))
    decisions[0].count(located)
    return decisions


class Rounds:
    """The rounds of one cluster, and the decision that comes of them."""

    def __init__(self, aws: Aws, policies: PolicyBook, name: str, signals: Sequence[Signal], hosts: Sequence[Host]) -> None:
        """``hosts``: the EC2 instances of cluster ``name`` that ``signals`` are about."""
        self._aws = aws
        self._name = name
        self._signals = signals
        self._hosts = hosts
        self._cluster: Cluster | None = None
        self._leaving: tuple[str, ...] = ()
        standing, findings = policies.standing(name)
        self._policy: Policy = standing.policy
        self._mode: Mode = standing.mode
        self.decision = Decision(STEM, name, Plan(findings=findings), subjects=frozenset(h.id for h in hosts))
        if standing.mode == "observe":
            note = Finding("observing", name, f"{standing.because}: what is decided is not done")
            self.decision.plan += Plan(findings=(note,))

    def cordon(self, now: datetime) -> None:
        """Round one: find the registrations and set them DRAINING."""
        try:
            self._cluster = observe_registrations(self._aws, self._name, self._hosts, now)
        except MissingClusterError as error:
            self.decision.error = str(error)
        except READ_ERRORS as error:
            self.decision.error = f"cluster {self._name}: {explain(error)}"
        else:
            plan = decide_cordon(self._cluster, self._signals, self._policy)
            self._leaving = leaving_arns(plan)
            self._perform(plan)
        self.decision.count(self._aws.take_calls())

    def replace(self) -> None:
        """Round two: see what ECS manages itself, and bring replacement capacity for the rest."""
        if self._cluster is None or not self._policy.draining.enabled:
            return
        if self._leaving:
            self._cluster = observe_surroundings(self._aws, self._cluster)
        self._cluster = observe_capacity_providers(self._aws, self._cluster)
        self._perform(decide_replacement(self._cluster, self._signals, self._policy))
        self._explain_refusals()
        self.decision.count(self._aws.take_calls())

    def explain(self, limit: int) -> int:
        """Round three: look at the work on at most ``limit`` leaving instances and say what cannot leave in time.

        Returns how many were looked at.
        """
        if self._cluster is None or not self._leaving:
            return 0
        self._cluster = observe_work(self._aws, self._cluster, self._leaving, limit)
        self.decision.plan += decide_blockers(self._cluster, self._signals, self._leaving)
        self.decision.count(self._aws.take_calls())
        return min(limit, len(self._leaving))

    def _perform(self, plan: Plan) -> None:
        self.decision.plan += plan
        self.decision.outcomes += act(self._aws, plan, self._mode)

    def _explain_refusals(self) -> None:
        refused = [o for o in self.decision.outcomes if o.status == "failed" and isinstance(o.action, ReplaceInstance)]
        if self._cluster is None or not refused:
            return
        groups = {o.action.group for o in refused if isinstance(o.action, ReplaceInstance)}
        seen = observe_groups(self._aws, self._cluster, groups)
        self.decision.outcomes, findings = explain_refusals(seen, self.decision.outcomes)
        self.decision.plan += findings
