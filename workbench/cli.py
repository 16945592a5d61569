"""The ``bulwark`` command. Exit codes: 0 done; 1 ran, and something failed; 2 bad input, said in one line."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from workbench.plan import Planned
    from workbench.replay import Mode, Replay

# Everything else is imported when it is used: `bulwark --help` should not wait for moto.

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False)


FAILED, BAD_INPUT = 1, 2


class ModeOption(StrEnum):
    """The values of ``--mode``."""

    observe = "observe"
    act = "act"


@app.callback()
def bulwark() -> None:
    """Bulwark keeps Amazon ECS clusters on EC2 upright. This command runs its functions on your machine."""


@app.command()
def replay(
    events: Annotated[list[Path], typer.Argument(metavar="EVENT.json", help="Files with one EventBridge event each, in order.")],
    *,
    scenario: Annotated[Path | None, typer.Option(help="The account to replay on, YAML. Default: the one that is shipped.")] = None,
    mode: Annotated[ModeOption | None, typer.Option(help="Default: act on the embedded account, observe with --aws.")] = None,
    settle: Annotated[float, typer.Option(help="Seconds of its own life that the embedded account gets after each event.")] = 60,
    keep_time: Annotated[
        bool, typer.Option("--keep-time", help="Leave the events' time; else they are sent at the account's now.")
    ] = False,
    aws: Annotated[
        bool, typer.Option("--aws", help="Run on the account of the ambient AWS credentials. Read only without --mode act.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Wake the functions that an event would wake, and show what they decide and do.

    The rules are those of template.yaml, the handlers the real ones. The account is one in memory unless --aws is given;
    with --aws, functions also get the BULWARK_... variables of your environment, such as BULWARK_TABLE.

    A file that is no EventBridge event, an event its function cannot use, and one that no rule matches although its
    detail-type is misspelt or its envelope incomplete are bad input: exit code 2. A sound event about something else wakes
    nothing and is no error. Exit code 1: a function or an action failed.
    """
    from workbench.events import InputError, read_event
    from workbench.replay import check_settle
    from workbench.sandbox import ScenarioError
    from workbench.template import TemplateError
    from workbench.view import ViewError

    try:
        check_settle(settle)
        files = [(str(path), read_event(path)) for path in events]
        chosen: Mode = "observe" if mode is ModeOption.observe or (aws and mode is None) else "act"
        run = _run(files, scenario, chosen, settle=settle, keep_time=keep_time, aws=aws)
    except (InputError, ScenarioError, TemplateError) as error:
        _end(str(error), 2)
    except ViewError as error:
        _end(str(error), 1)
    for problem in filter(None, [*(event.problem for event in run.events), run.unseen]):
        typer.echo(problem, err=True)
    if as_json:
        typer.echo(json.dumps(run.document(), indent=2))
    else:
        from rich.console import Console

        from workbench.present import present

        present(Console(), run, chosen)
    raise typer.Exit(run.exit_code)


def _run(files: list[tuple[str, Any]], scenario: Path | None, mode: "Mode", *, settle: float, keep_time: bool, aws: bool) -> "Replay":
    """Replay on the account that was asked for, with what is going on shown on stderr."""
    from workbench.events import InputError
    from workbench.replay import replay as replay_events
    from workbench.template import load_rules
    from workbench.worlds import DEFAULT_SCENARIO, ambient, embedded

    if aws and scenario is not None:
        raise InputError("--scenario: of no use with --aws: leave out one of them")
    rules = load_rules()
    with _progress() as progress:
        progress("reaching the account" if aws else "building the account")
        with ambient(mode) if aws else embedded(scenario or DEFAULT_SCENARIO) as world:
            return replay_events(world, rules, files, mode=mode, settle=settle, keep_time=keep_time, progress=progress)


@app.command()
def plan(
    cluster: Annotated[str, typer.Argument(metavar="CLUSTER", help="The name of an ECS cluster for which a group opted in.")],
    *,
    scenario: Annotated[Path | None, typer.Option(help="The account to look at, YAML. Default: the one that is shipped.")] = None,
    after: Annotated[
        list[Path] | None,
        typer.Option(metavar="EVENT.json", help="Replay this event first, and act on it. Repeat the option for more, in order."),
    ] = None,
    settle: Annotated[float, typer.Option(help="Seconds of its own life that the embedded account gets after each event.")] = 60,
    aws: Annotated[bool, typer.Option("--aws", help="Look at the account of the ambient AWS credentials. Read only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Show the drains in progress and how the cluster is sized, and what the next sweep would do and why. Nothing is written.

    Of each drain: what is left, and what blocks it. Of the size: the figures it rests on, and why each instance stays or could go.

    The account is one in memory unless --aws is given, and nothing drains there until --after has made something happen.
    With --aws, set BULWARK_TABLE and BULWARK_MODE as the stack has them: without them what hangs on them is not known.

    A cluster for which no group opted in is bad input: exit code 2. Exit code 1: something could not be read, or an event of
    --after failed.
    """
    from workbench.events import InputError, read_event
    from workbench.replay import check_settle
    from workbench.sandbox import ScenarioError
    from workbench.template import TemplateError
    from workbench.view import ViewError

    try:
        check_settle(settle)
        files = [(str(path), read_event(path)) for path in after or ()]
        planned, failures = _plan(cluster, files, scenario, settle=settle, aws=aws)
    except (InputError, ScenarioError, TemplateError) as error:
        _end(str(error), 2)
    except ViewError as error:
        _end(str(error), 1)
    for failure in failures:
        typer.echo(failure, err=True)
    if as_json:
        typer.echo(json.dumps(planned.document(), indent=2))
    else:
        from rich.console import Console

        from workbench.present_plan import present_plan

        present_plan(Console(), planned)
    raise typer.Exit(1 if failures else planned.exit_code)


def _plan(cluster: str, after: list[tuple[str, Any]], scenario: Path | None, *, settle: float, aws: bool) -> "tuple[Planned, list[str]]":
    """Look at the account that was asked for, the events ``after`` replayed first. Also a line for each of those that failed."""
    from workbench.events import InputError
    from workbench.plan import plan as plan_drains
    from workbench.replay import replay as replay_events
    from workbench.template import load_rules
    from workbench.worlds import DEFAULT_SCENARIO, ambient, embedded

    for option, given in (("--scenario", scenario is not None), ("--after", bool(after))):
        if aws and given:
            raise InputError(f"{option}: of no use with --aws: leave out one of them")
    failures: list[str] = []
    with _progress() as progress:
        progress("reaching the account" if aws else "building the account")
        with ambient("observe") if aws else embedded(scenario or DEFAULT_SCENARIO) as world:
            if after:
                run = replay_events(world, load_rules(), after, mode="act", settle=settle, progress=progress)
                for event in run.events:
                    if event.problem:
                        raise InputError(event.problem)
                failures = [f"{e.file}: {e.error or 'an action failed'}" for e in run.events if e.failed]
            progress(f"looking at cluster {cluster}")
            return plan_drains(world, cluster, None if aws else "act"), failures


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A spinner on stderr, or nothing if stderr is no terminal; call what comes out with a line on what is going on."""
    from rich.console import Console

    # The embedded account holds the clock still, and with it the spinner, but for this one.
    console = Console(stderr=True, get_time=time.perf_counter)
    with console.status("") as status:
        yield status.update


def _end(line: str, exit_code: int) -> NoReturn:
    """Say in one line on stderr why there is nothing to show, and end."""
    typer.echo(" ".join(line.split()), err=True)
    raise typer.Exit(exit_code)


def main() -> None:
    """The console script. What is wrong with the command line itself is one line as well."""
    from typer.exceptions import TyperException

    try:
        exit_code = app(prog_name="bulwark", standalone_mode=False)
    except typer.Abort:
        sys.exit(FAILED)
    except TyperException as wrong:
        # Without a subcommand it has shown its help already, and has nothing more to say.
        if message := " ".join(wrong.format_message().split()):
            sys.stderr.write(f"{message.removesuffix('.')}: see bulwark --help\n")
        sys.exit(BAD_INPUT)
    sys.exit(exit_code or 0)


if __name__ == "__main__":
    main()
