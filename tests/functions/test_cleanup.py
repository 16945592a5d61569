"""The custom resource that takes Bulwark's alarms away with the stack: what it deletes, and that it always answers."""

import importlib.util
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bulwark.core.capacity_alarms import METRICS, alarm_name
from tests.fakes import FakeCloudWatch, an_error
from tests.template.calls import Facts, recorded_calls, requests_of
from tests.template.iam import denied, statements, unneeded
from tests.template.translated import Stack
from workbench.sandbox import Account
from workbench.sandbox.scenario import read_scenario

APP = Path(__file__).resolve().parents[2] / "functions" / "cleanup" / "app.py"


@dataclass(slots=True)
class Answers:
    """What CloudFormation was sent at ``url``. ``status``: what it says to that."""

    url: str
    status: int = 200
    bodies: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def answers() -> Iterator[Answers]:
    """A place on this machine that takes answers as S3 does at a presigned URL."""
    found = Answers("")

    class Taker(BaseHTTPRequestHandler):
        """Keeps what is put."""

        def do_PUT(self) -> None:
            """One answer."""
            length = int(self.headers["Content-Length"])
            found.bodies.append(json.loads(self.rfile.read(length)))
            found.requests.append((self.path, self.headers["Content-Type"]))
            self.send_response(found.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  as the base class calls it
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Taker)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}/stack?signature=1"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def app() -> ModuleType:
    """functions/cleanup/app.py, imported as Lambda would."""
    spec = importlib.util.spec_from_file_location("cleanup_app", APP)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def a_request(kind: str, answers: Answers, **more: str) -> dict[str, Any]:
    """What CloudFormation sends."""
    return {
        "RequestType": kind,
        "ResponseURL": answers.url,
        "StackId": "arn:aws:cloudformation:us-east-1:123456789012:stack/bulwark/0",
        "RequestId": "8f1c2d3e-4a5b-4c6d-8e7f-0a1b2c3d4e5f",
        "ResourceType": "Custom::AlarmsCleanup",
        "LogicalResourceId": "AlarmsCleanup",
        "ResourceProperties": {"ServiceToken": "arn:aws:lambda:us-east-1:123456789012:function:cleanup"},
        **more,
    }


def an_alarm(cluster: str, metric: str = "CPUReservation", name: str | None = None) -> dict[str, Any]:
    """An alarm as DescribeAlarms shows it, by default one that the sweep has made."""
    dimensions = [{"Name": "ClusterName", "Value": cluster}]
    return {"AlarmName": name or alarm_name(cluster, metric), "MetricName": metric, "Dimensions": dimensions, "Threshold": 90.0}


def pages(*found: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Pages of DescribeAlarms."""
    return {"describe_alarms": [{"MetricAlarms": page} for page in found]}


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_nothing_is_deleted_while_the_stack_lives(app: ModuleType, answers: Answers, kind: str) -> None:
    """Create and Update are answered, and the alarms not even looked at."""
    cloudwatch = FakeCloudWatch(pages([an_alarm("orders")]))

    app.respond(a_request(kind, answers), cloudwatch)

    assert ["SUCCESS"] == [body["Status"] for body in answers.bodies]
    assert ([], []) == (cloudwatch.calls, cloudwatch.deleted)


def test_the_answer_is_what_cloudformation_waits_for(app: ModuleType, answers: Answers) -> None:
    """The ids it sent come back, at its URL, query and all, with no content type: that is how the URL is signed."""
    app.respond(a_request("Create", answers), FakeCloudWatch())

    (body,) = answers.bodies
    assert {
        "Status": "SUCCESS",
        "PhysicalResourceId": "bulwark-alarms",
        "StackId": "arn:aws:cloudformation:us-east-1:123456789012:stack/bulwark/0",
        "RequestId": "8f1c2d3e-4a5b-4c6d-8e7f-0a1b2c3d4e5f",
        "LogicalResourceId": "AlarmsCleanup",
    } == body
    assert [("/stack?signature=1", "")] == answers.requests


def test_the_resource_stays_the_same(app: ModuleType, answers: Answers) -> None:
    """An update that gave it another id would have the old one deleted, and the alarms with it."""
    app.respond(a_request("Update", answers, PhysicalResourceId="as-it-was"), FakeCloudWatch())

    assert ["as-it-was"] == [body["PhysicalResourceId"] for body in answers.bodies]


def test_every_alarm_of_every_page_is_deleted_a_hundred_a_call(app: ModuleType, answers: Answers) -> None:
    """More than one page, and more than one call may take."""
    found = [an_alarm(f"cluster-{n:03}", metric) for n in range(115) for metric in METRICS]
    cloudwatch = FakeCloudWatch(pages(found[:100], found[100:200], found[200:]))

    app.respond(a_request("Delete", answers), cloudwatch)

    assert [100, 100, 30] == [len(names) for names in cloudwatch.deleted]
    assert {a["AlarmName"] for a in found} == {name for names in cloudwatch.deleted for name in names}
    assert [("describe_alarms", {"AlarmNamePrefix": "bulwark/", "AlarmTypes": ["MetricAlarm"]})] == cloudwatch.calls
    assert ["SUCCESS"] == [body["Status"] for body in answers.bodies]


def test_what_is_not_named_as_ours_stays(app: ModuleType, answers: Answers) -> None:
    """Somebody's own alarm under the prefix, or on another cluster than its name says, is not Bulwark's."""
    theirs = [an_alarm("orders", "CPUUtilization", "bulwark/orders/busy"), an_alarm("orders", name="bulwark/billing/CPUReservation")]
    cloudwatch = FakeCloudWatch(pages([*theirs, an_alarm("orders"), {"AlarmName": "bulwark/math", "Metrics": []}]))

    app.respond(a_request("Delete", answers), cloudwatch)

    assert [["bulwark/orders/CPUReservation"]] == cloudwatch.deleted


def test_a_long_name_is_known_again(app: ModuleType, answers: Answers) -> None:
    """Names that CloudWatch would refuse are cut when they are made; what was made is deleted."""
    alarm = an_alarm("c" * 255)
    assert len(alarm["AlarmName"]) == 255
    cloudwatch = FakeCloudWatch(pages([alarm]))

    app.respond(a_request("Delete", answers), cloudwatch)

    assert [[alarm["AlarmName"]]] == cloudwatch.deleted


def test_without_alarms_nothing_is_called(app: ModuleType, answers: Answers) -> None:
    """A stack that only observed has none."""
    cloudwatch = FakeCloudWatch(pages([]))

    app.respond(a_request("Delete", answers), cloudwatch)

    assert ([], ["SUCCESS"]) == (cloudwatch.deleted, [body["Status"] for body in answers.bodies])


@pytest.mark.parametrize(
    "cloudwatch",
    [
        FakeCloudWatch({"describe_alarms": [{"MetricAlarms": []}, an_error("AccessDenied", "DescribeAlarms", "no\nway " + "x" * 5000)]}),
        FakeCloudWatch(pages([an_alarm("orders")]), fail=[an_error("AccessDenied", "DeleteAlarms", "no")]),
        FakeCloudWatch({"describe_alarms": [{"Surprise": 1}]}),
    ],
)
def test_a_failure_is_an_answer_with_its_reason(app: ModuleType, answers: Answers, cloudwatch: FakeCloudWatch) -> None:
    """CloudFormation hears at once that and why it failed, in one line; the whole answer within its 4 KB."""
    app.respond(a_request("Delete", answers), cloudwatch)

    (body,) = answers.bodies
    assert body["Status"] == "FAILED"
    assert any(word in body["Reason"] for word in ("AccessDenied", "MetricAlarms"))
    assert "\n" not in body["Reason"]
    assert len(json.dumps(body)) < 4096


def test_an_answer_that_does_not_get_through_is_an_error(app: ModuleType, answers: Answers) -> None:
    """Lambda then invokes the function again: what is deleted already is no longer found."""
    answers.status = 503

    with pytest.raises(OSError, match="503"):
        app.respond(a_request("Delete", answers), FakeCloudWatch(pages([])))


def test_the_alarms_of_an_account_are_gone(app: ModuleType, answers: Answers) -> None:
    """The real handler on the account in memory: ours are gone, the neighbour's stays. Its role, in any mode, allows that and no more."""
    role = statements(Stack(), "CleanupRole")
    assert role == statements(Stack({"Mode": "act"}), "CleanupRole")
    with Account(read_scenario({"clusters": [{"name": "orders", "groups": [{"name": "orders-spot"}]}]}, "cleanup")) as account:
        cloudwatch = account.client("cloudwatch")
        for name in ("bulwark/orders/CPUReservation", "orders-full"):
            cloudwatch.put_metric_alarm(
                AlarmName=name,
                Namespace="AWS/ECS",
                MetricName="CPUReservation",
                Dimensions=[{"Name": "ClusterName", "Value": "orders"}],
                Statistic="Average",
                Period=60,
                EvaluationPeriods=1,
                Threshold=90,
                ComparisonOperator="GreaterThanOrEqualToThreshold",
            )

        facts = Facts.of(account.client)
        with recorded_calls() as calls:
            app.lambda_handler(a_request("Delete", answers), None)
            requests = [request for call in calls for request in requests_of(call, facts)]

        assert ["orders-full"] == [a["AlarmName"] for a in cloudwatch.describe_alarms()["MetricAlarms"]]
    assert ["SUCCESS"] == [body["Status"] for body in answers.bodies]
    assert [] == denied(role, requests)
    assert [] == [*unneeded(role, requests)]
    assert {"cloudwatch:DescribeAlarms", "cloudwatch:DeleteAlarms"} == {r.action for r in requests}
