"""The two accounts that events can be replayed on: one in memory, and the one of the ambient AWS credentials."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bulwark.core.policies import PolicyError, read_policy
from workbench.events import InputError
from workbench.replay import Mode
from workbench.view import View, view_clusters
from workbench.wake import variables_set

DEFAULT_SCENARIO = Path(__file__).resolve().parent / "scenarios" / "default.yaml"

READS = ("BatchGet", "Describe", "Get", "List", "Query", "Scan")
"""How the names of AWS's reading operations begin."""


class AmbientError(InputError):
    """There is no account to be had from the environment; one line, with the fix."""


class Embedded:
    """The account in memory, built from a scenario. ``account`` is an entered ``workbench.sandbox.Account``."""

    environment: Mapping[str, str] = {"BULWARK_TABLE": "bulwark", "BULWARK_PARAMETERS": "/bulwark"}

    def __init__(self, account: Any) -> None:
        self._account = account

    def client(self, service_name: str) -> Any:
        """A boto3 client on the account."""
        return self._account.client(service_name)

    @property
    def now(self) -> datetime:
        """The account's own time; it stands still but in ``settle``."""
        now: datetime = self._account.now
        return now

    def happen(self, event: Mapping[str, Any]) -> None:
        """What EC2 and Auto Scaling did, according to the event, they have done here."""
        self._account.happen(event)

    def settle(self, seconds: float) -> None:
        """Let launches register and the scheduler place and move tasks for so many seconds."""
        if seconds:
            self._account.settle(seconds)

    def view(self, decided: frozenset[str] | None) -> View:  # noqa: ARG002  the whole account is small: nothing is left out
        """Every cluster of the account."""
        return view_clusters(self)


class Ambient:
    """The account of the ambient credentials, in the ambient Region. Its time passes by itself: nothing waits for it."""

    def __init__(self) -> None:
        import boto3

        self._session: Any = boto3.session.Session()
        # What `sam deploy` was told to call the table, if it was told, is in the caller's environment.
        self.environment = {name: value for name, value in os.environ.items() if name.startswith("BULWARK_")}

    @property
    def now(self) -> datetime:
        """The time."""
        return datetime.now(UTC)

    def happen(self, event: Mapping[str, Any]) -> None:
        """Nothing: what happens to a real account happens there."""

    def settle(self, seconds: float) -> None:
        """Nothing: a command does not wait for a real account to change."""

    def view(self, decided: frozenset[str] | None) -> View | None:
        """The clusters decided on; before that, None: an account can have thousands."""
        return None if decided is None else view_clusters(self._session, decided)


@contextlib.contextmanager
def embedded(scenario: Path) -> Iterator[Embedded]:
    """The account that a scenario file describes, for as long as the block runs. ``ScenarioError`` or ``InputError`` if it is none."""
    from workbench.sandbox import load_scenario

    loaded = load_scenario(scenario)
    for cluster in loaded.clusters:
        try:
            read_policy(json.dumps(dict(cluster.policy), default=str), f"{scenario}: clusters: {cluster.name}: policy")
        except PolicyError as error:
            # A function would fall back and go on; whoever writes a scenario wants to know.
            raise InputError(str(error)) from None
    # Only now: moto takes seconds to import, and a scenario that is refused should be refused at once.
    from botocore.exceptions import BotoCoreError, ClientError

    from workbench.sandbox import Account

    with contextlib.ExitStack() as stack:
        try:
            account = stack.enter_context(Account(loaded))
        except (BotoCoreError, ClientError, OverflowError) as error:
            line = " ".join(str(error).split())[:200]
            raise InputError(f"{scenario}: the account cannot be built from it: {line}: correct the scenario") from None
        yield Embedded(account)


@contextlib.contextmanager
def ambient(mode: Mode) -> Iterator[Ambient]:
    """The ambient account. In observe mode no session made inside the block can write, whatever asks it to."""
    import boto3
    from botocore.exceptions import ProfileNotFound

    # Lambda and the AWS CLI know AWS_REGION, boto3 only the other.
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    with variables_set({"AWS_DEFAULT_REGION": region} if region else {}):
        try:
            session = boto3.session.Session()
        except ProfileNotFound as error:
            raise AmbientError(f"--aws: AWS_PROFILE: {error}: name one that there is") from None
        if session.region_name is None:
            raise AmbientError("--aws: no Region: set AWS_REGION, or choose a profile with AWS_PROFILE")
        if session.get_credentials() is None:
            raise AmbientError("--aws: no AWS credentials: sign in, or choose a profile with AWS_PROFILE")
        with _read_only() if mode == "observe" else contextlib.nullcontext():
            yield Ambient()


@contextlib.contextmanager
def _read_only() -> Iterator[None]:
    """Every botocore session made inside the block refuses operations that are no reads, before anything is sent."""
    from botocore import handlers
    from botocore.exceptions import BotoCoreError

    class ReadOnlyError(BotoCoreError):
        """A write was asked for."""

        fmt = "{operation}: replay --aws is read only; give --mode act to write"

    def refuse(model: Any, **_: Any) -> None:
        """A ``before-call`` handler."""
        if not model.name.startswith(READS):
            raise ReadOnlyError(operation=model.name)

    # botocore's list of handlers for every new session; there is no public way to reach the session of a function.
    builtin: list[Any] = handlers.BUILTIN_HANDLERS
    entry = ("before-call.*.*", refuse)
    builtin.append(entry)
    try:
        yield
    finally:
        builtin.remove(entry)
