"""Instances that EC2 has ended and ECS still lists."""

from dataclasses import replace

import pytest

from bulwark.core.cluster import Cluster, DrainMark
from bulwark.core.draining_ghosts import decide_ghosts
from bulwark.core.plan import DeregisterInstance, TerminateInstance
from tests.builders import SPOT, a_cluster, a_draining, a_host, a_mark, an_instance, instance_arn


@pytest.mark.parametrize("state", ["terminated", "stopped"])
@pytest.mark.parametrize("status", ["ACTIVE", "DRAINING"])
def test_T23_a_host_that_is_gone_is_forgotten_by_force(state: str, status: str) -> None:
    """Hazard T23: EC2 says terminated, or stopped, and ECS still lists it, up to twenty minutes long: deregistered at once."""
    cluster = a_cluster(an_instance(status=status, agent_connected=False), hosts=[a_host(state=state)])

    (action,) = decide_ghosts(cluster, [SPOT]).actions

    assert isinstance(action, DeregisterInstance)
    assert (SPOT, (instance_arn(SPOT),)) == (action.target, action.arns)


@pytest.mark.parametrize("state", ["running", "pending", "stopping", "shutting-down"])
def test_what_EC2_has_not_ended_is_no_ghost(state: str) -> None:
    """Only EC2's own word counts, whatever the event said: it may be late, or about another life of the instance."""
    cluster = a_cluster(an_instance(agent_connected=False), hosts=[a_host(state=state)])

    assert () == decide_ghosts(cluster, [SPOT]).actions


def test_T24_every_registration_of_a_ghost_goes() -> None:
    """Hazard T24: two registrations of one dead host are both forgotten; what is INACTIVE already is not touched."""
    cluster = a_cluster(
        an_instance(arn="one"), an_instance(arn="two"), an_instance(arn="three", status="INACTIVE"), hosts=[a_host(state="terminated")]
    )

    (action,) = decide_ghosts(cluster, [SPOT]).actions

    assert ("one", "two") == getattr(action, "arns", None)


def test_a_ghost_that_EC2_no_longer_knows_is_ours_if_it_carries_our_mark() -> None:
    """EC2 forgets a terminated instance after an hour; the mark says that its group had opted in."""
    ours, theirs = a_draining(agent_connected=False), an_instance(agent_connected=False)

    assert [DeregisterInstance] == [type(a) for a in decide_ghosts(a_cluster(ours, hosts=[]), [SPOT]).actions]
    plan = decide_ghosts(a_cluster(theirs, hosts=[]), [SPOT])
    assert ((), ["ghost-unknown"]) == (plan.actions, [f.code for f in plan.findings])


def test_a_ghost_of_a_group_that_did_not_opt_in_is_left_alone() -> None:
    """Rule 4: the sweep sees every instance of the cluster whose agent is away, also those of other groups."""
    plan = decide_ghosts(a_cluster(an_instance(agent_connected=False), hosts=[a_host(state="terminated", cluster=None)]), [SPOT])

    assert ((), ["ghost-not-opted-in"]) == (plan.actions, [f.code for f in plan.findings])


def test_hosts_that_could_not_be_read_make_no_ghosts() -> None:
    """Rule 5: a failed read is not EC2's word that an instance is gone."""
    assert () == decide_ghosts(a_cluster(a_draining(agent_connected=False), hosts=[], unread={"hosts": "Throttling"}), [SPOT]).actions


def test_what_is_forgotten_already_says_so() -> None:
    """The second event about the same end does nothing, and that is a finding."""
    plan = decide_ghosts(a_cluster(hosts=[a_host(state="terminated")], instances=()), [SPOT])

    assert ((), ["ghost-forgotten"]) == (plan.actions, [f.code for f in plan.findings])


def test_what_was_taken_out_of_its_group_and_then_stopped_is_ended_before_it_is_forgotten() -> None:
    """A retired host with an EBS root is stopped, not terminated: outside any group nobody else would end it, and its volume costs."""
    retired = a_draining(mark=a_mark("scheduled-retirement"), agent_connected=False)
    stopped = a_cluster(retired, hosts=[a_host(state="stopped", group=None)])

    assert [TerminateInstance(SPOT, None, stopped_reason(stopped))] == list(decide_ghosts(stopped, [SPOT]).actions)
    gone = a_cluster(retired, hosts=[a_host(state="terminated", group=None)])
    assert [DeregisterInstance] == [type(a) for a in decide_ghosts(gone, [SPOT]).actions]


def stopped_reason(cluster: Cluster) -> str:
    """The reason given for the one action."""
    return decide_ghosts(cluster, [SPOT]).actions[0].reason


@pytest.mark.parametrize(
    ("mark", "group"),
    [
        (replace(a_mark("scheduled-retirement"), alone=True), None),
        (a_mark("scheduled-retirement"), "orders-spot"),
        (a_mark("host-stopping"), None),
    ],
)
def test_what_was_not_taken_out_by_us_is_not_ours_to_end(mark: DrainMark, group: str | None) -> None:
    """Never in a group, still in its group, or stopped by somebody who may start it again: only forgotten."""
    cluster = a_cluster(a_draining(mark=mark, agent_connected=False), hosts=[a_host(state="stopped", group=group)])

    assert [DeregisterInstance] == [type(a) for a in decide_ghosts(cluster, [SPOT]).actions]
