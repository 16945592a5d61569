"""Events in, signals or one-line errors out."""

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulwark.core.signals import SpotInterruption
from bulwark.shell.draining import subject_of
from bulwark.shell.parse import parse_batch, parse_event
from bulwark.shell.parse_fields import INSTANCE_ID, EventError


def an_event(**changes: Any) -> dict[str, Any]:
    """A Spot interruption warning as AWS sends it, the ARN's zone in the Region's place included."""
    return {
        "version": "0",
        "id": "12345678-1234-1234-1234-123456789012",
        "detail-type": "EC2 Spot Instance Interruption Warning",
        "source": "aws.ec2",
        "account": "123456789012",
        "time": "2026-11-24T03:00:00Z",
        "region": "us-east-1",
        "resources": ["arn:aws:ec2:us-east-1b:instance/i-0ccc0000000000003"],
        "detail": {"instance-id": "i-0aaa0000000000001", "instance-action": "terminate"},
    } | changes


def test_the_instance_is_the_one_in_detail_not_in_the_arn() -> None:
    """The ARN of a Spot warning is malformed; the id in ``detail`` is the one that counts."""
    expected = SpotInterruption("i-0aaa0000000000001", datetime(2026, 11, 24, 3, tzinfo=UTC), "terminate")

    assert (expected,) == parse_event(json.dumps(an_event()))


def test_unknown_fields_are_tolerated() -> None:
    """AWS adds fields at any time."""
    event = an_event(new="field", detail=an_event()["detail"] | {"more": 1})

    assert ["i-0aaa0000000000001"] == [subject_of(s) for s in parse_event(json.dumps(event))]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("", "event: empty"),
        (None, "event: empty"),
        ("{", "event: not JSON"),
        ("x" * 1_048_576, "event: not JSON"),
        ("[" * 200_000, "event: not JSON"),
        ("[1]", "event: [1] is not an object"),
        (json.dumps({"Event": "autoscaling:TEST_NOTIFICATION"}), "TEST_NOTIFICATION"),
        (an_event(**{"detail-type": "EC2 Something New"}), 'detail-type: "EC2 Something New"'),
        (an_event(source="evil"), 'source "evil"'),
        (an_event(**{"detail-type": ["EC2 Spot Instance Interruption Warning"]}), "detail-type"),
        ({k: v for k, v in an_event().items() if k != "detail"}, "detail: null is not an object"),
        (an_event(detail="text"), "detail:"),
        (an_event(detail={}), "detail.instance-id: null"),
        (an_event(detail={"instance-id": 7, "instance-action": "stop"}), "detail.instance-id: 7"),
        (an_event(detail={"instance-id": "i-1; rm -rf /", "instance-action": "stop"}), "detail.instance-id"),
        (an_event(detail={"instance-id": "i-0aaa0000000000001\n", "instance-action": "stop"}), "detail.instance-id"),
        (an_event(detail={"instance-id": "i-0aaa0000000000001"}), "detail.instance-action: null"),
        (an_event(detail={"instance-id": "i-0aaa0000000000001", "instance-action": ["stop"]}), "detail.instance-action"),
        (an_event(time="yesterday"), 'time: "yesterday" is not a time'),
        (an_event(time="2026-11-24T03:00:00"), "has no time zone"),
        (an_event(time="0001-01-01T00:00:00+23:59"), "out of range"),
        (an_event(time="9999-12-31T23:59:30Z"), "out of range"),
        (an_event(time=None), "time: null"),
    ],
)
def test_a_malformed_event_is_one_short_line_that_names_the_field(body: Any, says: str) -> None:
    """Whatever arrives, the error is one line, names field and fix, and does not repeat a megabyte of junk."""
    text = json.dumps(body) if isinstance(body, dict) else body

    with pytest.raises(EventError) as raised:
        parse_event(text)

    line = str(raised.value)
    assert says in line
    assert "\n" not in line
    assert len(line) < 400


JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(st.sampled_from(sorted(an_event())), JSON)
def test_no_value_of_any_field_breaks_the_parser(field: str, value: Any) -> None:
    """Any JSON in any field gives a signal or an EventError, never another exception."""
    with contextlib.suppress(EventError):
        (signal,) = parse_event(json.dumps(an_event(**{field: value})))
        assert INSTANCE_ID.fullmatch(subject_of(signal) or "")


def test_T5_a_bad_record_leaves_the_others_of_its_batch_alone() -> None:
    """Hazard T5: each record is parsed on its own."""
    records = [{"messageId": "bad", "body": "junk"}, {"messageId": "good", "body": json.dumps(an_event())}, {"messageId": "none"}]

    batch = parse_batch(records, parse=parse_event)

    assert ["good"] == list(batch.signals)
    (good,) = batch.signals["good"]
    assert isinstance(good, SpotInterruption)
    assert not good.redelivered
    assert ["bad", "none"] == list(batch.errors)


def test_a_record_that_comes_again_says_so() -> None:
    """SQS counts how often it has handed a record out."""
    record = {"messageId": "m", "body": json.dumps(an_event()), "attributes": {"ApproximateReceiveCount": "2"}}

    (signal,) = parse_batch([record], parse=parse_event).signals["m"]
    assert isinstance(signal, SpotInterruption)
    assert signal.redelivered
