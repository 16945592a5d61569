"""Draining decisions, by comparing plans."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulwark.core.cluster import GroupMember
from bulwark.core.draining import (
    decide_blockers,
    decide_cordon,
    decide_foreign,
    decide_replacement,
    explain_refusals,
    healthy_bounds,
    leaving_arns,
)
from bulwark.core.plan import DrainInstance, Finding, Outcome, Plan, ReplaceInstance
from bulwark.core.policies import DrainingPolicy, Policy
from tests.builders import (
    NOW,
    OTHER,
    SPOT,
    a_cluster,
    a_group,
    a_host,
    a_mark,
    a_provider,
    a_service,
    a_task,
    a_warning,
    an_instance,
    instance_arn,
)

DEFAULTS = Policy()
REPLACE = ReplaceInstance(SPOT, "orders-spot", "asks group orders-spot for another at once, not when its health check notices")


def codes(plan: Plan) -> list[tuple[str, str]]:
    """Findings by code and subject."""
    return [(f.code, f.subject) for f in plan.findings]


def test_a_warned_instance_is_drained_with_cause_and_deadline() -> None:
    """An ACTIVE instance is drained, marked with why, since when and until when."""
    plan = decide_cordon(a_cluster(), [a_warning()], DEFAULTS)

    reason = "EC2 will terminate this Spot Instance at 03:02:00 UTC"
    assert Plan((DrainInstance(SPOT, "orders", (instance_arn(SPOT),), a_mark(), reason),)) == plan


def test_hibernation_leaves_no_time() -> None:
    """EC2 hibernates with the warning itself, so the deadline is the warning."""
    plan = decide_cordon(a_cluster(), [a_warning(action="hibernate")], DEFAULTS)

    (action,) = plan.actions
    assert isinstance(action, DrainInstance)
    assert NOW == action.mark.deadline


def test_T1_a_second_warning_for_a_draining_instance_plans_nothing() -> None:
    """Hazard T1: what Bulwark drains already, and has left its group, needs no action; the drain goes on waiting."""
    cluster = a_cluster(an_instance(status="DRAINING", drain=a_mark()), hosts=[a_host(group=None)])

    cordon = decide_cordon(cluster, [a_warning()], DEFAULTS)

    assert () == cordon.actions
    assert [("already-draining", SPOT)] == codes(cordon)
    assert Plan() == decide_replacement(cluster, [a_warning()], DEFAULTS)


def test_T22_an_instance_its_agent_drained_first_needs_nothing_more() -> None:
    """Hazard T22: the agent's own Spot draining and ours may race; who comes second does nothing."""
    cluster = a_cluster(an_instance(status="DRAINING", drain=None))

    cordon = decide_cordon(cluster, [a_warning()], DEFAULTS)

    assert () == cordon.actions
    assert "by its ECS agent or by somebody else" in cordon.findings[0].message
    assert Plan() == decide_replacement(cluster, [a_warning()], DEFAULTS)


def test_T24_every_registration_of_one_instance_is_drained_at_once() -> None:
    """Hazard T24: registering is not idempotent; one EC2 id with two ACTIVE registrations is one action on both."""
    twice = (an_instance(arn="arn/one"), an_instance(arn="arn/two"), an_instance(arn="arn/three", status="DRAINING"))

    (action,) = decide_cordon(a_cluster(*twice), [a_warning()], DEFAULTS).actions

    assert isinstance(action, DrainInstance)
    assert ("arn/one", "arn/two") == action.arns


def test_T2_an_instance_of_nobody_is_a_finding_and_nothing_else() -> None:
    """Hazard T2: a foreign or unknown instance is silent: a finding, no action, no error."""
    hosts = [a_host(), a_host("i-0fff0000000000001", cluster=None)]
    warnings = [a_warning(), a_warning("i-0fff0000000000001"), a_warning("i-0eee0000000000001")]

    plan = decide_foreign(warnings, hosts)

    assert () == plan.actions
    assert [("not-opted-in", "i-0fff0000000000001"), ("instance-unknown", "i-0eee0000000000001")] == codes(plan)


@pytest.mark.parametrize(
    ("cluster", "policy", "code"),
    [
        (a_cluster(hosts=[a_host(state="terminated")]), DEFAULTS, "instance-gone"),
        (a_cluster(hosts=[a_host(state="shutting-down")]), DEFAULTS, "instance-gone"),
        (a_cluster(an_instance(status="DEREGISTERING")), DEFAULTS, "not-registered"),
        (a_cluster(an_instance(OTHER), hosts=[a_host()]), DEFAULTS, "not-registered"),
        (a_cluster(), Policy(draining=DrainingPolicy(enabled=False)), "draining-disabled"),
    ],
)
def test_what_cannot_or_may_not_be_drained_says_why(cluster: object, policy: Policy, code: str) -> None:
    """No action without a registration, a living instance and a policy that allows it; each reason has its own code."""
    plan = decide_cordon(cluster, [a_warning()], policy)  # type: ignore[arg-type]

    assert () == plan.actions
    assert [(code, SPOT)] == codes(plan)


def test_two_warnings_for_one_instance_are_one_drain_with_the_earlier_deadline() -> None:
    """A duplicate in the same batch has the effect of once."""
    later = a_warning(at=NOW + timedelta(seconds=30))

    (action,) = decide_cordon(a_cluster(), [later, a_warning()], DEFAULTS).actions

    assert isinstance(action, DrainInstance)
    assert NOW + timedelta(seconds=120) == action.mark.deadline


def test_a_leaving_instance_is_replaced_at_once() -> None:
    """What is drained and still in its group is detached without lowering desired."""
    assert Plan((REPLACE,)) == decide_replacement(a_cluster(), [a_warning()], DEFAULTS)


def test_a_delivery_that_died_after_draining_is_finished_by_the_next() -> None:
    """DRAINING with our mark but still in the group: the replacement is still owed."""
    cluster = a_cluster(an_instance(status="DRAINING", drain=a_mark()))

    assert Plan((REPLACE,)) == decide_replacement(cluster, [a_warning()], DEFAULTS)


@pytest.mark.parametrize("host", [a_host(group=None), a_host(state="terminated")])
def test_what_is_in_no_group_or_gone_is_not_replaced(host: object) -> None:
    """Nothing to detach: no action and no noise."""
    assert Plan() == decide_replacement(a_cluster(hosts=[host]), [a_warning()], DEFAULTS)  # type: ignore[list-item]


def test_a_drain_that_died_before_its_mark_is_taken_up_by_the_redelivery() -> None:
    """DRAINING without a mark, on a redelivered warning: marked and replaced, as it may be ours; rule 3 needs the mark."""
    again = replace(a_warning(), redelivered=True)
    cluster = a_cluster(an_instance(status="DRAINING", drain=None))

    (drain,) = decide_cordon(cluster, [a_warning(), again], DEFAULTS).actions

    assert isinstance(drain, DrainInstance)
    assert (instance_arn(SPOT),) == drain.arns
    assert (REPLACE,) == decide_replacement(cluster, [again], DEFAULTS).actions


def test_an_instance_that_registers_is_looked_at_again_while_there_is_time() -> None:
    """REGISTERING becomes ACTIVE in a moment and takes tasks; after the deadline there is nothing to wait for."""
    cluster = a_cluster(an_instance(status="REGISTERING"))

    assert [("still-registering", SPOT)] == codes(decide_cordon(cluster, [a_warning()], DEFAULTS))
    late = replace(cluster, seen_at=NOW + timedelta(seconds=120))
    assert [("not-registered", SPOT)] == codes(decide_cordon(late, [a_warning()], DEFAULTS))


def test_an_instance_that_could_not_be_described_is_not_replaced_yet() -> None:
    """Rules 4 and 5: without its description nobody knows whether ECS sizes the group, so the replacement waits."""
    plan = decide_replacement(a_cluster(an_instance(described=False)), [a_warning()], DEFAULTS)

    assert () == plan.actions
    assert [("replacement-postponed", SPOT)] == codes(plan)


@pytest.mark.parametrize(("eni", "constrained"), [(True, False), (False, True)])
def test_room_that_depends_on_more_than_sizes_is_not_judged(eni: bool, constrained: bool) -> None:
    """Network interfaces and constraints are not read for one warning: the finding says so instead of claiming room."""
    plan = blockers(a_task(eni=eni), services=(a_service(constrained=constrained),), neighbours=(an_instance(OTHER),))

    assert [("room-not-judged", "web")] == codes(plan)


def test_managed_scaling_is_stood_back_from() -> None:
    """Rule 4: the size of a group that ECS's managed scaling governs is left to it, and that is said."""
    cluster = a_cluster(an_instance(capacity_provider="spot-provider"), capacity_providers=(a_provider(),))

    plan = decide_replacement(cluster, [a_warning()], DEFAULTS)

    assert () == plan.actions
    assert [("managed-draining", SPOT), ("left-to-capacity-provider", SPOT)] == codes(plan)


def test_a_capacity_provider_that_could_not_be_read_is_taken_as_managing() -> None:
    """Rule 5: missing data means no action."""
    cluster = a_cluster(an_instance(capacity_provider="spot-provider"), unread={"capacity providers": "Throttling"})

    assert () == decide_replacement(cluster, [a_warning()], DEFAULTS).actions


def test_a_capacity_provider_without_managed_scaling_leaves_the_replacement_to_us() -> None:
    """Only managed scaling sizes a group; managed draining alone does not."""
    cluster = a_cluster(an_instance(capacity_provider="spot-provider"), capacity_providers=(a_provider(scaling=False),))

    assert (REPLACE,) == decide_replacement(cluster, [a_warning()], DEFAULTS).actions


def test_replacement_can_be_turned_off() -> None:
    """The policy's draining.replace = false is obeyed and said."""
    plan = decide_replacement(a_cluster(), [a_warning()], Policy(draining=DrainingPolicy(replace=False)))

    assert () == plan.actions
    assert [("replacement-disabled", SPOT)] == codes(plan)


def blockers(*tasks: object, services: tuple[object, ...] = (), **changes: Any) -> Plan:
    """What is said of ``tasks`` on the leaving instance."""
    cluster = a_cluster(tasks=tasks, services=services, **changes)
    return decide_blockers(cluster, [a_warning()], [instance_arn(SPOT)])


def test_a_standalone_task_is_named_with_its_end() -> None:
    """ECS does not move tasks that belong to no service."""
    (finding,) = blockers(a_task("t1", group="family:nightly")).findings

    expected = f"family:nightly belongs to no service, so ECS does not move it: it ends with {SPOT} at 03:02:00 UTC"
    assert Finding("standalone-task", "t1", expected) == finding


def test_a_service_at_100_and_100_is_locked() -> None:
    """With min = max = 100 %, ECS may neither stop first nor start first."""
    service = a_service(desired=2, min_healthy_percent=100, max_percent=100)

    (finding,) = blockers(a_task(), services=(service,), neighbours=(an_instance(OTHER),)).findings

    assert ("service-locked", "web") == (finding.code, finding.subject)
    assert "min 100 %, max 100 %" in finding.message


def test_rounding_locks_a_service_of_one() -> None:
    """With desired 1, min 50 %, max 100 %: half a task rounds up to one, so nothing may stop and nothing may start."""
    service = a_service(desired=1, min_healthy_percent=50, max_percent=100)

    assert [("service-locked", "web")] == codes(blockers(a_task(), services=(service,), neighbours=(an_instance(OTHER),)))


def test_room_elsewhere_is_silent() -> None:
    """A service that can move and has room is no finding; exactly enough room is room."""
    assert Plan() == blockers(a_task(), services=(a_service(),), neighbours=(an_instance(OTHER, cpu=256, memory=512),))


@pytest.mark.parametrize("room", [{"cpu": 255, "memory": 512}, {"cpu": 256, "memory": 511}])
def test_no_room_elsewhere_is_said(room: dict[str, int]) -> None:
    """One unit too little of one resource is no room."""
    plan = blockers(a_task(), services=(a_service(),), neighbours=(an_instance(OTHER, **room),))

    assert [("no-room-elsewhere", "web")] == codes(plan)
    assert "they run until EC2 takes the instance" in plan.findings[0].message


def test_room_is_not_counted_twice() -> None:
    """Two tasks and room for one: the room is taken by the first."""
    plan = blockers(a_task("a"), a_task("b"), services=(a_service(),), neighbours=(an_instance(OTHER, cpu=256, memory=512),))

    assert [("no-room-elsewhere", "web")] == codes(plan)
    assert plan.findings[0].message.startswith("1 task ")


def test_a_sample_without_room_proves_nothing() -> None:
    """Where not all neighbours were looked at, the finding does not claim that there is no room."""
    plan = blockers(a_task(), services=(a_service(),), neighbours=(an_instance(OTHER, cpu=0),), neighbours_whole=False)

    assert [("room-not-proven", "web")] == codes(plan)


def test_a_leaving_or_disconnected_neighbour_is_no_room() -> None:
    """Neither an instance that leaves itself nor one whose agent is away can take work."""
    neighbours = (an_instance(SPOT), an_instance(OTHER, agent_connected=False))

    assert [("no-room-elsewhere", "web")] == codes(blockers(a_task(), services=(a_service(),), neighbours=neighbours))


def test_a_service_that_may_stop_first_leaves_in_time_without_room() -> None:
    """With min < 100 %, the tasks stop in time, and the finding says that they come back later."""
    (finding,) = blockers(a_task(), services=(a_service(desired=4, min_healthy_percent=50),)).findings

    assert "no-room-elsewhere" == finding.code
    assert "they stop in time" in finding.message


def test_daemons_and_ending_tasks_are_no_blockers() -> None:
    """A daemon belongs to its instance; what already stops, or never started, is not waited for."""
    plan = blockers(
        a_task("d", group="service:agent"),
        a_task("s", desired_status="STOPPED"),
        a_task("p", last_status="PENDING"),
        services=(a_service("agent", daemon=True, min_healthy_percent=0, max_percent=100), a_service()),
    )

    assert Plan() == plan


def test_what_could_not_be_looked_at_is_said() -> None:
    """Unread parts, unknown services and sizes, and tasks not examined each have their finding; none is guessed."""
    plan = blockers(
        a_task("a", known_size=False),
        a_task("b", group="service:gone"),
        services=(a_service(),),
        unread={"groups": "Throttling"},
        tasks_unexamined=frozenset({"x"}),
    )

    expected = [("service-unknown", "b"), ("task-size-unknown", "orders"), ("not-observed", "orders"), ("tasks-not-examined", "orders")]
    assert expected == codes(plan)


def test_unread_neighbours_make_no_claim_about_room() -> None:
    """Rule 5: a list that could not be read is not an empty list."""
    plan = blockers(a_task(), services=(a_service(),), unread={"neighbours": "Throttling"})

    assert [("not-observed", "orders")] == codes(plan)


@pytest.mark.parametrize(
    ("group", "status"),
    [
        (None, "skipped"),
        (a_group(), "skipped"),
        (a_group(GroupMember(SPOT, "Terminating:Wait")), "skipped"),
        (a_group(GroupMember(SPOT, "InService"), cluster=None), "skipped"),
        (a_group(GroupMember(SPOT, "InService")), "failed"),
    ],
)
def test_a_refused_detach_is_explained(group: object, status: str) -> None:
    """A refusal fails only where the instance still serves in an opted-in group; each case says why."""
    refused = Outcome(REPLACE, "failed", "DetachInstances: ValidationError: no")

    (outcome,), plan = explain_refusals(a_cluster(groups=(group,) if group else ()), [refused])

    assert status == outcome.status
    assert [("replacement-refused", SPOT)] == codes(plan)


def test_a_refusal_that_cannot_be_explained_stays_a_failure() -> None:
    """When the group cannot be read either, the action has failed and is retried."""
    refused = Outcome(REPLACE, "failed", "DetachInstances: Throttling")

    assert ((refused,), Plan()) == explain_refusals(a_cluster(unread={"groups": "Throttling"}), [refused])


def test_bounds_round_as_ECS_rounds() -> None:
    """The lower bound rounds up, the upper down: 3 tasks at 50/150 are 2 to 4."""
    assert (2, 4) == healthy_bounds(a_service(desired=3, min_healthy_percent=50, max_percent=150))


STATUSES = st.sampled_from(["ACTIVE", "DRAINING", "REGISTERING", "DEREGISTERING", "INACTIVE"])
INSTANCES = st.lists(
    st.builds(
        lambda n, status, ours: an_instance(f"i-0aaa000000000{n:04d}", status=status, drain=a_mark() if ours else None),
        st.integers(1, 4),
        STATUSES,
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


@given(INSTANCES, st.randoms(use_true_random=False))
def test_rule_7_order_and_number_of_events_do_not_matter(instances: list[object], random: object) -> None:
    """The same warnings twice and in any order make the same plan, up to its order."""
    cluster = a_cluster(*instances)  # type: ignore[arg-type]
    once = [a_warning(h.id) for h in cluster.hosts]
    again = once * 2
    random.shuffle(again)  # type: ignore[attr-defined]

    for decide in (decide_cordon, decide_replacement):
        assert set(decide(cluster, once, DEFAULTS).actions) == set(decide(cluster, again, DEFAULTS).actions)


@given(INSTANCES)
def test_rule_3_every_drain_has_a_cause_and_a_deadline_and_only_active_ones_are_set(instances: list[object]) -> None:
    """What is drained is ACTIVE, and marked; and after it is done the same event drains nothing."""
    cluster = a_cluster(*instances)  # type: ignore[arg-type]
    warnings = [a_warning(h.id) for h in cluster.hosts]
    plan = decide_cordon(cluster, warnings, DEFAULTS)
    drained = set(leaving_arns(plan))

    assert drained == {i.arn for i in cluster.instances if i.status == "ACTIVE"}
    assert all(a.mark.cause and a.mark.deadline > a.mark.since for a in plan.actions if isinstance(a, DrainInstance))
    after = replace(cluster, instances=tuple(replace(i, status="DRAINING") if i.arn in drained else i for i in cluster.instances))
    assert () == decide_cordon(after, warnings, DEFAULTS).actions


@given(INSTANCES)
def test_rule_4_nothing_is_planned_for_an_instance_that_did_not_opt_in(instances: list[object]) -> None:
    """A plan's targets are instances of hosts that carry the tag, and nothing else."""
    cluster = a_cluster(*instances)  # type: ignore[arg-type]
    warnings = [a_warning(h.id) for h in cluster.hosts] + [a_warning("i-0fff0000000000001")]

    targets = {a.target for d in (decide_cordon, decide_replacement) for a in d(cluster, warnings, DEFAULTS).actions}

    assert targets <= {h.id for h in cluster.hosts}
