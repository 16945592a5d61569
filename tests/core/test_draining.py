"""Draining decisions, by comparing plans. What is said of the work on the instance is in test_draining_blockers."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulwark.core.cluster import GroupMember, Hook
from bulwark.core.draining import (
    decide_cordon,
    decide_foreign,
    decide_lost_hooks,
    decide_replacement,
    explain_refusals,
    leaving_arns,
)
from bulwark.core.plan import CompleteLifecycleAction, DrainInstance, Outcome, Plan, ReplaceInstance
from bulwark.core.policies import DrainingPolicy, Policy
from bulwark.core.signals import TerminateHook
from tests.builders import (
    NOW,
    OTHER,
    SPOT,
    TOKEN,
    a_change,
    a_cluster,
    a_draining,
    a_group,
    a_hook_notice,
    a_host,
    a_mark,
    a_provider,
    a_state,
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


def test_a_hook_drains_its_instance_and_keeps_its_token() -> None:
    """The mark comes first, with the token that lets the hook go on."""
    (action,) = decide_cordon(a_cluster(), [a_hook_notice()], DEFAULTS).actions

    assert isinstance(action, DrainInstance)
    assert ("terminate-hook", TOKEN, True) == (action.mark.cause, action.mark.hook, action.mark_first)


def test_T12_the_hook_of_an_instance_that_is_not_registered_goes_on_at_once() -> None:
    """Hazard T12, T13: nothing to wait for, so our hook, in its group, by its token, is continued; no other ever is."""
    plan = decide_cordon(a_cluster(an_instance(OTHER), hosts=[a_host()]), [a_hook_notice()], DEFAULTS)

    reason = "it is not registered with ECS, so there is nothing to wait for"
    assert (CompleteLifecycleAction(SPOT, "orders-spot", "bulwark-drain", TOKEN, reason),) == plan.actions


def test_a_hook_adopts_what_its_agent_or_somebody_else_drains_already() -> None:
    """T22: DRAINING without a mark, and our hook waits: marked, so that the hook goes on in the end."""
    (action,) = decide_cordon(a_cluster(an_instance(status="DRAINING")), [a_hook_notice()], DEFAULTS).actions

    assert isinstance(action, DrainInstance)
    assert TOKEN == action.mark.hook


def test_T1_the_same_hook_event_again_plans_nothing() -> None:
    """Hazard T1: marked with this very token, the drain goes on."""
    plan = decide_cordon(a_cluster(a_draining(running=1)), [a_hook_notice()], DEFAULTS)

    assert ((), [("already-draining", SPOT)]) == (plan.actions, codes(plan))


def test_a_hook_event_during_another_drain_adds_its_token() -> None:
    """Being retired, and now ended by its group: the mark learns the token, so that the hook does not run out."""
    cluster = a_cluster(a_draining(mark=a_mark("scheduled-retirement", minutes=600)))

    (action,) = decide_cordon(cluster, [a_hook_notice()], DEFAULTS).actions

    assert isinstance(action, DrainInstance)
    assert ("scheduled-retirement", TOKEN) == (action.mark.cause, action.mark.hook)


@pytest.mark.parametrize("providers", [(a_provider(),), ()])
def test_managed_draining_is_stood_back_from_on_hooks(providers: tuple[object, ...]) -> None:
    """Rule 4: ECS answers the group's hooks itself, or may: nothing is done, and that is said."""
    cluster = a_cluster(an_instance(capacity_provider="spot-provider"), capacity_providers=providers)

    plan = decide_cordon(cluster, [a_hook_notice()], DEFAULTS)

    assert ((), [("hook-left-to-managed-draining", SPOT)]) == (plan.actions, codes(plan))
    assert decide_cordon(cluster, [a_warning()], DEFAULTS).actions


@pytest.mark.parametrize("kind", ["retirement", "stop", "maintenance"])
def test_a_scheduled_change_drains_and_replaces(kind: Any) -> None:
    """Marked first, with the notice's own deadline; and another instance is asked for at once."""
    (action,) = decide_cordon(a_cluster(), [a_change(kind=kind)], DEFAULTS).actions

    assert isinstance(action, DrainInstance)
    assert (NOW + timedelta(days=14), True) == (action.mark.deadline, action.mark_first)
    assert (REPLACE,) == decide_replacement(a_cluster(), [a_change(kind=kind)], DEFAULTS).actions


@pytest.mark.parametrize("state", ["stopping", "shutting-down"])
def test_a_host_that_goes_down_takes_no_more_work(state: str) -> None:
    """DRAINING at once, so that ECS starts replacements now and places nothing on it."""
    (action,) = decide_cordon(a_cluster(hosts=[a_host(state=state)]), [a_state(state)], DEFAULTS).actions

    assert isinstance(action, DrainInstance)
    assert ("host-stopping", False) == (action.mark.cause, action.mark_first)


def test_an_event_about_an_earlier_stop_drains_nothing() -> None:
    """Rule 7: it comes late, and EC2 says that the instance runs: what is observed counts."""
    plan = decide_cordon(a_cluster(), [a_state("stopping"), a_state("shutting-down")], DEFAULTS)

    assert ((), [("state-outdated", SPOT)]) == (plan.actions, codes(plan))


def test_an_announcement_that_is_long_over_drains_and_replaces_nothing() -> None:
    """It comes again two hours after its time, and the instance runs on: EC2 has spared it."""
    late = replace(a_cluster(), seen_at=NOW + timedelta(hours=2))

    plan = decide_cordon(late, [a_change(days=0)], DEFAULTS)

    assert ((), [("state-outdated", SPOT)]) == (plan.actions, codes(plan))
    assert Plan() == decide_replacement(late, [a_change(days=0)], DEFAULTS)


def test_hooks_that_wait_unheard_are_found_in_the_group() -> None:
    """Lifecycle events are best effort: Terminating:Wait, our hook, and no drain for it."""
    hooks = (Hook("bulwark-drain", 300),)
    members = (GroupMember(SPOT, "Terminating:Wait"), GroupMember(OTHER, "Terminating:Wait"), GroupMember("i-3", "InService"))
    cluster = a_cluster(an_instance(SPOT), a_draining(OTHER), groups=(a_group(*members, hooks=hooks),))

    assert (TerminateHook(SPOT, "orders-spot", NOW),) == decide_lost_hooks(cluster)
    assert () == decide_lost_hooks(replace(cluster, groups=(a_group(*members, hooks=(Hook("other", 300),)),)))
    assert () == decide_lost_hooks(replace(cluster, groups=(a_group(*members),)))


def test_an_instance_that_our_hook_holds_is_not_replaced_by_us() -> None:
    """Its group is ending it: whether another comes is the group's own affair, and detaching would be refused."""
    cluster = a_cluster(a_draining(mark=a_mark(hook=TOKEN)))

    assert Plan() == decide_replacement(cluster, [a_warning()], DEFAULTS)
