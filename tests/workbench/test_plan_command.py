"""``bulwark plan`` as a command: what it prints, what it refuses, and with which exit code."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from workbench.cli import app
from workbench.events import read_event
from workbench.replay import replay
from workbench.template import load_rules
from workbench.worlds import DEFAULT_SCENARIO, Embedded, embedded

EVENTS = Path(__file__).resolve().parents[2] / "events"
HOOK = EVENTS / "terminate_lifecycle_action.json"
WARNING = EVENTS / "spot_interruption_warning.json"
INSTANCE = "i-0aaa0000000000001"


def bulwark(*arguments: str | Path, **environment: str | None) -> Result:
    """Run ``bulwark plan`` in this process, with these variables; None: not set."""
    variables = {"BULWARK_MODE": None, "BULWARK_TABLE": None, **environment}
    return CliRunner(env=variables).invoke(app, ["plan", *(str(argument) for argument in arguments)])


def refused(result: Result, says: str) -> None:
    """Exit code 2, one line on stderr that holds ``says``, nothing on stdout, no traceback."""
    assert result.exit_code == 2, result.output
    assert (result.stdout, result.stderr.count("\n")) == ("", 1)
    assert says in result.stderr
    assert isinstance(result.exception, SystemExit)


@pytest.fixture(scope="module")
def printed() -> Result:
    """The document of the shipped account after a hook's event and a sweep, 40 seconds after each."""
    return bulwark("orders", "--after", HOOK, "--after", EVENTS / "sweep.json", "--settle", "40", "--json")


@pytest.fixture
def ambient_account() -> Iterator[Embedded]:
    """The shipped account as the one that a session with ambient credentials reaches, an instance draining."""
    with embedded(DEFAULT_SCENARIO) as world:
        replay(world, load_rules(), [(HOOK.name, read_event(HOOK))], mode="act", settle=30)
        yield world


def test_the_command_prints_one_document(printed: Result) -> None:
    """--json prints the document in its shape, and nothing beside it."""
    assert (printed.exit_code, printed.stderr) == (0, "")
    document = json.loads(printed.stdout)
    assert list(document) == ["cluster", "mode", "drains", "next", "findings", "sizing", "calls"]
    (drain,) = document["drains"]
    assert list(drain) == ["instance", "group", "state", "cause", "since", "deadline", "hook", "left", "blockers", "next"]
    assert list(drain["left"][0]) == ["task", "group", "status", "daemon"]
    assert list(drain["blockers"][0]) == ["code", "subject", "message"]
    assert list(drain["next"][0]) == ["kind", "target", "reason"]


def test_time_passes_after_each_event(printed: Result) -> None:
    """The drain began with the first event; two Spot minutes after a warning its instance is gone, and so is its drain."""
    assert json.loads(printed.stdout)["drains"][0]["since"] == "2026-11-24T03:00:00Z"
    assert json.loads(bulwark("orders", "--after", WARNING, "--settle", "200", "--json").stdout)["drains"] == []


def test_the_command_shows_a_page() -> None:
    """Without --json: instance, cause, what is left, what blocks and what comes next."""
    result = bulwark("orders", "--after", HOOK, "--settle", "30")

    assert result.exit_code == 0
    for part in ("1 drain in progress", INSTANCE, "terminate-hook", "service:ledger", "standalone-task", "RecordHeartbeat"):
        assert part in result.stdout


@pytest.mark.parametrize("cluster", ["nope", "legacy"])
def test_an_unknown_cluster_ends_the_command(cluster: str) -> None:
    """Exit code 2, and the line names the clusters there are: a cluster for which no group opted in is not one of them."""
    refused(
        bulwark(cluster, "--json"), f"{cluster}: no Auto Scaling group opted in for it with the tag bulwark:cluster: name one of orders"
    )


def test_bad_options_end_the_command(tmp_path: Path) -> None:
    """Whatever is wrong with the command line is said before anything is looked at."""
    refused(bulwark("orders", "--settle", "-1"), "--settle")
    refused(bulwark("orders", "--after", tmp_path / "none.json"), "none.json: no such file")
    refused(bulwark("orders", "--scenario", tmp_path / "none.yaml"), "none.yaml")
    refused(bulwark("orders", "--aws", "--after", HOOK), "--after: of no use with --aws")
    refused(bulwark("orders", "--aws", "--scenario", DEFAULT_SCENARIO), "--scenario: of no use with --aws")


def test_an_event_that_cannot_be_used_ends_the_command(tmp_path: Path) -> None:
    """A plan after something that did not happen would mislead: exit code 2, with the event's file."""
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({**read_event(WARNING), "detail": {"instance-id": "web-1"}}), encoding="utf-8")

    refused(bulwark("orders", "--after", path), "bad.json: detail.instance-id")


def test_aws_reads_the_ambient_account_and_never_writes(ambient_account: Embedded) -> None:
    """--aws decides on the account of the session: read only, with the stack's mode and table as the environment names them."""
    before = ambient_account.view(None)

    result = bulwark("orders", "--aws", "--json", BULWARK_TABLE="bulwark", BULWARK_MODE="act")

    document = json.loads(result.stdout)
    assert (result.exit_code, document["mode"], document["findings"]) == (0, "act", [])
    assert [step["kind"] for step in document["drains"][0]["next"]] == ["RecordHeartbeat"]
    assert "autoscaling:RecordLifecycleActionHeartbeat" not in document["calls"]
    assert ambient_account.view(None) == before


@pytest.mark.usefixtures("ambient_account")
def test_aws_says_what_the_environment_does_not_tell() -> None:
    """No table: the notes are not known. No mode: taken to observe. Both are findings, and neither is a failure; what is wrong is."""
    result = bulwark("orders", "--aws", "--json")
    elsewhere = bulwark("orders", "--aws", "--json", BULWARK_TABLE="elsewhere")

    document = json.loads(result.stdout)
    assert (result.exit_code, document["mode"]) == (0, "observe")
    said = " ".join(f["message"] for f in document["findings"])
    assert "set BULWARK_TABLE" in said
    assert "set BULWARK_MODE" in said
    assert "dynamodb:Query" not in document["calls"]
    assert elsewhere.exit_code == 1
    assert "what was lent to services could not be read: Query: ResourceNotFound" in elsewhere.stdout
    refused(bulwark("orders", "--aws", BULWARK_MODE="perhaps"), "BULWARK_MODE: 'perhaps' is not a mode")


def test_help_says_what_the_exit_codes_are() -> None:
    """The options and the exit codes are in the help."""
    result = bulwark("--help")
    said = " ".join(result.stdout.split())
    assert all(part in said for part in ("--scenario", "--after", "--settle", "--aws", "--json", "exit code 2", "Exit code 1"))
