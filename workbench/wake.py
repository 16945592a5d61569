"""Wakes a function's real handler as Lambda would, in this process, and hears what it decided.

The handler's own log goes to stdout on Lambda; here it is caught instead, because stdout belongs to the command: the
``decision`` and ``bad event`` records are read from it, the rest is dropped.
"""

import contextlib
import hashlib
import importlib.util
import io
import json
import logging
import os
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from workbench.template import PSEUDO_PARAMETERS, Function, Rule

if TYPE_CHECKING:
    from types import ModuleType

REGION, ACCOUNT = PSEUDO_PARAMETERS["AWS::Region"], PSEUDO_PARAMETERS["AWS::AccountId"]


@dataclass(frozen=True, slots=True)
class Woken:
    """What came of waking one function with one event. ``bad_event``: the function could not use the event at all."""

    decisions: tuple[Mapping[str, Any], ...]
    error: str | None = None
    bad_event: bool = False


@dataclass(frozen=True, slots=True)
class LambdaContext:
    """What a handler may ask Lambda about its invocation."""

    function_name: str
    memory_limit_in_mb: int
    timeout: int
    aws_request_id: str
    function_version: str = "$LATEST"
    log_stream_name: str = "replay"
    identity: None = None
    client_context: None = None
    tenant_id: None = None

    @property
    def invoked_function_arn(self) -> str:
        """The function's ARN in the embedded account."""
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.function_name}"

    @property
    def log_group_name(self) -> str:
        """Lambda's default log group for the function."""
        return f"/aws/lambda/{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        """All of the timeout: the embedded account's clock stands still while a handler runs."""
        return self.timeout * 1000


class Handlers:
    """The functions of one account, each imported afresh on its first event: Lambda's init phase, with the account's clients."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """``environment`` goes over what the template gives each function (``BULWARK_MODE`` and the like)."""
        self._environment = environment
        self._modules: dict[str, ModuleType] = {}

    def wake(self, rule: Rule, event: Mapping[str, Any], now: datetime) -> Woken:
        """Deliver ``event`` by ``rule`` at ``now``. Whatever the function raises becomes the error of the answer, in one line."""
        function = rule.function
        message_id = str(uuid.uuid4())
        payload = sqs_batch({message_id: json.dumps(event)}, rule.queue or "", now) if rule.delivery == "sqs" else dict(event)
        variables = lambda_environment(function, self._environment)
        with variables_set(variables), _listening(variables["POWERTOOLS_SERVICE_NAME"]) as heard:
            try:
                context = LambdaContext(function.stem, function.memory, function.timeout, str(uuid.uuid4()))
                answer = self._handler(function)(payload, context)
            except Exception as error:  # noqa: BLE001  whatever a handler raises is its answer
                return heard.woken(f"{type(error).__name__}: {error}")
            failures = (answer or {}).get("batchItemFailures", []) if rule.delivery == "sqs" else []
            failed = any(item.get("itemIdentifier") == message_id for item in failures)
            return heard.woken("the event was returned to its queue" if failed else None)

    def _handler(self, function: Function) -> Any:
        """The callable that the template's Handler names, its module imported if this is the first event."""
        module_name, _, attribute = function.handler.rpartition(".")
        if function.stem not in self._modules:
            path = function.code / f"{module_name}.py"
            spec = importlib.util.spec_from_file_location(f"bulwark_function_{function.stem}", path)
            if spec is None or spec.loader is None or not path.is_file():
                raise ImportError(f"{function.logical_id}: no handler module {module_name}.py in {function.code.name}")
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module  # dataclasses look their module up while it is being made
            sys.path.insert(0, str(function.code))
            try:
                spec.loader.exec_module(module)
            finally:
                sys.path.remove(str(function.code))
            self._modules[function.stem] = module
        return getattr(self._modules[function.stem], attribute)


def sqs_batch(bodies: Mapping[str, str], queue: str, now: datetime) -> dict[str, Any]:
    """How Lambda hands a function a batch from a queue. ``bodies``: message id -> body; ``now``: when they were sent."""
    sent = str(int(now.timestamp() * 1000))
    return {
        "Records": [
            {
                "messageId": message_id,
                "receiptHandle": f"receipt-{message_id}",
                "body": body,
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": sent,
                    "SenderId": "events.amazonaws.com",
                    "ApproximateFirstReceiveTimestamp": sent,
                },
                "messageAttributes": {},
                "md5OfBody": hashlib.md5(body.encode(), usedforsecurity=False).hexdigest(),
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}",
                "awsRegion": REGION,
            }
            for message_id, body in bodies.items()
        ]
    }


def lambda_environment(function: Function, over: Mapping[str, str]) -> dict[str, str]:
    """What the function finds in its environment: the template's variables, Lambda's own, and ``over`` them what the caller sets."""
    variables = {
        "POWERTOOLS_SERVICE_NAME": function.stem,
        **function.environment,
        "AWS_LAMBDA_FUNCTION_NAME": function.stem,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        # Decisions are logged at INFO: a stack that logs less still has to be heard here.
        "POWERTOOLS_LOG_LEVEL": "INFO",
    }
    return {**variables, **over}


class _Ear(logging.Handler):
    """Keeps what the function logs about its decisions and failures."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.decisions: list[Mapping[str, Any]] = []
        self.bad_events: list[str] = []
        self.errors: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Sort one record: a decision, a bad event, another error, or nothing of interest."""
        message, detail = record.getMessage(), getattr(record, "error", None)
        if message == "decision" and isinstance(decision := getattr(record, "decision", None), Mapping):
            self.decisions.append(decision)
        elif message == "bad event":
            self.bad_events.append(str(detail))
        elif record.levelno >= logging.ERROR:
            cause = detail or (record.exc_info[1] if record.exc_info else None)
            self.errors.append(f"{message}: {cause}" if cause else message)

    def woken(self, failure: str | None) -> Woken:
        """The answer. ``failure``: how the function failed, if it did; what it logged about that says more."""
        if failure is None:
            return Woken(tuple(self.decisions))
        undone = [f"{o['kind']} {o['target']}: {o['error']}" for d in self.decisions for o in d["outcomes"] if o["status"] == "failed"]
        undone += [f"{f['subject']}: {f['message']}" for d in self.decisions for f in d["findings"] if f["code"] == "not-observed"]
        said = self.bad_events or undone + self.errors or [failure]
        return Woken(tuple(self.decisions), " ".join("; ".join(said).split()), bad_event=bool(self.bad_events))


@contextlib.contextmanager
def variables_set(variables: Mapping[str, str]) -> Iterator[None]:
    """These environment variables, for as long as the block runs."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _listening(service: str) -> Iterator[_Ear]:
    """Hear the logger of that name; stdout (the function's log and its metrics) goes nowhere while the block runs."""
    ear, logger, silence = _Ear(), logging.getLogger(service), io.StringIO()
    level, propagate = logger.level, logger.propagate
    # Powertools binds its handler to stdout once, when a Logger of the name is first made, perhaps long before this.
    streams = [(handler, handler.setStream(silence)) for handler in logger.handlers if isinstance(handler, logging.StreamHandler)]
    logger.addHandler(ear)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        with contextlib.redirect_stdout(silence):
            yield ear
    finally:
        logger.removeHandler(ear)
        logger.setLevel(level)
        logger.propagate = propagate
        for handler, stream in streams:
            handler.setStream(stream)
