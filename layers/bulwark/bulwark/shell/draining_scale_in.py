"""Ends what was scaled in: under the cluster's lease and on a look taken under it, as capacity may want the instance back just now."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bulwark.core.draining_ends import decide_ends
from bulwark.core.draining_marks import drains
from bulwark.core.plan import Finding, Plan, TerminateInstance
from bulwark.shell.aws import AWS_ERRORS, explain
from bulwark.shell.observe import observe_registrations
from bulwark.shell.observe_work import EXAMINED

if TYPE_CHECKING:
    from bulwark.core.cluster import Cluster
    from bulwark.shell.draining_line import OfCluster


def carry_out(of: OfCluster, cluster: Cluster, plan: Plan) -> Cluster:
    """Perform ``plan``; what it ends for a scale-in is looked at again first, while nobody else decides. Raises what AWS raised."""
    scaled_in = {a.target for a in plan.actions if isinstance(a, TerminateInstance) and a.decrement}
    if not scaled_in or of.mode == "observe":
        return of.perform(cluster, plan)
    cluster = of.perform(cluster, replace(plan, actions=tuple(a for a in plan.actions if a.target not in scaled_in)))
    try:
        ours = of.line.ledger.lease(of.name, of.line.owner, of.line.now)
    except AWS_ERRORS as error:
        of.say(Plan(findings=(Finding("lease-unknown", of.name, f"the table did not answer ({explain(error)}): the sweep carries on"),)))
        return cluster
    if not ours:
        of.say(Plan(findings=(Finding("lease-taken", of.name, "another invocation is deciding about this cluster: the sweep carries on"),)))
        return cluster
    try:
        hosts = [h for h in cluster.hosts if h.id in scaled_in]
        now = replace(observe_registrations(of.line.aws, of.name, hosts, of.line.now, hasty=False), groups=cluster.groups)
        now = of.look(now, drains(now), EXAMINED, thoroughly=False)
        ends = tuple(a for a in decide_ends(now, of.policy, beat=False).actions if isinstance(a, TerminateInstance) and a.decrement)
        of.perform(now, Plan(ends))
    finally:
        of.line.ledger.release(of.name, of.line.owner)
    return cluster
