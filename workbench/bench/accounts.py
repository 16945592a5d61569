"""The accounts that are measured on, the warnings sent to them, and the real handler that receives these."""

import contextlib
import importlib.util
import io
import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from workbench.bench.artifact import ROOT
from workbench.sandbox import Scenario
from workbench.sandbox.scenario import read_scenario
from workbench.wake import LambdaContext, sqs_batch

ENVIRONMENT = {
    "BULWARK_MODE": "act",
    "BULWARK_TABLE": "bulwark",
    "BULWARK_PARAMETERS": "/bulwark",
    "POWERTOOLS_SERVICE_NAME": "draining",
    "POWERTOOLS_LOG_LEVEL": "INFO",
    "POWERTOOLS_METRICS_NAMESPACE": "Bulwark",
}
"""The function's variables, as template.yaml sets them."""

MEMORY, TIMEOUT = 512, 40
"""MB and seconds, as template.yaml sets them; nothing measured here depends on them."""


def instance_id(number: int) -> str:
    """The fixed id of the account's instance ``number``."""
    return f"i-0bbb{number:013x}"


def quiet_account(clusters: int, instances: int) -> Scenario:
    """``clusters`` clusters of ``instances`` each. The first instance of the first runs a task of a service and a standalone one."""
    return read_scenario({"clusters": [_cluster(number, instances) for number in range(clusters)]}, "bench")


def storm_account(instances: int) -> Scenario:
    """One cluster of ``instances``, all with known ids, and a service with as many tasks."""
    group = {"name": "storm-spot", "min": 0, "desired": instances, "max": 3 * instances}
    cluster = {
        "name": "storm",
        "groups": [group],
        "instances": [{"id": instance_id(n), "group": "storm-spot"} for n in range(instances)],
        "services": [{"name": "web", "desired": instances}],
    }
    return read_scenario({"clusters": [cluster]}, "bench")


def _cluster(number: int, instances: int) -> dict[str, Any]:
    """One cluster; number 0 is the one that gets the warning."""
    group = {"name": f"group-{number}", "min": 0, "desired": instances, "max": 3 * instances}
    cluster: dict[str, Any] = {"name": f"cluster-{number}", "groups": [group]}
    if number == 0:
        known = range(min(3, instances))
        cluster["instances"] = [{"id": instance_id(n), "group": group["name"], "attributes": {"bench": "yes"}} for n in known]
        cluster["services"] = [{"name": "web", "desired": len(known), "constraints": ["attribute:bench == yes", "distinctInstance"]}]
        cluster["tasks"] = [{"family": "nightly", "on": instance_id(0)}]
    return cluster


def delivery(instance_ids: Sequence[str], now: datetime) -> dict[str, Any]:
    """One SQS batch of Spot warnings, one for each instance, as EC2, EventBridge and Lambda's poller shape them."""
    return sqs_batch({str(uuid.uuid4()): json.dumps(_warning(i, now)) for i in instance_ids}, "DrainingQueue", now)


def _warning(instance: str, now: datetime) -> dict[str, Any]:
    """One event. The ARN carries a zone where the Region belongs, as AWS's does."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "EC2 Spot Instance Interruption Warning",
        "source": "aws.ec2",
        "account": "123456789012",
        "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": "us-east-1",
        "resources": [f"arn:aws:ec2:us-east-1a:instance/{instance}"],
        "detail": {"instance-id": instance, "instance-action": "terminate"},
    }


class Function:
    """The real handler, imported afresh: its init phase runs now, on whatever account is open. Use within ``awake()``."""

    def __init__(self, module: ModuleType, output: io.StringIO) -> None:
        """``module``: functions/draining/app.py. ``output``: what it would have sent to CloudWatch Logs."""
        self._module = module
        self.output = output

    def pace(self, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        """Let the function's pacing live on another clock: ``clock`` in seconds, ``sleep`` to wait that many."""
        from bulwark.shell.pace import Pace

        self._module.aws.pace = Pace(clock=clock, sleep=sleep)

    def invoke(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Run the handler; returns its answer."""
        context = LambdaContext("draining", MEMORY, TIMEOUT, str(uuid.uuid4()))
        with contextlib.redirect_stdout(self.output):
            answer: dict[str, Any] = self._module.lambda_handler(event, context)
        return answer


@contextlib.contextmanager
def awake(path: Path = ROOT / "functions" / "draining" / "app.py") -> Iterator[Function]:
    """The handler in ``path``, with the template's environment; its log does not reach the terminal."""
    kept = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    output = io.StringIO()
    name = f"bench_{path.parent.name}_app_{time.perf_counter_ns()}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path}: not a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with contextlib.redirect_stdout(output):
            spec.loader.exec_module(module)
        yield Function(module, output)
    finally:
        del sys.modules[name]
        for variable, value in kept.items():
            if value is None:
                os.environ.pop(variable, None)
            else:
                os.environ[variable] = value
