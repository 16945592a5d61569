"""Causes, deadlines and which of several counts."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulwark.core.cluster import BY_INSTANCE, DrainMark, Hook
from bulwark.core.draining_marks import RANKS, SCHEDULED, hook_deadline, mark_of, mark_on, strongest
from bulwark.core.policies import DrainingPolicy, Policy
from bulwark.core.signals import Notice
from tests.builders import NOW, TOKEN, a_change, a_hook_notice, a_mark, a_recommendation, a_state, a_warning, an_instance


@pytest.mark.parametrize(
    ("notice", "expected"),
    [
        (a_warning(), DrainMark("spot-interruption", NOW, NOW + timedelta(seconds=120))),
        (a_hook_notice(), DrainMark("terminate-hook", NOW, NOW + timedelta(minutes=60), TOKEN, NOW)),
        (a_hook_notice(token=None), DrainMark("terminate-hook", NOW, NOW + timedelta(minutes=60), BY_INSTANCE, NOW)),
        (a_change(), DrainMark("scheduled-retirement", NOW, NOW + timedelta(days=14))),
        (a_change(kind="stop"), DrainMark("scheduled-stop", NOW, NOW + timedelta(days=14))),
        (a_change(kind="maintenance"), DrainMark("scheduled-maintenance", NOW, NOW + timedelta(days=14))),
        (a_state("stopping"), DrainMark("host-stopping", NOW, NOW)),
        (a_state("shutting-down"), DrainMark("host-stopping", NOW, NOW)),
        (a_state("terminated"), None),
        (a_recommendation(), None),
    ],
)
def test_each_notice_has_its_cause_and_deadline(notice: Notice, expected: DrainMark | None) -> None:
    """Spot: two minutes; hook: the policy's; scheduled: the notice's; a stopping host: now."""
    assert expected == mark_of(notice, NOW, Policy())


def test_the_policy_says_how_long_a_hook_may_hold() -> None:
    """hook_minutes is the deadline of a hook's drain."""
    mark = mark_of(a_hook_notice(), NOW, Policy(draining=DrainingPolicy(hook_minutes=5)))

    assert mark is not None
    assert NOW + timedelta(minutes=5) == mark.deadline


@pytest.mark.parametrize(
    ("heartbeat", "limit"),
    [(30, timedelta(seconds=3000)), (36, timedelta(minutes=60)), (7200, timedelta(minutes=60))],
)
def test_a_hook_s_deadline_is_the_smaller_of_policy_and_auto_scaling_s_limit(heartbeat: int, limit: timedelta) -> None:
    """100 heartbeats of 30 s are less than the policy's hour; 48 hours are more."""
    mark = a_mark("terminate-hook", minutes=60, hook=TOKEN)

    assert NOW + limit == hook_deadline(mark, Hook("bulwark-drain", heartbeat), Policy())


def test_forty_eight_hours_are_the_most() -> None:
    """Whatever policy and heartbeats say, a hook holds no longer than 48 hours."""
    mark = a_mark("terminate-hook", minutes=60 * 24 * 3, hook=TOKEN)

    assert NOW + timedelta(hours=48) == hook_deadline(mark, Hook("bulwark-drain", 7200), Policy())


def test_a_hook_counts_from_when_it_began_not_from_an_older_drain() -> None:
    """Drained for maintenance for three days, and now its group ends it: the hook has its hour from now on, not since three days."""
    maintained = DrainMark("scheduled-maintenance", NOW - timedelta(days=3), NOW + timedelta(days=4))
    hook = mark_of(a_hook_notice(), NOW, Policy())

    both = strongest([maintained, hook])

    assert both is not None
    assert ("scheduled-maintenance", NOW, NOW - timedelta(days=3)) == (both.cause, both.hook_since, both.since)
    assert NOW + timedelta(minutes=60) == hook_deadline(both, Hook("bulwark-drain", 300), Policy())
    assert NOW + timedelta(minutes=50) == hook_deadline(both, Hook("bulwark-drain", 30), Policy())


def test_what_AWS_postpones_is_postponed() -> None:
    """The notice comes again with a later date, before or after the earlier one: the later one counts."""
    earlier, later = a_mark("scheduled-retirement", minutes=60), a_mark("scheduled-retirement", minutes=600)

    assert later == strongest([earlier, later]) == strongest([later, earlier])


def test_an_instance_is_alone_only_if_it_always_was() -> None:
    """Marked in its group, and marked again outside it: Bulwark took it out, and has to end it."""
    assert not getattr(strongest([a_mark(), replace(a_mark(), alone=True)]), "alone", True)
    assert getattr(strongest([replace(a_mark(), alone=True)]), "alone", False)


def test_a_spot_warning_outranks_a_hook_and_the_hook_still_waits() -> None:
    """The Spot deadline holds, and the hook's token is kept so that it can go on."""
    hook = a_mark("terminate-hook", minutes=60, hook=TOKEN)

    assert DrainMark("spot-interruption", NOW, NOW + timedelta(minutes=2), TOKEN, NOW) == strongest([hook, a_mark()])


def test_what_EC2_announced_is_not_forgotten_for_a_hook() -> None:
    """A retirement keeps its cause and its deadline: the hook's event may be an old one, and then the drain goes on."""
    retired = a_mark("scheduled-retirement", minutes=600)

    assert replace(retired, hook=TOKEN, hook_since=NOW) == strongest([retired, a_mark("terminate-hook", minutes=60, hook=TOKEN)])


def test_what_is_our_own_choice_shortens_nobody_s_deadline() -> None:
    """A voluntary deadline is no reason to be quicker than EC2 asks."""
    voluntary = a_mark("rebalance-recommendation", minutes=1)

    assert a_mark("scheduled-stop", minutes=90) == strongest([voluntary, a_mark("scheduled-stop", minutes=90)])


def test_a_known_token_replaces_one_that_was_only_guessed() -> None:
    """The event comes after the sweep has found the hook by itself: its token counts from then on."""
    found = a_mark("terminate-hook", minutes=60, hook=BY_INSTANCE)
    told = a_mark("terminate-hook", minutes=60, hook=TOKEN)

    assert TOKEN == getattr(strongest([found, told]), "hook", None)
    assert TOKEN == getattr(strongest([told, found]), "hook", None)


def test_the_mark_is_that_of_all_registrations_together() -> None:
    """T24: one of two registrations carries the mark: the instance does."""
    assert a_mark() == mark_on([an_instance(arn="a"), an_instance(arn="b", drain=a_mark())])
    assert mark_on([an_instance()]) is None


MARKS = st.builds(
    lambda cause, minutes, hook, age: a_mark(cause, minutes=minutes, hook=hook, since=NOW - timedelta(minutes=age)),
    st.sampled_from(sorted(RANKS)),
    st.integers(0, 600),
    st.sampled_from([None, TOKEN, BY_INSTANCE]),
    st.integers(0, 60),
)


@given(st.lists(MARKS, min_size=1, max_size=4))
def test_marks_add_up_the_same_in_any_order_and_any_number(marks: list[DrainMark]) -> None:
    """Rule 7: the same notices twice, or in another order, make the same mark."""
    once = strongest(marks)

    assert once == strongest(list(reversed(marks))) == strongest([*marks, once]) == strongest([*marks, *marks])
    assert once is not None
    assert once.since == min(m.since for m in marks)
    of_cause = [m.deadline for m in marks if m.cause == once.cause]
    assert once.deadline == (max(of_cause) if once.cause in SCHEDULED else min(of_cause))
