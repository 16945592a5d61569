"""The Lambda execution environment: what a child under awslambdaric gets, gives back, and how its failures come out."""

import json
import socket
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path

import pytest
import time_machine

from workbench.lambda_runtime import (
    FunctionError,
    FunctionInitError,
    FunctionTimeoutError,
    LambdaRuntime,
    RuntimeUnavailableError,
    make_runtime_directory,
)

HANDLER = '''
import importlib.util, json, os, sys, time
print("module imported")

def lambda_handler(event, context):
    """Do what the event says."""
    print("woke", context.aws_request_id)
    match event.get("do"):
        case "raise":
            raise ValueError("no such thing")
        case "sleep":
            time.sleep(event["seconds"])
        case "exit":
            os._exit(3)
        case "find":
            return {name: importlib.util.find_spec(name) is not None for name in event["names"]}
    return {
        "event": event, "environment": dict(os.environ), "arn": context.invoked_function_arn,
        "remaining_ms": context.get_remaining_time_in_millis(), "trace": os.environ["_X_AMZN_TRACE_ID"],
    }
'''


@pytest.fixture
def task_root(tmp_path: Path) -> Path:
    """A function folder holding an ``app.py`` that does as it is told."""
    root = tmp_path / "task"
    root.mkdir()
    (root / "app.py").write_text(HANDLER)
    return root


def test_an_event_goes_in_and_an_answer_comes_out(task_root: Path) -> None:
    """The handler gets the event, its variables and Lambda's own, a deadline, an ARN and a trace id; several events, one process."""
    with LambdaRuntime(task_root, {"COLOUR": "blue"}, name="draining", timeout_s=20) as runtime:
        first = runtime.invoke({"text": "ä" * 5000})
        second = runtime.invoke({"n": 2})
        logs = runtime.logs
    assert runtime.init_ms > 0
    assert first["event"] == {"text": "ä" * 5000}
    assert second["event"] == {"n": 2}
    assert first["environment"]["COLOUR"] == "blue"
    assert first["environment"]["LAMBDA_TASK_ROOT"] == str(task_root)
    assert "HOME" not in first["environment"]
    assert first["arn"] == "arn:aws:lambda:us-east-1:123456789012:function:draining"
    assert 15_000 < first["remaining_ms"] <= 20_000
    assert first["trace"].startswith("Root=1-")
    assert logs.count("module imported") == 1
    assert logs.count("woke") == 2


def test_the_deadline_is_on_the_childs_clock(task_root: Path) -> None:
    """An account in memory stops this process's clock; the child's runs on, and its deadline has to lie ahead of it."""
    with time_machine.travel(datetime(2020, 1, 1, tzinfo=UTC), tick=False), LambdaRuntime(task_root, {}, timeout_s=20) as runtime:
        assert 15_000 < runtime.invoke({})["remaining_ms"] <= 20_000


def test_the_child_sees_the_runtime_and_not_the_developers_packages(task_root: Path, tmp_path: Path) -> None:
    """The SDK is there and so is what the layer brings; pytest and moto, installed beside them here, are not."""
    module = tmp_path / "layer" / "python" / "from_the_layer.py"
    module.parent.mkdir(parents=True)
    module.write_text("")
    names = ["boto3", "from_the_layer", "pytest", "moto", "aws_lambda_powertools", "workbench"]
    with LambdaRuntime(task_root, {}, layers=(tmp_path / "layer",)) as runtime:
        found = runtime.invoke({"do": "find", "names": names})
    assert [name for name in names if found[name]] == ["boto3", "from_the_layer"]


def test_a_handler_that_raises_is_an_error_with_its_type_and_the_next_event_is_served(task_root: Path) -> None:
    """What the handler raised reaches the caller by name; the environment lives on, as Lambda's does."""
    with LambdaRuntime(task_root, {}) as runtime:
        with pytest.raises(FunctionError, match="ValueError: no such thing") as caught:
            runtime.invoke({"do": "raise"})
        assert runtime.invoke({"n": 1})["event"] == {"n": 1}
    assert caught.value.error_type == "ValueError"


def test_a_handler_that_passes_its_timeout_is_ended(task_root: Path) -> None:
    """No answer by the deadline ends the process, and a later event says so instead of waiting for ever."""
    with LambdaRuntime(task_root, {}, timeout_s=0.3) as runtime:
        with pytest.raises(FunctionTimeoutError, match=r"no answer within 0\.3 s"):
            runtime.invoke({"do": "sleep", "seconds": 30})
        with pytest.raises(FunctionInitError, match="process ended"):
            runtime.invoke({"n": 1})


def test_a_process_that_dies_under_an_event_is_told(task_root: Path) -> None:
    """A process that ends without an answer is an error at once, with its exit code."""
    with LambdaRuntime(task_root, {}) as runtime, pytest.raises(FunctionInitError, match="ended with code 3"):
        runtime.invoke({"do": "exit"})


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import a_package_nobody_has", "ImportModuleError.*a_package_nobody_has"),
        ("raise RuntimeError('policies not readable')", "RuntimeError: policies not readable"),
        ("import os; os._exit(7)", "ended with code 7"),
    ],
)
def test_a_module_that_does_not_import_fails_the_init_phase(task_root: Path, source: str, message: str) -> None:
    """A missing package, an error at import and a dying process each come out as an init error that says what it was."""
    (task_root / "app.py").write_text(source)
    with pytest.raises(FunctionInitError, match=message), LambdaRuntime(task_root, {}):
        pytest.fail("started")


def test_an_init_that_hangs_is_ended(task_root: Path) -> None:
    """An import that never returns is given up after the limit, not waited for."""
    (task_root / "app.py").write_text("import time; time.sleep(60)")
    with pytest.raises(FunctionInitError, match=r"longer than 0\.5 s"), LambdaRuntime(task_root, {}, init_limit_s=0.5):
        pytest.fail("started")


def test_routes_and_ids_that_do_not_exist_are_refused(task_root: Path) -> None:
    """An answer to an invocation nobody made is a 400, an unknown route a 404; closing ends the server."""
    with LambdaRuntime(task_root, {}) as runtime:
        address = runtime.invoke({})["environment"]["AWS_LAMBDA_RUNTIME_API"]
        connection = HTTPConnection(address, timeout=5)
        connection.request("POST", "/2018-06-01/runtime/invocation/no-such-id/response", body=b"{}")
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())) == (400, {"errorType": "InvalidRequestID"})
        connection.request("GET", "/2018-06-01/runtime/elsewhere")
        assert connection.getresponse().status == 404
        connection.close()
    host, _, port = address.partition(":")
    with pytest.raises(ConnectionRefusedError), socket.create_connection((host, int(port)), timeout=5):
        pytest.fail("still listening")


def test_an_interpreter_that_cannot_play_lambda_is_named(tmp_path: Path) -> None:
    """A Python that is not there is one line that names it and what it needs."""
    missing = str(tmp_path / "python")
    with pytest.raises(RuntimeUnavailableError, match=r"does not run.*name a CPython with boto3"):
        make_runtime_directory(missing, tmp_path / "runtime")
