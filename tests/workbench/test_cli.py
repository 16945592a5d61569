"""The command line: what it refuses, how, and with which exit code."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from workbench.cli import app

EVENTS = Path(__file__).resolve().parents[2] / "events"
WARNING: dict[str, Any] = json.loads((EVENTS / "spot_interruption_warning.json").read_text(encoding="utf-8"))


def bulwark(*arguments: str | Path) -> Result:
    """Run ``bulwark`` in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(result: Result, says: str) -> None:
    """The run ended as bad input does: exit code 2, one line on stderr that holds ``says``, nothing on stdout, no traceback."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert says in result.stderr
    assert isinstance(result.exception, SystemExit)


MALFORMED: list[tuple[str, bytes, str]] = [
    ("empty", b"", "empty"),
    ("blank", b" \n\t ", "empty"),
    ("not JSON", b"{'detail': 1}", "not JSON: Expecting property name"),
    ("cut short", b'{"detail-type": "EC2 Spot', "not JSON"),
    ("several objects", b'{"a": 1}\n{"b": 2}', "not JSON: Extra data (line 2, column 1)"),
    ("not UTF-8", b'{"detail-type": "\xff\xfe"}', "not UTF-8"),
    ("a list", json.dumps([WARNING]).encode(), "a list: put each event into a file of its own"),
    ("a number", b"7", "int, not an object"),
    ("null", b"null", "NoneType, not an object"),
    ("no detail-type", b'{"source": "aws.ec2", "detail": {}}', "detail-type: missing"),
    ("a detail-type of another type", b'{"detail-type": ["x"], "source": "aws.ec2"}', 'detail-type: ["x"] is no text'),
    ("no source", b'{"detail-type": "x", "detail": {}}', "source: missing"),
    ("an empty source", b'{"detail-type": "x", "source": ""}', 'source: "" is no text'),
    ("TEST_NOTIFICATION", b'{"Event": "autoscaling:TEST_NOTIFICATION", "AutoScalingGroupName": "g"}', "TEST_NOTIFICATION"),
    ("1 MiB of junk", b"\x00\xffjunk" * (1024 * 1024 // 6) + b"junk", "not JSON"),
    ("more than 1 MiB", b'{"detail-type": "' + b"x" * 1024 * 1024 + b'"}', "more than 1,048,576 bytes"),
    ("nested beyond reason", b"[" * 100_000, "not JSON"),
]


@pytest.mark.parametrize(("content", "says"), [pytest.param(content, says, id=name) for name, content, says in MALFORMED])
def test_a_file_that_is_no_event_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    """A malformed event file ends the command with one line that names the file and what to do."""
    path = tmp_path / "event.json"
    path.write_bytes(content)
    result = bulwark("replay", path, "--json")
    refused(result, says)
    assert str(path) in result.stderr


def test_an_event_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A missing file is named."""
    refused(bulwark("replay", tmp_path / "none.json"), "none.json: no such file")


def test_a_directory_is_refused(tmp_path: Path) -> None:
    """A directory is no event file, and the line says how to name the files in it."""
    refused(bulwark("replay", tmp_path), "a directory")


def test_one_bad_file_among_good_ones_is_found_before_anything_runs(tmp_path: Path) -> None:
    """Every file is read before the first event wakes anything."""
    refused(bulwark("replay", EVENTS / "spot_interruption_warning.json", tmp_path / "none.json", "--json"), "no such file")


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf", "86401"])
def test_a_settle_that_no_account_can_live_is_refused(seconds: str) -> None:
    """--settle takes seconds from 0 to a day."""
    refused(bulwark("replay", EVENTS / "spot_interruption_warning.json", f"--settle={seconds}"), "--settle")


def test_a_scenario_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A missing scenario is named in one line."""
    refused(bulwark("replay", EVENTS / "spot_interruption_warning.json", "--scenario", tmp_path / "none.yaml"), "none.yaml")


def test_a_scenario_with_a_wrong_field_is_refused(tmp_path: Path) -> None:
    """A scenario's wrong field is named in one line with its file."""
    path = tmp_path / "scenario.yaml"
    path.write_text("clusters:\n  - name: orders\n    groups: [{name: g, colour: red}]\n", encoding="utf-8")
    refused(bulwark("replay", EVENTS / "spot_interruption_warning.json", "--scenario", path), "colour")


def test_a_policy_with_a_wrong_field_is_refused(tmp_path: Path) -> None:
    """A wrong field in a scenario's policy is named in one line with file and cluster, before any account is built."""
    path = tmp_path / "scenario.yaml"
    path.write_text("clusters: [{name: orders, policy: {colour: red}, groups: [{name: g}]}]\n", encoding="utf-8")
    result = bulwark("replay", EVENTS / "spot_interruption_warning.json", "--scenario", path)
    refused(result, "colour")
    assert f"{path}: clusters: orders: policy" in result.stderr


def test_a_scenario_with_aws_is_refused(tmp_path: Path) -> None:
    """A scenario describes the embedded account: with --aws it is a contradiction."""
    refused(bulwark("replay", EVENTS / "spot_interruption_warning.json", "--aws", "--scenario", tmp_path / "x.yaml"), "--scenario")


def test_help_says_what_bad_input_is() -> None:
    """The help text tells the exit codes and the options apart."""
    result = bulwark("replay", "--help")
    assert result.exit_code == 0
    for part in ("--scenario", "--mode", "--settle", "--keep-time", "--aws", "--json", "exit code 2", "Exit code 1"):
        assert part in " ".join(result.stdout.split())


def test_the_command_starts_without_moto_or_boto3() -> None:
    """Importing the command loads neither moto nor boto3: its help comes at once."""
    probe = "import sys, workbench.cli; sys.exit(any(name in sys.modules for name in ('moto', 'boto3', 'botocore', 'rich.live')))"
    assert subprocess.run([sys.executable, "-c", probe], check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["replay", "--mode", "foo", "x"], "--mode"),
        (["replay"], "EVENT.json"),
        (["replay", "x", "--settle", "x"], "--settle"),
        (["frob"], "frob"),
    ],
)
def test_a_wrong_command_line_is_one_line(arguments: list[str], says: str) -> None:
    """As every other bad input: exit code 2, what is wrong, and where help is to be had."""
    command = [sys.executable, "-m", "workbench.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert says in done.stderr
    assert "bulwark --help" in done.stderr
