"""The artifact as it is deployed, built by the Makefiles that SAM calls, under Lambda's own runtime client.

The child process sees boto3, the layer and the function, and nothing of this project's checkout; it reaches the account in memory over
HTTP, as it would reach AWS. Its clock is the machine's, not the account's.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from workbench.bench.accounts import ENVIRONMENT, delivery, instance_id, quiet_account
from workbench.bench.artifact import ROOT, Artifact, build_artifact
from workbench.lambda_runtime import FunctionInitError, LambdaRuntime
from workbench.sandbox import Account, Scenario
from workbench.sandbox.scenario import read_scenario
from workbench.template import load_template
from workbench.wake import sqs_batch

EVENTS = ROOT / "events"

INIT_LIMIT_S = 60.0
"""Generous: a first start compiles the SDK's modules, on a machine that runs other tests."""


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Layer and function, built once."""
    return build_artifact(tmp_path_factory.mktemp("built") / "artifact")


@pytest.fixture(scope="session")
def sizing(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The same of the function that sizes groups."""
    return build_artifact(tmp_path_factory.mktemp("built-capacity") / "artifact", "capacity")


@pytest.fixture
def account(request: pytest.FixtureRequest) -> Iterator[Account]:
    """One cluster of three instances; the first runs a task of a service and a standalone one. A test may ask for another account."""
    with Account(getattr(request, "param", None) or quiet_account(1, 3)) as account:
        yield account


@pytest.fixture
def endpoint(account: Account) -> Iterator[str]:
    """The account, over HTTP on this machine."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield "http://{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()


def status_of(account: Account, instance: str) -> str:
    """The status of an instance's registration, asked in process."""
    ecs = account.client("ecs")
    arns = ecs.list_container_instances(cluster="cluster-0", filter=f"ec2InstanceId in ['{instance}']")["containerInstanceArns"]
    (found,) = ecs.describe_container_instances(cluster="cluster-0", containerInstances=arns)["containerInstances"]
    return str(found["status"])


def decisions_in(logs: str) -> list[dict[str, object]]:
    """The decisions in the function's JSON log."""
    records = [json.loads(line) for line in logs.splitlines() if line.startswith("{")]
    return [record["decision"] for record in records if record.get("message") == "decision"]


def test_the_built_function_drains_the_instance_of_a_spot_warning(artifact: Artifact, account: Account, endpoint: str) -> None:
    """An SQS batch with the warning goes in, nothing comes back to the queue, and the instance is DRAINING; its neighbours are not."""
    variables = {**ENVIRONMENT, "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    event = delivery([instance_id(0)], account.now)
    with LambdaRuntime(artifact.task_root, variables, layers=(artifact.layer,), name="draining", init_limit_s=INIT_LIMIT_S) as runtime:
        answer = runtime.invoke(event)
        logs = runtime.logs
    assert answer == {"batchItemFailures": []}, logs
    assert [status_of(account, instance_id(n)) for n in range(3)] == ["DRAINING", "ACTIVE", "ACTIVE"]
    (decision,) = decisions_in(logs)
    assert decision["cluster"] == "cluster-0"
    outcomes = {(o["kind"], o["target"]): o["status"] for o in decision["outcomes"]}  # type: ignore[attr-defined]
    assert outcomes == {("DrainInstance", instance_id(0)): "done", ("ReplaceInstance", instance_id(0)): "done"}


def test_the_built_function_returns_only_the_record_it_cannot_use(artifact: Artifact, account: Account, endpoint: str) -> None:
    """A record that is no JSON goes back to the queue and is logged with its id; the warning beside it drains its instance."""
    variables = {**ENVIRONMENT, "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    event = delivery([instance_id(0), instance_id(1)], account.now)
    event["Records"][0]["body"] = "{not json"
    bad = event["Records"][0]["messageId"]
    with LambdaRuntime(artifact.task_root, variables, layers=(artifact.layer,), name="draining", init_limit_s=INIT_LIMIT_S) as runtime:
        answer = runtime.invoke(event)
        logs = runtime.logs
    assert answer == {"batchItemFailures": [{"itemIdentifier": bad}]}
    assert [status_of(account, instance_id(n)) for n in range(3)] == ["ACTIVE", "DRAINING", "ACTIVE"]
    assert bad in logs


def full_account() -> Scenario:
    """Two instances, on which six tasks find room; the service wants nine."""
    group = {"name": "orders-spot", "min": 0, "desired": 2, "max": 6}
    service = {"name": "web", "desired": 9, "cpu": 256, "memory": 2048}
    return read_scenario({"clusters": [{"name": "orders", "groups": [group], "services": [service]}]}, "full")


@pytest.mark.parametrize("account", [full_account()], indirect=True, ids=["full"])
def test_the_built_function_sizes_the_cluster_of_an_alarm(sizing: Artifact, account: Account, endpoint: str) -> None:
    """An SQS batch with an alarm goes in, and the group is to have one instance more, which is what the three tasks need that wait."""
    variables = {**ENVIRONMENT, "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    variables["POWERTOOLS_SERVICE_NAME"] = "capacity"
    event = sqs_batch({"alarm": (EVENTS / "reservation_alarm.json").read_text(encoding="utf-8")}, "CapacityQueue", account.now)
    with LambdaRuntime(sizing.task_root, variables, layers=(sizing.layer,), name="capacity", init_limit_s=INIT_LIMIT_S) as runtime:
        answer = runtime.invoke(event)
        logs = runtime.logs
    assert answer == {"batchItemFailures": []}, logs
    (decision,) = decisions_in(logs)
    assert (decision["function"], decision["cluster"]) == ("capacity", "orders")
    outcomes = {(o["kind"], o["target"]): o["status"] for o in decision["outcomes"]}  # type: ignore[attr-defined]
    assert outcomes == {("SetDesiredCapacity", "orders-spot"): "done"}
    (group,) = account.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    assert group["DesiredCapacity"] == 3


@pytest.mark.parametrize("function", sorted(n for n, r in load_template()["Resources"].items() if r["Type"] == "AWS::Serverless::Function"))
def test_every_function_of_the_template_can_be_built(function: str, tmp_path: Path) -> None:
    """`sam build` calls a target that is named after the resource, in the folder of its code."""
    folder = ROOT / load_template()["Resources"][function]["Properties"]["CodeUri"]
    command = ["make", "-C", str(folder), f"build-{function}", f"ARTIFACTS_DIR={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "app.py").read_bytes() == (folder / "app.py").read_bytes()


SIZING = (
    "parse_capacity",
    "capacity",
    "capacity_cluster",
    "capacity_sweep",
    "memory",
    "observe_capacity",
    "observe_types",
    "translate_capacity",
)
"""Modules of ``shell`` that only the function ``capacity`` needs, with all the packing behind them."""


def imported_by(stem: str) -> set[str]:
    """The modules of Bulwark that a function loads at its start, in an interpreter of its own."""
    code = (ROOT / "functions" / stem / "app.py").read_text(encoding="utf-8")
    names = re.findall(r"^from (bulwark\S+) import", code, re.MULTILINE)  # those for type checking only are indented
    script = f"import sys, {', '.join(names)}\nprint(*(m for m in sys.modules if m.startswith('bulwark.')))"
    where = {"PYTHONPATH": str(ROOT / "layers" / "bulwark")}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120, env=where)
    return set(done.stdout.split())


def test_a_warning_does_not_wait_for_what_sizes_groups() -> None:
    """The cold start of ``draining`` loads nothing that only ``capacity`` uses."""
    only_sizing = {f"bulwark.shell.{name}" for name in SIZING} | {"bulwark.core.capacity", "bulwark.core.capacity_out", "bulwark.core.room"}
    assert only_sizing <= imported_by("capacity")
    assert imported_by("draining") & only_sizing == set()


def test_a_function_without_its_environment_does_not_start(artifact: Artifact) -> None:
    """A missing variable ends the init phase with an error that names it, not the first warning."""
    variables = {name: value for name, value in ENVIRONMENT.items() if name != "BULWARK_MODE"}
    with (
        pytest.raises(FunctionInitError, match="BULWARK_MODE is not set"),
        LambdaRuntime(artifact.task_root, variables, layers=(artifact.layer,), init_limit_s=INIT_LIMIT_S),
    ):
        pytest.fail("started")


def test_the_artifact_holds_what_it_needs_and_no_sdk(artifact: Artifact) -> None:
    """Powertools and the core are in the layer; boto3 and botocore are Lambda's; the function is one module."""
    layer = {entry.name for entry in (artifact.layer / "python").iterdir()}
    assert {"bulwark", "aws_lambda_powertools"} <= layer
    assert not {"boto3", "botocore", "workbench", "moto"} & layer
    assert "app.py" in {entry.name for entry in Path(artifact.task_root).iterdir()}
