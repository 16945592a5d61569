"""Waking a handler: it gets what Lambda would give it, and what it logs is heard."""

import json
import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest

from workbench.patterns import compile_pattern
from workbench.template import Function, Rule
from workbench.wake import Handlers, Woken, sqs_batch

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
EVENT: dict[str, Any] = {"source": "aws.ec2", "detail-type": "Test", "detail": {"n": 1}}

PRELUDE = """
import json, os, logging
logger = logging.getLogger(os.environ["POWERTOOLS_SERVICE_NAME"])
def decide(**more):
    decision = {"function": "testing", "cluster": None, "actions": [], "findings": [], "outcomes": [], "calls": {}}
    logger.info("decision", extra={"decision": decision | more})
"""


def wake(
    tmp_path: Path, body: str, delivery: Literal["sqs", "direct"] = "sqs", environment: Mapping[str, str] | None = None
) -> tuple[Woken, Handlers, Rule]:
    """Wake a function whose module is PRELUDE and ``body`` with EVENT; also what is needed to wake it again."""
    code = tmp_path / "testing"
    code.mkdir(exist_ok=True)
    (code / "app.py").write_text(PRELUDE + body, encoding="utf-8")
    function = Function("Testing", "testing", code, "app.lambda_handler", {"FROM_TEMPLATE": "yes", "BULWARK_MODE": "observe"}, 60, 128)
    rule = Rule("Rule", compile_pattern({"source": ["aws.ec2"]}), {}, function, delivery, "Queue" if delivery == "sqs" else None)
    handlers = Handlers(environment or {"BULWARK_MODE": "act"})
    return handlers.wake(rule, EVENT, NOW), handlers, rule


def findings(woken: Woken) -> Any:
    """What the handler passed to ``decide(findings=...)``."""
    assert woken.error is None
    return woken.decisions[0]["findings"]


def test_an_sqs_record_is_what_lambda_delivers(tmp_path: Path) -> None:
    """The event arrives as the body of one SQS record with AWS's field names, its queue's ARN and times in milliseconds."""
    woken, *_ = wake(tmp_path, "def lambda_handler(event, context): decide(findings=event)")
    (record,) = findings(woken)["Records"]
    assert json.loads(record["body"]) == EVENT
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"] == "arn:aws:sqs:us-east-1:123456789012:Queue"
    assert record["attributes"]["SentTimestamp"] == "1795489200000"
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["messageId"]


def test_a_batch_has_a_record_for_each_body() -> None:
    """Several bodies make one batch, in order, each under its own message id."""
    records = sqs_batch({"a": "1", "b": "2"}, "Queue", NOW)["Records"]
    assert [(r["messageId"], r["body"]) for r in records] == [("a", "1"), ("b", "2")]
    assert records[0]["md5OfBody"] == "c4ca4238a0b923820dcc509a6f75849b"


def test_direct_delivery_is_the_event_itself(tmp_path: Path) -> None:
    """Without a queue between, the handler gets the event as it is."""
    woken, *_ = wake(tmp_path, "def lambda_handler(event, context): decide(findings=event)", "direct")
    assert findings(woken) == EVENT


def test_environment_is_the_templates_with_the_callers_over_it(tmp_path: Path) -> None:
    """At import and when called, the function sees the template's variables and the caller's mode; afterwards they are gone."""
    body = """
SEEN = [os.environ["FROM_TEMPLATE"], os.environ["BULWARK_MODE"]]
def lambda_handler(event, context): decide(findings=SEEN + [os.environ["BULWARK_MODE"]])
"""
    woken, *_ = wake(tmp_path, body)
    assert findings(woken) == ["yes", "act", "act"]
    assert "FROM_TEMPLATE" not in os.environ


def test_context_answers_what_lambda_would(tmp_path: Path) -> None:
    """The context has the attributes that Powertools and handlers use, the remaining time in milliseconds."""
    body = """
def lambda_handler(event, context):
    decide(findings=[context.function_name, context.memory_limit_in_mb, context.get_remaining_time_in_millis(),
                     context.invoked_function_arn, bool(context.aws_request_id), context.log_group_name])
"""
    woken, *_ = wake(tmp_path, body)
    arn = "arn:aws:lambda:us-east-1:123456789012:function:testing"
    assert findings(woken) == ["testing", 128, 60000, arn, True, "/aws/lambda/testing"]


def test_a_function_may_be_more_than_one_module(tmp_path: Path) -> None:
    """A module beside app.py can be imported, as from Lambda's task root, and a dataclass can be defined in app.py."""
    (tmp_path / "testing").mkdir()
    (tmp_path / "testing" / "beside_the_app.py").write_text("VALUE = 7", encoding="utf-8")
    body = """
from dataclasses import dataclass, KW_ONLY
from beside_the_app import VALUE
@dataclass
class Thing:
    _: "KW_ONLY"
    value: int = VALUE
def lambda_handler(event, context): decide(findings=Thing().value)
"""
    woken, *_ = wake(tmp_path, body)
    assert findings(woken) == 7


def test_the_module_is_imported_once_per_account(tmp_path: Path) -> None:
    """A warm function keeps its module; another account imports it afresh."""
    body = """
COUNT = []
def lambda_handler(event, context):
    COUNT.append(1)
    decide(findings=len(COUNT))
"""
    woken, handlers, rule = wake(tmp_path, body)
    assert findings(woken) == 1
    assert findings(handlers.wake(rule, EVENT, NOW)) == 2
    assert findings(wake(tmp_path, body)[0]) == 1


def test_two_functions_are_heard_apart(tmp_path: Path) -> None:
    """Woken by one event, each is a module of its own, with its own memory and its own logger."""
    handlers, woken = Handlers({}), []
    for stem in ("draining", "capacity"):
        code = tmp_path / stem
        code.mkdir()
        body = f"SEEN = []\ndef lambda_handler(event, context):\n    SEEN.append('{stem}')\n    decide(findings=SEEN)"
        (code / "app.py").write_text(PRELUDE + body, encoding="utf-8")
        function = Function(stem.title(), stem, code, "app.lambda_handler", {"POWERTOOLS_SERVICE_NAME": stem}, 60, 128)
        rule = Rule("Minute", compile_pattern({"source": ["aws.ec2"]}), {}, function, "sqs", stem)
        woken.append(handlers.wake(rule, EVENT, NOW))
    assert [findings(w) for w in woken] == [["draining"], ["capacity"]]


def test_a_bad_event_is_an_error_of_the_input(tmp_path: Path) -> None:
    """A record that the function calls bad and returns is an error, told apart from a failure."""
    body = """
def lambda_handler(event, context):
    record = event["Records"][0]["messageId"]
    logger.error("bad event", extra={"record": record, "error": "detail: missing: add it"})
    return {"batchItemFailures": [{"itemIdentifier": record}]}
"""
    woken, *_ = wake(tmp_path, body)
    assert (woken.error, woken.bad_event) == ("detail: missing: add it", True)


def test_a_returned_record_is_a_failure_and_the_log_says_why(tmp_path: Path) -> None:
    """A record in batchItemFailures is a failed event; its error is what the function logged as such, in one line."""
    body = """
def lambda_handler(event, context):
    decide()
    logger.error("cluster unreachable", extra={"error": "AccessDenied:\\n  no"})
    return {"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]}
"""
    woken, *_ = wake(tmp_path, body)
    assert (woken.error, woken.bad_event, len(woken.decisions)) == ("cluster unreachable: AccessDenied: no", False, 1)


def test_a_returned_record_with_a_failed_outcome_names_it(tmp_path: Path) -> None:
    """Without an error in the log, the failed outcomes are the error."""
    body = """
def lambda_handler(event, context):
    decide(outcomes=[{"kind": "DrainInstance", "target": "i-1", "status": "failed", "error": "Throttling"}])
    return {"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]}
"""
    woken, *_ = wake(tmp_path, body)
    assert woken.error == "DrainInstance i-1: Throttling"


def test_a_returned_record_says_what_could_not_be_observed(tmp_path: Path) -> None:
    """A record that is retried because a fact could not be read names the fact, and whatever else was logged as an error."""
    body = """
def lambda_handler(event, context):
    decide(findings=[{"code": "not-observed", "subject": "orders", "message": "tasks: AccessDenied"},
                     {"code": "standalone-task", "subject": "x", "message": "y"}])
    logger.error("journal not written", extra={"error": "no table"})
    return {"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]}
"""
    woken, *_ = wake(tmp_path, body)
    assert woken.error == "orders: tasks: AccessDenied; journal not written: no table"


def test_a_record_of_somebody_elses_message_is_no_failure(tmp_path: Path) -> None:
    """Only the event's own record in batchItemFailures makes it fail."""
    woken, *_ = wake(tmp_path, 'def lambda_handler(event, context): return {"batchItemFailures": [{"itemIdentifier": "other"}]}')
    assert woken.error is None


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("def lambda_handler(event, context): raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
        ("raise KeyError('BULWARK')\ndef lambda_handler(event, context): pass", "KeyError: 'BULWARK'"),
        ("def handler(event, context): pass", "AttributeError"),
        ("def lambda_handler(event, context) pass", "SyntaxError"),
    ],
)
def test_whatever_is_raised_is_one_line(tmp_path: Path, body: str, says: str) -> None:
    """A handler that raises, a module that does not import and a handler that is not there are errors in one line."""
    woken, *_ = wake(tmp_path, body)
    assert woken.error is not None
    assert says in woken.error
    assert "\n" not in woken.error
    assert not woken.bad_event


def test_a_missing_module_is_named(tmp_path: Path) -> None:
    """A function without code says which module is missing."""
    _, _, rule = wake(tmp_path, "def lambda_handler(event, context): pass")
    (rule.function.code / "app.py").unlink()
    assert Handlers({}).wake(rule, EVENT, NOW).error == "ImportError: Testing: no handler module app.py in testing"


def test_stdout_stays_silent_and_the_logger_is_left_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing that a function prints or logs, with handlers old or new, reaches stdout; its logger is as before."""
    import sys

    logger = logging.getLogger("testing")
    early = logging.StreamHandler(sys.stdout)
    logger.addHandler(early)
    try:
        body = """
import sys
def lambda_handler(event, context):
    print("metrics")
    logger.warning("noise")
    decide()
"""
        woken, *_ = wake(tmp_path, body)
        assert len(woken.decisions) == 1
        assert logger.handlers == [early]
        assert (logger.level, logger.propagate) == (logging.NOTSET, True)
        assert early.stream is sys.stdout
    finally:
        logger.removeHandler(early)
    assert capsys.readouterr() == ("", "")
