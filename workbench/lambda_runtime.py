"""An AWS Lambda execution environment on this machine: a child process under awslambdaric, and the Runtime API it speaks to.

The child sees what Lambda would give it and nothing else: the task root, the layer, and of site-packages only the
distributions that Lambda's Python runtime ships (the SDK and the runtime client). A package that the layer forgot is
therefore missing here too. Everything that waits has a time limit.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, cast

from time_machine import escape_hatch

from workbench.runtime_api import Invocation, RuntimeApi

INIT_LIMIT_S = 10.0
"""Lambda's own limit on the init phase, in seconds; a machine under load may be given more."""

RUNTIME_PACKAGES = (
    "awslambdaric",
    "boto3",
    "botocore",
    "dateutil",
    "jmespath",
    "s3transfer",
    "simplejson",
    "six",
    "snapshot_restore_py",
    "urllib3",
)
"""Top-level packages of Lambda's Python runtime that a function may count on without shipping them."""

RUNTIME_EXTENSIONS = ("runtime_client",)
"""Compiled modules among them, whose file names carry the interpreter's tag."""


class RuntimeUnavailableError(Exception):
    """The interpreter cannot play Lambda's: it lacks awslambdaric or the SDK. The message is one line."""


class FunctionInitError(Exception):
    """The init phase failed or took too long: the module did not import, or the process ended before asking for work."""


class FunctionError(Exception):
    """The handler raised. ``error_type`` and the message are what Lambda would hand to the caller."""

    def __init__(self, error_type: str, message: str) -> None:
        """Keep the type apart, so that a caller can tell errors from one another."""
        super().__init__(f"{error_type}: {message}")
        self.error_type = error_type


class FunctionTimeoutError(Exception):
    """The invocation passed its deadline; the process was ended, as Lambda does."""


def make_runtime_directory(python: str, into: Path) -> Path:
    """Link the runtime's own packages of interpreter ``python`` into directory ``into``, and return it.

    Raises RuntimeUnavailableError if the interpreter does not run, or has no awslambdaric or no boto3.
    """
    ask = "import json, sysconfig; p = sysconfig.get_paths(); print(json.dumps([p['purelib'], p['platlib']]))"
    try:
        done = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        raise RuntimeUnavailableError(
            f"{python}: does not run ({type(error).__name__}); name a CPython with boto3 and awslambdaric"
        ) from None
    into.mkdir(parents=True, exist_ok=True)
    for folder in dict.fromkeys(json.loads(done.stdout)):
        for entry in sorted(Path(folder).iterdir()):
            name = entry.name.partition(".")[0]
            wanted = name in RUNTIME_PACKAGES and (entry.is_dir() or entry.suffix == ".py")
            wanted = wanted or (name in RUNTIME_EXTENSIONS and entry.suffix in {".so", ".pyd", ".py"})
            if wanted and not (into / entry.name).exists():
                (into / entry.name).symlink_to(entry)
    for needed in ("awslambdaric", "boto3"):
        if not (into / needed).exists():
            raise RuntimeUnavailableError(f"{python}: has no {needed}; install boto3 and awslambdaric into that interpreter")
    return into


def _real_time() -> float:
    """Seconds since the epoch on the machine's clock, even while an account in memory holds this process's clock still."""
    return escape_hatch.time.time() if escape_hatch.is_travelling() else time.time()


class LambdaRuntime:
    """One execution environment: ``with LambdaRuntime(task_root, ...) as runtime: runtime.invoke(event)``.

    ``task_root`` holds the handler's module; ``layers`` are unpacked layers (folders holding ``python/``); ``environment`` the
    function's variables, which with Lambda's own are all the child gets; ``timeout_s`` the function's timeout and
    ``init_limit_s`` how long the init phase may take, in seconds. ``python`` must have boto3 and awslambdaric.
    ``options`` go to the interpreter as they are (``-X importtime``); ``runtime`` is a directory of ``make_runtime_directory``,
    to be used again and again instead of making one. Nothing starts before the ``with``.
    """

    def __init__(
        self,
        task_root: Path,
        environment: Mapping[str, str],
        *,
        layers: tuple[Path, ...] = (),
        handler: str = "app.lambda_handler",
        name: str = "function",
        python: str = sys.executable,
        options: tuple[str, ...] = (),
        runtime: Path | None = None,
        timeout_s: float = 40.0,
        init_limit_s: float = INIT_LIMIT_S,
    ) -> None:
        """Keep the settings."""
        self.task_root = task_root
        self.layers = layers
        self.handler = handler
        self.name = name
        # The child runs in the task root: a relative path would be looked for there. Not resolved: a venv's Python is a link.
        self.python = str(Path(python).absolute()) if os.sep in python else python
        self.options = options
        self.runtime = runtime
        self.timeout_s = timeout_s
        self.init_limit_s = init_limit_s
        self._environment = dict(environment)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start the server and the child, and wait until the child asks for work. Raises FunctionInitError."""
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lambda-")))
            runtime = self.runtime or make_runtime_directory(self.python, folder / "runtime")
            self._api = RuntimeApi(f"arn:aws:lambda:us-east-1:123456789012:function:{self.name}")
            stack.callback(self._api.server_close)
            threading.Thread(target=self._api.serve_forever, args=(0.05,), daemon=True).start()
            stack.callback(self._api.shutdown)
            self._log = folder / "log"
            with self._log.open("wb") as sink:
                command = [self.python, "-S", *self.options, "-m", "awslambdaric", self.handler]
                started = time.perf_counter()
                self._child = subprocess.Popen(
                    command, cwd=self.task_root, env=self._child_environment(runtime), stdin=subprocess.DEVNULL, stdout=sink, stderr=sink
                )
            stack.callback(self._end_child)
            self.init_ms = (self._wait_for_init() - started) * 1000
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        """End the child and the server."""
        self._stack.close()

    @property
    def logs(self) -> str:
        """What the child has written to stdout and stderr so far. Gone when the environment is closed."""
        return self._log.read_text(errors="replace")

    def invoke(self, event: object) -> Any:
        """Send one event through the handler and return its decoded answer.

        The deadline is on the real clock, whatever clock this process is made to see: the child lives on the real one.
        Raises FunctionError if the handler raised, FunctionTimeoutError after ``timeout_s`` (the child is ended), and
        FunctionInitError if the child is no longer there.
        """
        invocation = Invocation(json.dumps(event).encode(), deadline=_real_time() + self.timeout_s)
        self._api.waiting.put(invocation)
        limit = time.perf_counter() + self.timeout_s
        while not invocation.answered.wait(0.05):
            if self._child.poll() is not None:
                raise FunctionInitError(f"{self.name}: the process ended with code {self._child.returncode}: {self._last_line()}")
            if time.perf_counter() > limit:
                self._end_child()
                raise FunctionTimeoutError(f"{self.name}: no answer within {self.timeout_s:g} s")
        if invocation.error is not None:
            raise FunctionError(str(invocation.error.get("errorType")), str(invocation.error.get("errorMessage")))
        return json.loads(invocation.response) if invocation.response else None

    def _child_environment(self, runtime: Path) -> dict[str, str]:
        """The function's variables, and those Lambda sets. The task root comes first, the runtime's packages last."""
        path = [str(self.task_root), *(str(layer / "python") for layer in self.layers), str(runtime)]
        host, port = cast("tuple[str, int]", self._api.server_address[:2])
        return {
            "PATH": os.defpath,
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_LAMBDA_FUNCTION_NAME": self.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            **self._environment,
            "PYTHONPATH": os.pathsep.join(path),
            "LAMBDA_TASK_ROOT": str(self.task_root),
            "_HANDLER": self.handler,
            "AWS_LAMBDA_RUNTIME_API": f"{host}:{port}",
        }

    def _wait_for_init(self) -> float:
        """Wait for the first ``next`` and return when it came, on the clock of ``time.perf_counter``. Raises FunctionInitError."""
        limit = time.perf_counter() + self.init_limit_s
        while not self._api.init_over.wait(0.05):
            if self._child.poll() is not None:
                raise FunctionInitError(f"{self.name}: the process ended with code {self._child.returncode}: {self._last_line()}")
            if time.perf_counter() > limit:
                raise FunctionInitError(f"{self.name}: init took longer than {self.init_limit_s:g} s")
        if self._api.init_error is not None or self._api.ready_at is None:
            error = self._api.init_error or {}
            raise FunctionInitError(f"{self.name}: {error.get('errorType')}: {error.get('errorMessage')}")
        return self._api.ready_at

    def _last_line(self) -> str:
        """The end of the child's output, in one line."""
        lines = [line for line in self.logs.splitlines() if line.strip()]
        return lines[-1] if lines else "no output"

    def _end_child(self) -> None:
        """End the child; one that does not go within two seconds is killed. Let a ``next`` that still waits return."""
        self._child.terminate()
        try:
            self._child.wait(2)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait(2)
        self._api.waiting.put(None)
