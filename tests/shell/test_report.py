"""What is said of a decision: a record, metrics, and the journal where something stayed undone."""

import json
from typing import Any

from bulwark.core.plan import Finding, Outcome, Plan, ReplaceInstance
from bulwark.shell.ledger import Ledger
from bulwark.shell.report import Decision, Reporter
from tests.builders import NOW, SPOT
from tests.fakes import FakeAws, FakeTable, an_error

ACTION = ReplaceInstance(SPOT, "orders-spot", "why")


class Sink:
    """Stands for Powertools' Logger and Metrics: keeps what it is told."""

    def __init__(self) -> None:
        """Empty."""
        self.told: list[tuple[str, Any]] = []

    def info(self, message: str, extra: dict[str, Any]) -> None:
        """Keep."""
        self.told.append((message, extra))

    error = info

    def add_metric(self, name: str, unit: object, value: float) -> None:
        """Keep."""
        self.told.append((name, value))

    def flush_metrics(self) -> None:
        """Keep that it happened."""
        self.told.append(("flushed", None))


def report(decision: Decision, table: FakeTable | None = None) -> tuple[Sink, FakeTable]:
    """Report one decision."""
    sink, aws = Sink(), FakeAws(dynamodb=table or FakeTable())
    Reporter(sink, sink, Ledger(aws, "bulwark")).decision(decision, NOW, "request-1")  # type: ignore[arg-type]
    return sink, aws.dynamodb


def test_a_decision_is_one_record_in_the_published_shape() -> None:
    """The log carries the same object that ``bulwark replay --json`` prints."""
    decision = Decision(
        "draining", "orders", Plan((ACTION,), (Finding("code", SPOT, "text"),)), frozenset({SPOT}), (Outcome(ACTION, "done"),)
    )
    decision.count({"ecs:ListTasks": 1})
    decision.count({"ecs:ListTasks": 2, "ec2:DescribeInstances": 1})

    sink, table = report(decision)

    expected = {
        "function": "draining",
        "cluster": "orders",
        "actions": [{"kind": "ReplaceInstance", "target": SPOT, "reason": "why"}],
        "findings": [{"code": "code", "subject": SPOT, "message": "text"}],
        "outcomes": [{"kind": "ReplaceInstance", "target": SPOT, "status": "done", "error": None}],
        "calls": {"ec2:DescribeInstances": 1, "ecs:ListTasks": 3},
    }
    assert ("decision", {"decision": expected}) in sink.told
    assert ("ReplaceInstanceDone", 1) in sink.told
    assert [] == table.items


def test_what_stayed_undone_is_written_down_and_gone_in_time() -> None:
    """A failed action makes a journal entry under its cluster that expires after 30 days."""
    failed = Decision("draining", "orders", Plan((ACTION,)), frozenset({SPOT, "i-2"}), (Outcome(ACTION, "failed", "no"),))

    _, table = report(failed)

    (put,) = table.items
    assert {"S": "journal#orders"} == put["Item"]["pk"]
    assert int(NOW.timestamp()) + 30 * 86_400 == int(put["Item"]["expires_at"]["N"])
    assert "failed" == json.loads(put["Item"]["decision"]["S"])["outcomes"][0]["status"]
    assert frozenset({SPOT}) == failed.unfinished


def test_a_fact_that_could_not_be_read_leaves_every_subject_unfinished() -> None:
    """So the records are retried."""
    unread = Decision("draining", "orders", Plan(findings=(Finding("not-observed", "orders", "x"),)), frozenset({SPOT}))

    assert frozenset({SPOT}) == unread.unfinished
    assert frozenset({SPOT}) == Decision("draining", "orders", subjects=frozenset({SPOT}), error="gone").unfinished
    assert frozenset() == Decision("draining", "orders", subjects=frozenset({SPOT})).unfinished


def test_a_journal_that_cannot_be_written_takes_nothing_down() -> None:
    """The decision is still logged, and so is the journal's failure."""
    failed = Decision("draining", "orders", Plan(), frozenset({SPOT}), error="cluster orders: gone")

    sink, _ = report(failed, FakeTable(fail=an_error()))

    assert ["cluster unreachable", "journal not written", "decision"] == [name for name, _ in sink.told]


def test_every_invocation_flushes_its_metrics() -> None:
    """How many records came and how many go back."""
    sink = Sink()
    Reporter(sink, sink, Ledger(FakeAws(), "bulwark")).close(records=3, retried=1)  # type: ignore[arg-type]

    assert [("Records", 3), ("RecordsRetried", 1), ("flushed", None)] == sink.told
