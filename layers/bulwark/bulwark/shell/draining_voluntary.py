"""Rebalance recommendations: marked at once, drained under the cluster's lease when budget and room allow it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bulwark.core.draining_marks import REBALANCE_CAUSE, drains, mark_on
from bulwark.core.draining_voluntary import decide_marks, decide_turns, waiting
from bulwark.core.plan import Finding, Plan
from bulwark.shell.aws import AWS_ERRORS, explain
from bulwark.shell.observe import observe_cluster, with_hosts
from bulwark.shell.observe_groups import observe_capacity_providers, observe_groups
from bulwark.shell.observe_work import EXAMINED, observe_definitions, observe_protection, observe_work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bulwark.core.cluster import Cluster, Host
    from bulwark.core.signals import RebalanceRecommendation
    from bulwark.shell.draining_line import OfCluster


def recommend(of: OfCluster, recommended: Sequence[RebalanceRecommendation], located: Sequence[Host]) -> None:
    """Mark what is recommended, and begin what may begin. Raises what AWS raised if the cluster could not be listed.

    ``located``: the hosts that are known already.
    """
    cluster = replace(observe_cluster(of.line.aws, of.name, of.line.now), hosts=tuple(located))
    cluster = with_hosts(of.line.aws, cluster, _marked(cluster))
    if "hosts" in cluster.unread:
        of.say(Plan(findings=(Finding("not-observed", of.name, f"hosts could not be read: {cluster.unread['hosts']}"),)))
        return
    groups = {h.group for h in cluster.hosts if h.group}
    cluster = observe_groups(of.line.aws, cluster, groups)
    cluster = of.perform(cluster, decide_marks(cluster, recommended, of.policy))
    if waiting(cluster):
        take_turns(of, cluster)


def take_turns(of: OfCluster, cluster: Cluster) -> None:
    """Begin what waits, and take back what no longer fits, unless another invocation is at it. ``cluster`` holds every instance."""
    try:
        ours = of.mode == "observe" or of.line.ledger.lease(of.name, of.line.owner, of.line.now)
    except AWS_ERRORS as error:
        of.say(Plan(findings=(Finding("lease-unknown", of.name, f"the table did not answer ({explain(error)}): the sweep carries on"),)))
        return
    if not ours:
        of.say(Plan(findings=(Finding("lease-taken", of.name, "another invocation is deciding about this cluster: the sweep carries on"),)))
        return
    try:
        cluster = _in_full(of, cluster)
        of.perform(cluster, decide_turns(cluster, of.policy))
        unread = sorted(cluster.unread.items())
        of.say(Plan(findings=tuple(Finding("not-observed", of.name, f"{part} could not be read: {why}") for part, why in unread)))
    finally:
        if of.mode == "act":
            of.line.ledger.release(of.name, of.line.owner)


def _in_full(of: OfCluster, cluster: Cluster) -> Cluster:
    """The snapshot with all that it takes to prove that work fits elsewhere."""
    aws = of.line.aws
    arns = [r.arn for i in sorted(_marked(cluster)) for r in cluster.registrations(i)]
    cluster = observe_work(aws, cluster, arns, EXAMINED)
    cluster = observe_protection(aws, observe_definitions(aws, cluster))
    return observe_capacity_providers(aws, cluster)


def _marked(cluster: Cluster) -> set[str]:
    """The instances that are being drained, or wait for it, by our own choice."""
    return {i for i, found in drains(cluster).items() if (mark := mark_on(found)) and mark.cause == REBALANCE_CAUSE}
