"""Instances that EC2 has ended and ECS still lists: forgotten by force, once EC2 itself says that they are gone."""

from collections.abc import Sequence

from bulwark.core.cluster import Cluster, ContainerInstance, Host
from bulwark.core.draining_marks import REBALANCE_CAUSE, SCHEDULED, SPOT_CAUSE, mark_on
from bulwark.core.plan import DeregisterInstance, Finding, Plan, TerminateInstance

DEAD = frozenset({"stopped", "terminated"})
"""EC2 states in which nothing runs on an instance, and no agent of it will call again."""


TAKEN_OUT = SCHEDULED | {SPOT_CAUSE, REBALANCE_CAUSE}
"""Causes for which Bulwark takes an instance out of its group."""


def decide_ghosts(cluster: Cluster, subjects: Sequence[str]) -> Plan:
    """Deregister what is left of the instances ``subjects`` in ECS, if EC2 says that they are stopped or terminated.

    An instance that EC2 no longer knows at all was terminated more than an hour ago; it is ours if it carries our mark, and
    otherwise nobody can say whose it was.
    """
    plan = Plan()
    for subject in dict.fromkeys(subjects):
        found = tuple(i for i in cluster.registrations(subject) if i.status not in ("INACTIVE", "DEREGISTERING"))
        if not found:
            plan += Plan(findings=(Finding("ghost-forgotten", subject, f"cluster {cluster.name} does not list it (any more)"),))
        elif "hosts" not in cluster.unread:
            plan += _ghost(cluster, subject, found, cluster.host(subject))
    return plan


def _ghost(cluster: Cluster, subject: str, found: Sequence[ContainerInstance], host: Host | None) -> Plan:
    """What is to be done about one instance that is registered."""
    arns = tuple(i.arn for i in found)
    if host is not None and host.state in DEAD:
        if host.cluster != cluster.name:
            message = f"EC2 says it is {host.state}, but it does not carry the tag bulwark:cluster for {cluster.name}: left alone"
            return Plan(findings=(Finding("ghost-not-opted-in", subject, message),))
        mark = mark_on(found)
        if host.state == "stopped" and host.group is None and mark is not None and mark.cause in TAKEN_OUT and not mark.alone:
            # Forgotten first, it would stay for ever, stopped and paid for: its mark goes with its registration.
            reason = f"EC2 has stopped it ({mark.cause}), and Bulwark had taken it out of its group: nobody else ends it"
            return Plan((TerminateInstance(subject, None, reason),))
        reason = f"EC2 says it is {host.state}, and ECS still lists it as {', '.join(sorted({i.status for i in found}))}"
        return Plan((DeregisterInstance(subject, cluster.name, arns, reason),))
    if host is None and not any(i.agent_connected for i in found):
        if any(i.drain for i in found):
            reason = "EC2 no longer knows it, its agent is away, and Bulwark was draining it"
            return Plan((DeregisterInstance(subject, cluster.name, arns, reason),))
        message = "EC2 no longer knows it, so nobody can say whether its group had opted in: deregister it by hand"
        return Plan(findings=(Finding("ghost-unknown", subject, message),))
    return Plan()
