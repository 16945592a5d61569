"""Replaying events: order, time, settling, what counts as failure, and what may be written."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from urllib3 import HTTPResponse

from workbench.patterns import compile_pattern
from workbench.replay import Replay, replay
from workbench.sandbox import Account
from workbench.sandbox.scenario import read_scenario
from workbench.template import Function, Rule
from workbench.view import View, ViewError
from workbench.worlds import AmbientError, Embedded, ambient

EVENT: dict[str, Any] = {
    "version": "0",
    "id": "1",
    "detail-type": "EC2 Spot Instance Interruption Warning",
    "source": "aws.ec2",
    "account": "123456789012",
    "time": "2020-01-01T00:00:00Z",
    "region": "us-east-1",
    "resources": [],
    "detail": {"instance-id": "i-1"},
}

HANDLER = """
import json, logging, os
logger = logging.getLogger(os.environ["POWERTOOLS_SERVICE_NAME"])
def lambda_handler(event, context):
    body = json.loads(event["Records"][0]["body"])
    detail = body["detail"]
    if "bad" in detail:
        logger.error("bad event", extra={"record": event["Records"][0]["messageId"], "error": "detail.bad: take it out"})
        return {"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]}
    if "raise" in detail:
        raise RuntimeError("no luck")
    outcome = {"kind": "DrainInstance", "target": "i-1", "status": detail.get("status", "done"), "error": None}
    findings = [body.get("time"), os.environ["BULWARK_MODE"], os.environ["BULWARK_TABLE"]]
    decision = {"function": "draining", "cluster": detail.get("cluster", "orders"), "actions": [], "findings": findings,
                "outcomes": [outcome], "calls": {}}
    logger.info("decision", extra={"decision": decision})
"""


class World:
    """An account that only remembers what was asked of it. Its time starts on 2026-11-24 at 03:00."""

    environment: Mapping[str, str] = {"BULWARK_TABLE": "bulwark"}

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
        self.asked: list[object] = []
        self.broken = False

    def happen(self, event: Mapping[str, Any]) -> None:
        """What happened is remembered."""
        self.asked.append(event)

    def settle(self, seconds: float) -> None:
        """Its time passes."""
        self.now += timedelta(seconds=seconds)
        self.asked.append(seconds)

    def view(self, decided: frozenset[str] | None) -> View | None:
        """What it was asked for is what there is to see."""
        self.asked.append(decided)
        if self.broken and decided is not None:
            raise ViewError("the account could not be read")
        return {"clusters": {name: {} for name in decided or ()}}


@pytest.fixture
def rules(tmp_path: Path) -> tuple[Rule, ...]:
    """One rule, for Spot warnings, that leads through a queue to HANDLER."""
    (tmp_path / "app.py").write_text(HANDLER, encoding="utf-8")
    function = Function("DrainingFunction", "draining", tmp_path, "app.lambda_handler", {}, 60, 256)
    pattern = {"source": ["aws.ec2"], "detail-type": [EVENT["detail-type"]]}
    return (Rule("SpotInterruptionRule", compile_pattern(pattern), pattern, function, "sqs", "DrainingQueue"),)


def run(rules: tuple[Rule, ...], *events: Mapping[str, Any], world: World | None = None, **options: Any) -> Replay:
    """Replay the events, from files named 1, 2 and so on, in act mode unless told otherwise."""
    files = [(str(number), event) for number, event in enumerate(events, 1)]
    return replay(world or World(), rules, files, **{"mode": "act", **options})


def detail(**fields: Any) -> dict[str, Any]:
    """EVENT with this detail."""
    return {**EVENT, "detail": fields}


def test_the_document_has_the_promised_shape(rules: tuple[Rule, ...]) -> None:
    """The JSON document holds file, detail_type, functions, error and decisions for each event, and after; nothing else."""
    assert run(rules, EVENT).document() == {
        "events": [
            {
                "file": "1",
                "detail_type": "EC2 Spot Instance Interruption Warning",
                "functions": ["draining"],
                "error": None,
                "decisions": [
                    {
                        "function": "draining",
                        "cluster": "orders",
                        "actions": [],
                        "findings": ["2026-11-24T03:00:00Z", "act", "bulwark"],
                        "outcomes": [{"kind": "DrainInstance", "target": "i-1", "status": "done", "error": None}],
                        "calls": {},
                    }
                ],
            }
        ],
        "after": {"clusters": {"orders": {}}},
    }


def test_events_run_in_order_and_the_account_settles_after_each(rules: tuple[Rule, ...]) -> None:
    """The account is looked at; each event happens to it, as sent, before its settling; those decided on are looked at in the end."""
    world, events = World(), (detail(cluster="a"), detail(cluster="b"), detail(cluster=None))
    replayed = run(rules, *events, world=world, settle=30)
    times = [event.decisions[0]["findings"][0] for event in replayed.events]
    assert times == ["2026-11-24T03:00:00Z", "2026-11-24T03:00:30Z", "2026-11-24T03:01:00Z"]
    first, second, third = ({**event, "time": time} for event, time in zip(events, times, strict=True))
    assert world.asked == [None, first, 30, second, 30, third, 30, frozenset({"a", "b"})]
    assert [event.file for event in replayed.events] == ["1", "2", "3"]


def test_keep_time_leaves_the_event_alone(rules: tuple[Rule, ...]) -> None:
    """With keep_time an event's own time reaches the function, and is when it happened."""
    world = World()
    assert run(rules, EVENT, keep_time=True, world=world).events[0].decisions[0]["findings"][0] == EVENT["time"]
    assert EVENT in world.asked


LOOKING = """
import boto3, json, logging, os
logger = logging.getLogger(os.environ["POWERTOOLS_SERVICE_NAME"])
def lambda_handler(event, context):
    detail = json.loads(event["Records"][0]["body"])["detail"]
    answer = boto3.client("ec2").describe_instances(InstanceIds=[detail["instance-id"]])
    seen = answer["Reservations"][0]["Instances"][0]["State"]["Name"]
    decision = {"function": "draining", "cluster": None, "actions": [], "findings": [seen], "outcomes": [], "calls": {}}
    logger.info("decision", extra={"decision": decision})
"""


def test_what_an_event_says_is_so_when_the_function_looks(rules: tuple[Rule, ...], tmp_path: Path) -> None:
    """On the embedded account a host is stopping by the time the function hears of it; an event that wakes nobody counts too."""
    (tmp_path / "app.py").write_text(LOOKING, encoding="utf-8")
    pattern = {"source": ["aws.ec2"], "detail": {"state": ["stopping"]}}
    rules = (replace(rules[0], pattern=compile_pattern(pattern), source=pattern),)
    instance_id = "i-0aaa0000000000001"
    event = {**EVENT, "detail-type": "EC2 Instance State-change Notification"}
    events = [{**event, "detail": {"instance-id": instance_id, "state": state}} for state in ("stopping", "stopped")]
    cluster = {"name": "orders", "groups": [{"desired": 1}], "instances": [{"id": instance_id}]}
    with Account(read_scenario({"clusters": [cluster]}, "test")) as account:
        replayed = replay(Embedded(account), rules, [(str(n), e) for n, e in enumerate(events)], mode="act", settle=0)
        assert [[d["findings"] for d in r.decisions] for r in replayed.events] == [[["stopping"]], []]
        assert account.ec2.ended == {instance_id: account.now}
        assert [i["connected"] for i in replayed.after["clusters"]["orders"]["instances"]] == [False]


@pytest.mark.parametrize("time", [7, None, "noon"])
def test_a_time_that_is_none_is_the_functions_to_refuse(rules: tuple[Rule, ...], time: object) -> None:
    """A malformed time is not papered over with a good one."""
    assert run(rules, {**EVENT, "time": time}).events[0].decisions[0]["findings"][0] == time


def test_the_mode_reaches_the_function(rules: tuple[Rule, ...]) -> None:
    """--mode is the function's BULWARK_MODE."""
    assert run(rules, EVENT, mode="observe").events[0].decisions[0]["findings"][1] == "observe"


@pytest.mark.parametrize(
    ("event", "exit_code", "error"),
    [
        (detail(), 0, None),
        (detail(status="skipped"), 0, None),
        (detail(status="failed"), 1, None),
        ({**EVENT, "detail": {"raise": 1}}, 1, "RuntimeError: no luck"),
        (detail(bad=1), 2, "detail.bad: take it out"),
    ],
)
def test_exit_codes(rules: tuple[Rule, ...], event: Mapping[str, Any], exit_code: int, error: str | None) -> None:
    """0: done or skipped; 1: an action or the handler failed; 2: the function could not use the event."""
    replayed = run(rules, event)
    assert (replayed.exit_code, replayed.events[0].error) == (exit_code, error)
    assert replayed.events[0].problem == (f"1: {error}" if exit_code == 2 else None)


def test_a_bad_event_takes_no_other_with_it(rules: tuple[Rule, ...]) -> None:
    """Events after one that failed or was bad still run, and the worst of them decides the exit code."""
    replayed = run(rules, {**EVENT, "detail": {"raise": 1}}, detail(bad=1), EVENT)
    assert [bool(event.decisions) for event in replayed.events] == [False, False, True]
    assert replayed.exit_code == 2


def test_an_account_that_cannot_be_read_in_the_end_is_a_failure(rules: tuple[Rule, ...]) -> None:
    """What was decided is still reported when the look afterwards fails; the exit code says that something did."""
    world = World()
    world.broken = True
    replayed = run(rules, EVENT, world=world)
    assert (len(replayed.events[0].decisions), replayed.unseen, replayed.exit_code) == (1, "the account could not be read", 1)


def test_a_sound_event_about_something_else_wakes_nothing(rules: tuple[Rule, ...]) -> None:
    """A whole event that no rule matches is no error, of a source Bulwark knows or of any other."""
    for change in ({"detail-type": "EC2 Instance State-change Notification"}, {"source": "my.app", "detail-type": "Order Placed"}):
        replayed = run(rules, {**EVENT, **change})
        assert (replayed.events[0].functions, replayed.events[0].error, replayed.exit_code) == ([], None, 0)


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ({**EVENT, "detail-type": "EC2 Spot Instance Interuption Warning"}, "1: detail-type: no rule matches, and aws.ec2 sends no"),
        ({**EVENT, "detail-type": "EC2 Spot Instance Interuption Warning"}, "did you mean 'EC2 Spot Instance Interruption Warning'?"),
        ({**EVENT, "detail-type": "x"}, "known are"),
        ({"source": "my.app", "detail-type": "x"}, "1: version: missing, and no rule matches 'x' from 'my.app'"),
        ({k: v for k, v in EVENT.items() if k != "detail"} | {"source": "my.app"}, "1: detail: missing"),
    ],
)
def test_an_event_that_no_rule_can_match_is_bad_input(rules: tuple[Rule, ...], event: Mapping[str, Any], says: str) -> None:
    """A detail-type that its source does not send, or an envelope with a field missing, is bad input, and nothing wakes."""
    replayed = run(rules, event)
    assert (replayed.events[0].functions, replayed.exit_code) == ([], 2)
    assert says in str(replayed.events[0].problem)


def sent(session: Any, operation: str, **parameters: Any) -> bool:
    """Whether an ECS call of this botocore session leaves it; the answer is made here, nothing reaches a network."""
    client = session.create_client("ecs", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    calls: list[str] = []

    def answer(request: Any, **_: Any) -> AWSResponse:
        """An empty answer, made before the request is sent."""
        calls.append(request.url)
        return AWSResponse(request.url, 200, HTTPHeaders(), HTTPResponse(BytesIO(b"{}"), preload_content=False))

    client.meta.events.register("before-send.ecs", answer)
    getattr(client, operation)(**parameters)
    return bool(calls)


def test_aws_without_mode_act_cannot_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """In observe mode on a real account, sessions made meanwhile send reads and refuse writes; in act mode, and later, they write.

    What an event says has happened is not made to happen there.
    """
    for name, value in (("AWS_REGION", "us-east-1"), ("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x")):
        monkeypatch.setenv(name, value)
    with ambient("observe") as world:
        world.happen(EVENT)
        session = botocore.session.Session()
        assert sent(session, "list_clusters")
        with pytest.raises(Exception, match="StopTask: replay --aws is read only"):
            sent(session, "stop_task", task="t")
    with ambient("act"):
        assert sent(botocore.session.Session(), "stop_task", task="t")


def test_aws_without_region_or_credentials_is_bad_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """--aws without a Region, or without credentials, says what to set."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(AmbientError, match="no Region: set AWS_REGION"), ambient("observe"):
        pass
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(AmbientError, match=r"AWS_PROFILE: .*nobody"), ambient("observe"):
        pass
    monkeypatch.delenv("AWS_PROFILE")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with pytest.raises(AmbientError, match="no AWS credentials"), ambient("observe"):
        pass
