"""The AWS clients of one function: one session, made once, every call counted and paced."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from bulwark.shell.pace import Pace

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_ssm import SSMClient

AWS_ERRORS = (ClientError, BotoCoreError)
"""What a call can raise once botocore has given up."""

PATIENT = Config(retries={"mode": "standard", "total_max_attempts": 4}, connect_timeout=2, read_timeout=10)
"""Four attempts in a few seconds: a Spot warning leaves two minutes, so a call that hangs must not eat them."""

BRIEF = Config(retries={"mode": "standard", "total_max_attempts": 2}, connect_timeout=1, read_timeout=2)
"""For reading policies: nobody's drain waits for Parameter Store longer than this."""


IAM_NAMES = {"monitoring": "cloudwatch"}
"""What IAM calls a service whose calls are signed under another name."""


class Aws:
    """Clients by service. ``calls`` counts what was called since it was last cleared, as ``ecs:PutAttributes``."""

    def __init__(self, *, pace: Pace | None = None, session: boto3.session.Session | None = None) -> None:
        """``session`` defaults to one made from the ambient credentials and Region."""
        self.calls: Counter[str] = Counter()
        self.pace = pace or Pace()
        self._session = session or boto3.session.Session()
        self._session.events.register("before-call", self._before_call)
        self.ec2: EC2Client = self._session.client("ec2", config=PATIENT)
        self.ecs: ECSClient = self._session.client("ecs", config=PATIENT)
        self.autoscaling: AutoScalingClient = self._session.client("autoscaling", config=PATIENT)
        self.ssm: SSMClient = self._session.client("ssm", config=BRIEF)

    @cached_property
    def dynamodb(self) -> DynamoDBClient:
        """Made when first used: only a decision that left something undone needs the table."""
        return self._session.client("dynamodb", config=BRIEF)

    @cached_property
    def cloudwatch(self) -> CloudWatchClient:
        """Made when first used: only ``capacity`` has alarms."""
        return self._session.client("cloudwatch", config=BRIEF)

    def take_calls(self) -> dict[str, int]:
        """The calls since last asked, by operation, and start counting anew."""
        taken = dict(sorted(self.calls.items()))
        self.calls.clear()
        return taken

    def _before_call(self, model: Any, **_: Any) -> None:
        service = model.service_model.signing_name
        operation = f"{IAM_NAMES.get(service, service)}:{model.name}"
        self.pace.wait(operation)
        self.calls[operation] += 1


def explain(error: Exception) -> str:
    """An AWS error as one line: operation, code and message."""
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        line = f"{error.operation_name}: {details.get('Code', 'Unknown')}: {details.get('Message', '')}"
    else:
        line = f"{type(error).__name__}: {error}"
    return " ".join(line.split())[:300]


def error_code(error: Exception) -> str:
    """AWS's error code, or an empty string where the call never got an answer."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""
