"""Bulwark's own alarms: which there are to be, and which are not Bulwark's to remove."""

from dataclasses import replace
from typing import Any

import pytest

from bulwark.core.capacity_alarms import Alarm, alarm_name, decide_alarms
from bulwark.core.plan import PutAlarm, RemoveAlarm
from bulwark.core.policies import CapacityPolicy, Policy

CPU, MEMORY = "bulwark/orders/CPUReservation", "bulwark/orders/MemoryReservation"
THERE = (Alarm(CPU, "orders", "CPUReservation", 90), Alarm(MEMORY, "orders", "MemoryReservation", 90))


def decided(*existing: Alarm, **policies: Policy) -> list[tuple[str, str]]:
    """What is put and removed, by target."""
    return [(type(a).__name__, a.target) for a in decide_alarms(policies, existing).actions]


def test_two_for_each_cluster() -> None:
    """CPU and memory, at the policy's percent."""
    plan = decide_alarms({"orders": Policy(capacity=CapacityPolicy(alarm_percent=75))}, ())

    assert [(CPU, "orders", "CPUReservation", 75), (MEMORY, "orders", "MemoryReservation", 75)] == [
        (a.target, a.cluster, a.metric, a.threshold) for a in plan.actions if isinstance(a, PutAlarm)
    ]
    assert 2 == len(plan.actions)


def test_those_that_are_there_are_left_as_they_are() -> None:
    """No call for nothing."""
    assert [] == decided(*THERE, orders=Policy())


@pytest.mark.parametrize("change", [{"threshold": 80}, {"metric": "GPUReservation"}, {"cluster": "billing"}])
def test_one_that_somebody_changed_is_put_right(change: dict[str, Any]) -> None:
    """Threshold, metric or dimension."""
    assert [("PutAlarm", CPU)] == decided(replace(THERE[0], **change), THERE[1], orders=Policy())


@pytest.mark.parametrize(
    "policies",
    [
        {},
        {"orders": Policy(capacity=CapacityPolicy(alarm_percent=0))},
        {"orders": Policy(capacity=CapacityPolicy(enabled=False))},
        {"orders2": Policy(capacity=CapacityPolicy(alarm_percent=0))},
    ],
)
def test_nothing_is_left_behind(policies: dict[str, Policy]) -> None:
    """Opted out, no alarms asked for, capacity turned off."""
    assert [("RemoveAlarm", CPU), ("RemoveAlarm", MEMORY)] == decided(*THERE, **policies)


@pytest.mark.parametrize(
    "alarm",
    [
        Alarm("bulwark/orders/mine", "orders", "CPUReservation", 50),
        Alarm("bulwark/billing/CPUReservation", "orders", "CPUReservation", 50),
        Alarm("bulwark/orders/CPUReservation", "orders", "MemoryReservation", 50),
    ],
)
def test_what_is_not_named_as_bulwark_names_its_own_stays(alarm: Alarm) -> None:
    """Somebody put it under the prefix."""
    assert [] == decided(alarm)


def test_one_cluster_of_two_has_opted_out() -> None:
    """Only its alarms go."""
    other = Alarm("bulwark/billing/CPUReservation", "billing", "CPUReservation", 90)
    plan = decide_alarms({"orders": Policy()}, (*THERE, other))

    assert [other.name] == [a.target for a in plan.actions if isinstance(a, RemoveAlarm)]
    assert 1 == len(plan.actions)


def test_names_differ_for_the_longest_cluster_names() -> None:
    """A cluster's name may have 255 characters, an alarm's too: two metrics are still two alarms."""
    name = "c" * 255

    assert alarm_name(name, "CPUReservation") != alarm_name(name, "MemoryReservation")
    assert len(alarm_name(name, "CPUReservation")) <= 255
