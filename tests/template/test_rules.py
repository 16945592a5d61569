"""Each sample event triggers the rule it is a sample of and no other, and each rule has a sample."""

import json
from pathlib import Path
from typing import Any

import pytest

from workbench.template import Rule, load_rules, rules_for

EVENTS = Path(__file__).resolve().parents[2] / "events"

MEANT_FOR: dict[str, set[str]] = {
    "spot_interruption_warning.json": {"SpotInterruptionRule"},
    "spot_interruption_warning_foreign.json": {"SpotInterruptionRule"},
    "spot_interruption_warning_stop.json": {"SpotInterruptionRule"},
}
"""Which rules each file in events/ is a sample of."""

MAX_PATTERN = 2048
"""The most characters that an event pattern may have (EventBridge quotas)."""

ENVELOPE = {"version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"}


@pytest.fixture(scope="module")
def rules() -> tuple[Rule, ...]:
    """The rules of template.yaml."""
    return load_rules()


def sample(name: str) -> dict[str, Any]:
    """The sample event in a file of events/."""
    event = json.loads((EVENTS / name).read_text(encoding="utf-8"))
    assert isinstance(event, dict)
    return event


def test_every_sample_is_accounted_for() -> None:
    """A new file in events/ must say here which rules it is for."""
    assert {path.name for path in EVENTS.iterdir()} == set(MEANT_FOR)


@pytest.mark.parametrize("name", sorted(MEANT_FOR))
def test_a_sample_triggers_its_rules_and_no_other(rules: tuple[Rule, ...], name: str) -> None:
    """The rules that match the sample are exactly those it is meant for."""
    assert {rule.name for rule in rules_for(rules, sample(name))} == MEANT_FOR[name]


def test_every_rule_has_a_sample(rules: tuple[Rule, ...]) -> None:
    """No rule of the template goes without an event that triggers it."""
    assert rules
    assert {rule.name for rule in rules} == set().union(*MEANT_FOR.values())


@pytest.mark.parametrize("name", sorted(MEANT_FOR))
def test_a_sample_is_a_whole_event(name: str) -> None:
    """Samples carry every field of EventBridge's envelope, and no other."""
    assert sample(name).keys() == ENVELOPE


@pytest.mark.parametrize("name", sorted(MEANT_FOR))
def test_spot_samples_keep_the_trap_in_the_arn(name: str) -> None:
    """A Spot warning's ARN carries a zone where the Region belongs and no account, as AWS sends it."""
    event = sample(name)
    (arn,) = event["resources"]
    assert arn.split(":")[3] in {f"{event['region']}{zone}" for zone in "abc"}
    assert arn == f"arn:aws:ec2:{arn.split(':')[3]}:instance/{event['detail']['instance-id']}"


def test_patterns_are_within_aws_limit(rules: tuple[Rule, ...]) -> None:
    """EventBridge refuses a pattern of more than 2,048 characters."""
    for rule in rules:
        assert len(json.dumps(rule.source)) <= MAX_PATTERN, rule.name


def test_spot_warnings_are_delivered_through_their_queue(rules: tuple[Rule, ...]) -> None:
    """Spot warnings come in bursts: they are batched by a queue, which also keeps what could not be handled."""
    (rule,) = [rule for rule in rules if rule.name == "SpotInterruptionRule"]
    assert (rule.delivery, rule.queue, rule.function.stem) == ("sqs", "DrainingQueue", "draining")


def test_another_event_of_the_same_source_triggers_nothing(rules: tuple[Rule, ...]) -> None:
    """An EC2 event of another detail-type, or the same detail-type from elsewhere, is not the Spot rule's business."""
    event = sample("spot_interruption_warning.json")
    assert rules_for(rules, {**event, "detail-type": "EC2 Instance Terminated Just Now"}) == []
    assert rules_for(rules, {**event, "source": "my.app"}) == []
