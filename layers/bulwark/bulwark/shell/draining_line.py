"""What the parts of the draining line share: the collaborators of one invocation, and one cluster's decision as it grows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bulwark.core.draining import decide_cordon
from bulwark.core.draining_ends import emptiness
from bulwark.core.plan import DrainInstance, Finding, MarkInstance, Plan, RaiseMaxPercent, RunTask, StopTask
from bulwark.shell.act import act
from bulwark.shell.observe_groups import observe_capacity_providers
from bulwark.shell.observe_work import observe_daemons, observe_stopping, observe_work
from bulwark.shell.report import Decision

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from bulwark.core.cluster import Cluster, ContainerInstance
    from bulwark.core.plan import Outcome
    from bulwark.core.policies import Mode, Policy
    from bulwark.core.signals import Notice
    from bulwark.shell.aws import Aws
    from bulwark.shell.ledger import Ledger
    from bulwark.shell.policy_book import PolicyBook

STEM = "draining"

LAST_SECONDS = 12.0
"""Seconds before the function's timeout at which nothing new is begun: what was done must still be reported."""


@dataclass(frozen=True, slots=True)
class Line:
    """One invocation: AWS, the policies, the table, the moment it sees as now, and what tells it from others."""

    aws: Aws
    policies: PolicyBook
    ledger: Ledger
    now: datetime
    owner: str


class OfCluster:
    """One cluster's part of an invocation: its policy and mode, and the decision that comes together."""

    def __init__(self, line: Line, name: str, subjects: Iterable[str], stem: str = STEM) -> None:
        """``subjects``: the ids that the events are about; ``stem``: the function that decides."""
        self.line = line
        self.name = name
        standing, findings = line.policies.standing(name)
        self.policy: Policy = standing.policy
        self.mode: Mode = standing.mode
        self.decision = Decision(stem, name, Plan(findings=findings), subjects=frozenset(subjects))
        if standing.mode == "observe":
            note = Finding("observing", name, f"{standing.because}: what is decided is not done")
            self.decision.plan += Plan(findings=(note,))

    def perform(self, cluster: Cluster, plan: Plan) -> Cluster:
        """Act on a plan, and return the snapshot as it is then, as far as AWS's own answers tell."""
        self.decision.plan += plan
        outcomes = act(self.line.aws, plan, self.mode, self.line.ledger, self.line.now)
        self.decision.outcomes += outcomes
        changed: dict[str, ContainerInstance] = {}
        known = {i.arn: i for i in cluster.instances}
        for outcome in outcomes:
            changed |= _changed(outcome, known)
        done = [o.action for o in outcomes if o.status == "done"]
        stopped = {a.arn for a in done if isinstance(a, StopTask | RunTask)}
        raised = {a.target: a.raised for a in done if isinstance(a, RaiseMaxPercent)}
        return replace(
            cluster,
            instances=tuple(changed.get(i.arn, i) for i in cluster.instances),
            tasks=tuple(replace(t, desired_status="STOPPED") if t.arn in stopped else t for t in cluster.tasks),
            services=tuple(replace(s, max_percent=raised.get(s.name, s.max_percent)) for s in cluster.services),
        )

    def say(self, plan: Plan) -> None:
        """Add findings that nothing is to be done about."""
        self.decision.plan += plan

    def count(self) -> None:
        """Put the calls made since the last count down to this decision."""
        self.decision.count(self.line.aws.take_calls())

    def cordon(self, cluster: Cluster, notices: Sequence[Notice], *, hooked: bool) -> Cluster:
        """Decide who drains, and drain. ``hooked``: a hook is among the notices, so what ECS manages has to be known."""
        if hooked:
            cluster = observe_capacity_providers(self.line.aws, cluster)
        return self.perform(cluster, decide_cordon(cluster, notices, self.policy))

    def look(self, cluster: Cluster, ec2_ids: Iterable[str], limit: int, *, thoroughly: bool) -> Cluster:
        """See what is still on instances that drain: only as far as it takes to know whether they are empty, unless ``thoroughly``."""
        aws = self.line.aws
        tags = self.policy.draining.standalone
        ids = sorted(ec2_ids)
        busy = [i for i in ids if emptiness(cluster, cluster.registrations(i)) != "empty"]
        if busy and not thoroughly:
            cluster = observe_daemons(aws, cluster)
            busy = [i for i in busy if emptiness(cluster, cluster.registrations(i)) == "unknown"]
        arns = [r.arn for i in busy for r in cluster.registrations(i) if r.status != "INACTIVE"]
        cluster = observe_work(aws, cluster, arns, limit, tags=tags)
        unclear = [r.arn for i in busy for r in cluster.registrations(i) if r.arn in cluster.tasks_examined]
        unclear = [a for a in unclear if a not in cluster.stopping_examined and _unclear(cluster, a)]
        return observe_stopping(aws, cluster, unclear) if unclear else cluster


def _changed(outcome: Outcome, known: Mapping[str, ContainerInstance]) -> dict[str, ContainerInstance]:
    """The registrations that an action has changed, as they are now; in observe mode, as they would be.

    Set DRAINING without a word from AWS on how it is now, an instance counts as not described: work may have come meanwhile.
    """
    action = outcome.action
    if outcome.status == "failed" or not isinstance(action, DrainInstance | MarkInstance):
        return {}
    before = {arn: known[arn] for arn in action.arns if arn in known}
    if isinstance(action, MarkInstance):
        return {arn: replace(i, drain=action.mark) for arn, i in before.items()}
    seen = {i.arn: i for i in outcome.seen}
    wished = outcome.status == "skipped"
    return {
        arn: replace(seen.get(arn) or replace(i, described=i.described and wished), status="DRAINING", drain=action.mark)
        for arn, i in before.items()
    }


def _unclear(cluster: Cluster, arn: str) -> bool:
    """Whether a look at its running tasks left open if one registration is empty."""
    return emptiness(cluster, [i for i in cluster.instances if i.arn == arn]) == "unknown"
