"""What the benchmark's recorder counts as a call, and when it says that the goal was reached."""

from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.exceptions import ClientError
from moto import mock_aws

from workbench.bench.recorder import Call, Recorder, first_goal, per_operation


def throttled(**_: object) -> Any:
    """Answer in AWS's place: too many requests."""
    return AWSResponse("https://ecs", 400, HTTPHeaders(), Body())


class Body:
    """The raw body of an HTTP answer, as botocore wants it."""

    def stream(self, **_: object) -> list[bytes]:
        """All of it at once."""
        return [b'{"__type": "ThrottlingException", "message": "Rate exceeded"}']


@pytest.fixture
def region(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials and a Region that name no account."""
    for name, value in {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("region")
def test_calls_are_recorded_in_order_with_the_one_that_reached_the_goal() -> None:
    """Every request is there, under IAM's name for its service, at its time; the watcher's own calls are not."""
    ticks = iter(range(100))
    with mock_aws():
        watcher = boto3.session.Session().client("ecs")
        recorder = Recorder(clock=lambda: next(ticks), watch=lambda: bool(watcher.list_clusters()["clusterArns"]))
        with recorder.installed():
            session = boto3.session.Session()
            ecs, autoscaling = session.client("ecs"), session.client("autoscaling")
            ecs.list_clusters()
            with recorder.recording() as calls:
                autoscaling.describe_auto_scaling_groups()
                ecs.create_cluster(clusterName="orders")
                ecs.list_clusters()
            ecs.list_clusters()
    assert calls == [
        Call("autoscaling:DescribeAutoScalingGroups", 0, goal=False),
        Call("ecs:CreateCluster", 1, goal=True),
        Call("ecs:ListClusters", 2, goal=True),
    ]
    assert first_goal(calls) == 2
    assert per_operation(calls)["ecs:ListClusters"] == 1


@pytest.mark.usefixtures("region")
def test_the_watchers_calls_are_not_counted_even_through_a_recorded_client() -> None:
    """A watcher that asks through a client the recorder hears does not count itself, nor ask itself for ever."""
    with mock_aws():
        recorder = Recorder()
        with recorder.installed():
            ecs = boto3.session.Session().client("ecs")
            recorder.watch = lambda: bool(ecs.list_clusters()["clusterArns"])
            with recorder.recording() as calls:
                ecs.describe_clusters()
    assert [call.operation for call in calls] == ["ecs:DescribeClusters"]
    assert first_goal(calls) is None


@pytest.mark.usefixtures("region")
def test_a_request_sent_again_counts_again() -> None:
    """AWS's buckets are charged for a retry as for a first attempt, so the record has both."""
    with mock_aws():
        recorder = Recorder()
        with recorder.installed():
            ecs = boto3.session.Session().client("ecs", config=Config(retries={"mode": "standard", "total_max_attempts": 2}))
            ecs.meta.events.register_first("before-send.ecs.ListClusters", throttled)
            with recorder.recording() as calls, pytest.raises(ClientError, match="Rate exceeded"):
                ecs.list_clusters()
    assert [call.operation for call in calls] == ["ecs:ListClusters", "ecs:ListClusters"]


@pytest.mark.usefixtures("region")
def test_nothing_is_left_behind() -> None:
    """A client made after the recorder was taken out is not heard."""
    with mock_aws():
        recorder = Recorder()
        with recorder.installed():
            pass
        with recorder.recording() as calls:
            boto3.session.Session().client("ecs").list_clusters()
    assert calls == []
