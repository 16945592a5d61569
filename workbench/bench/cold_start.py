"""Cold start under awslambdaric: from the start of the process to its first request for work, medians of shuffled runs.

Our built function stands beside a bare handler and one that imports boto3 and makes the same clients. All run on the same interpreter,
with the same packages as Lambda's runtime has, everything compiled beforehand, as in Lambda.
"""

import contextlib
import logging
import random
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.bench.artifact import Artifact, build_artifact, precompile
from workbench.lambda_runtime import LambdaRuntime, make_runtime_directory

CLIENTS = ("ec2", "ecs", "autoscaling", "ssm")
"""What ``bulwark.shell.aws.Aws`` makes in the init phase; a test holds the two together."""

OURS, BARE, SAME_CLIENTS, SAME_READ = "built function", "bare handler", "boto3 and the same clients", "the same, and one SSM read"
BOUND = 1.25
"""Our median over that of SAME_CLIENTS, at most."""

INIT_LIMIT_S = 60.0
"""Generous: this machine may be busy, and a slow run is still a figure."""

HANDLER = '\n\ndef lambda_handler(event, context):\n    """Answer."""\n    return {"batchItemFailures": []}\n'
SDK = f"""import logging
import boto3
from botocore.config import Config

logging.getLogger().setLevel(logging.INFO)
session = boto3.session.Session()
config = Config(retries={{"mode": "standard"}})
clients = {{name: session.client(name, config=config) for name in {CLIENTS!r}}}
"""
SSM_READ = 'clients["ssm"].get_parameters_by_path(Path="/bulwark", Recursive=True)\n'


@dataclass(frozen=True, slots=True)
class ColdStart:
    """One variant: the ``median_ms`` of ``runs``, the fastest and the slowest, in milliseconds."""

    variant: str
    runs: int
    median_ms: float
    least_ms: float
    most_ms: float


def environment(endpoint: str) -> dict[str, str]:
    """The built function's variables, with every AWS call going to ``endpoint``."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "BULWARK_MODE": "act",
        "BULWARK_TABLE": "bulwark",
        "BULWARK_PARAMETERS": "/bulwark",
        "POWERTOOLS_SERVICE_NAME": "draining",
        "POWERTOOLS_LOG_LEVEL": "INFO",
        "POWERTOOLS_METRICS_NAMESPACE": "Bulwark",
    }


@contextlib.contextmanager
def parameter_store() -> Iterator[str]:
    """An HTTP endpoint with one policy in Parameter Store that has answered once already, so that no run pays for its start."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        dummy: dict[str, Any] = {name.lower(): environment(endpoint)[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        ssm = boto3.session.Session(region_name="us-east-1", **dummy).client("ssm", endpoint_url=endpoint)
        ssm.put_parameter(Name="/bulwark/policy/default", Value="{}", Type="String", Overwrite=True)
        ssm.get_parameters_by_path(Path="/bulwark", Recursive=True)
        yield endpoint
    finally:
        server.stop()


def make_variants(folder: Path, python: str, built: Artifact) -> dict[str, Artifact]:
    """Write the handlers to compare with into ``folder``, and compile everything for ``python``."""
    sources = {BARE: HANDLER.lstrip(), SAME_CLIENTS: SDK + HANDLER, SAME_READ: SDK + SSM_READ + HANDLER}
    variants = {OURS: built}
    for number, (name, source) in enumerate(sources.items()):
        root = folder / f"variant-{number}"
        root.mkdir()
        (root / "app.py").write_text(source)
        variants[name] = Artifact(root, folder / "no-layer")
    for variant in variants.values():
        precompile(variant.task_root, python)
    precompile(built.layer, python)
    return variants


def measure(runs: int, python: str = sys.executable, progress: Callable[[str], None] = lambda _: None) -> list[ColdStart]:
    """Start each variant ``runs`` times, shuffled anew every round. Raises BuildError, FunctionInitError, RuntimeUnavailableError."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cold-start-")))
        runtime = make_runtime_directory(python, folder / "runtime")
        progress("cold start: building the layer")
        variants = make_variants(folder, python, build_artifact(folder / "built"))
        endpoint = stack.enter_context(parameter_store())
        times: dict[str, list[float]] = {name: [] for name in variants}
        order = list(variants)
        for number in range(runs + 1):
            progress(f"cold start: round {number} of {runs}" if number else "cold start: warming up")
            random.shuffle(order)
            for name in order:
                took = start_once(variants[name], environment(endpoint), python, runtime)
                # The first round writes what is not compiled yet and fills the page cache; Lambda's users never see it.
                if number:
                    times[name].append(took)
    return [ColdStart(name, runs, statistics.median(ms), min(ms), max(ms)) for name, ms in times.items()]


def start_once(artifact: Artifact, variables: dict[str, str], python: str, runtime: Path) -> float:
    """Start one environment, end it, and return its init phase in milliseconds."""
    layers = (artifact.layer,)
    with LambdaRuntime(
        artifact.task_root, variables, layers=layers, name="draining", python=python, runtime=runtime, init_limit_s=INIT_LIMIT_S
    ) as started:
        return started.init_ms


def ratio(results: list[ColdStart]) -> float:
    """Our median over that of the handler with the same clients."""
    medians = {result.variant: result.median_ms for result in results}
    return medians[OURS] / medians[SAME_CLIENTS]
