"""When a group rests, how long, and when it is back."""

from datetime import datetime, timedelta

import pytest

from bulwark.core.capacity_rest import Activity, Rest, decide_rest, lacks_capacity
from tests.builders import NOW

NO_SPOT = "There is no Spot capacity available that matches your request"


def minute(number: float) -> datetime:
    """A moment."""
    return NOW + timedelta(minutes=number)


def failed(at: float, message: str = NO_SPOT) -> Activity:
    """A launch that failed."""
    return Activity(minute(at), True, message)


def worked(at: float) -> Activity:
    """A launch that worked."""
    return Activity(minute(at), False)


def lived(until: int, *activities: Activity) -> list[tuple[int, int, int]]:
    """Each new rest: the minute it began, its number in a row, its minutes. Looked at each minute, as the sweep does."""
    rest: Rest | None = None
    begun: list[tuple[int, int, int]] = []
    for now in range(until):
        before, rest = rest, decide_rest([a for a in activities if a.at <= minute(now)], rest, minute(now))
        if rest is not None and rest != before:
            begun.append((now, rest.strikes, int((rest.until - minute(now)).total_seconds()) // 60))
    return begun


def test_rests_grow_to_half_an_hour_while_auto_scaling_fails_on() -> None:
    """It tries by itself each minute what it was asked for."""
    assert [(0, 1, 5), (5, 2, 10), (15, 3, 20), (35, 4, 30), (65, 5, 30)] == lived(90, *[failed(n) for n in range(90)])


def test_one_failure_is_one_rest() -> None:
    """However often it is looked at, and though it stays among the activities."""
    assert [(0, 1, 5)] == lived(60, failed(0))


def test_a_failure_after_the_rest_makes_the_next_longer() -> None:
    """It was asked again, and failed again."""
    assert [(0, 1, 5), (12, 2, 10)] == lived(30, failed(0), failed(12))


def test_a_failure_long_after_the_rest_begins_anew() -> None:
    """Half an hour after it: forgotten."""
    assert [(0, 1, 5), (36, 1, 5)] == lived(60, failed(0), failed(36))


def test_a_launch_that_works_ends_the_rest_at_once() -> None:
    """And the next failure is the first again."""
    assert [(0, 1, 5), (4, 1, 5)] == lived(10, failed(0), worked(2), failed(4))
    assert decide_rest([failed(0), worked(1)], Rest(minute(5), minute(0)), minute(1)) is None


def test_a_launch_that_worked_before_it_failed_ends_nothing() -> None:
    """What counts is what came last, in whatever order AWS tells it."""
    for activities in ([worked(0), failed(1)], [failed(1), worked(0)]):
        rest = decide_rest(activities, None, minute(2))
        assert rest is not None
        assert (minute(7), minute(1), 1) == (rest.until, rest.failed_at, rest.strikes)


def test_a_failure_of_long_ago_is_no_reason_to_rest() -> None:
    """Half an hour is long."""
    assert decide_rest([failed(0)], None, minute(31)) is None
    assert decide_rest([failed(0)], None, minute(30)) is not None


def test_nothing_is_known_and_nothing_is_rested() -> None:
    """A group that never tried anything."""
    assert decide_rest([], None, NOW) is None


def test_the_rest_that_runs_stays_as_it_is_if_nothing_new_is_known() -> None:
    """Activities may be gone from the answer."""
    rest = Rest(minute(5), minute(0), 1, "x")

    assert rest == decide_rest([], rest, minute(3))


def test_the_reason_is_one_short_line() -> None:
    """AWS's text has line ends, and may be long."""
    rest = decide_rest([failed(0, "no\n  Spot capacity available " + "x" * 300)], None, NOW)

    assert rest is None or "\n" not in rest.because
    again = decide_rest([failed(0, "insufficientinstancecapacity \n " + "x" * 300)], None, NOW)
    assert again is not None
    assert (120, False) == (len(again.because), "\n" in again.because)


@pytest.mark.parametrize(
    "message",
    [
        "We currently do not have sufficient m5.large capacity in the Availability Zone you requested (us-east-1a).",
        NO_SPOT,
        "Could not launch Spot Instances. UnfulfillableCapacity - Unable to fulfill capacity due to your request configuration.",
        "Could not launch Spot Instances. InsufficientInstanceCapacity - There is no Spot capacity",
        "MaxSpotInstanceCountExceeded",
        "VcpuLimitExceeded",
        "You have requested more vCPU capacity than your current vCPU limit of 32 allows",
        "Your Spot request price of 0.01 is lower than the minimum required Spot request fulfillment price of 0.02.",
        "Your requested instance type (m9.large) is not supported in your requested Availability Zone (us-east-1e).",
    ],
)
def test_these_say_that_there_is_no_capacity(message: str) -> None:
    """EC2 Auto Scaling's own texts (facts F.3)."""
    assert lacks_capacity(message)


@pytest.mark.parametrize(
    "message",
    [
        "Client.InternalError: Client error on launch",
        "The security group 'sg-1' does not exist. Launching EC2 instance failed.",
        "The key pair 'x' does not exist. Launching EC2 instance failed.",
        "InvalidParameterCombination",
        "You are not authorized to perform this operation.",
        "",
    ],
)
def test_these_say_that_something_is_set_up_wrong(message: str) -> None:
    """That does not pass by waiting, and another group's launches may fail of it as well: no rest."""
    assert not lacks_capacity(message)
    assert decide_rest([failed(0, message)], None, NOW) is None
