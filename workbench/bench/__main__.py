"""``python -m workbench.bench [--json] [--runs N] [--only calls,storm,...] [--python PATH] [--traces PATH]``.

Exit code 0: every bound holds; 1: one does not; 2: bad input, or something needed is missing, said in one line.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from workbench.bench.artifact import BuildError
from workbench.bench.calls import SIZES, WarningCalls, measure_calls
from workbench.bench.cold_start import measure
from workbench.bench.decide import DecideError, measure_decisions
from workbench.bench.extent import Extent
from workbench.bench.in_time import measure_in_time
from workbench.bench.lifecycle import measure_lifecycle
from workbench.bench.packing_quality import measure_quality
from workbench.bench.sizing_calls import measure_sizing
from workbench.bench.storm import Storm, measure_storm, read_delivery
from workbench.bench.sweep import Sweeps, measure_sweeps
from workbench.bench.table import Results, as_document, as_table
from workbench.events import InputError
from workbench.lambda_runtime import FunctionInitError, RuntimeUnavailableError
from workbench.template import TemplateError

PARTS = ("calls", "storm", "cold-start", "lifecycle", "sweep", "in-time", "packing", "decide", "sizing")
WIDTH = 138
WARNINGS, INSTANCES = 500, 600
"""The storm: so many warnings, in a cluster of so many instances."""


def main(arguments: Sequence[str] | None = None, extent: Extent | None = None) -> int:
    """Measure, print, and return the exit code. ``extent``: sizes and bounds of some parts, if not the usual ones."""
    options = _parser().parse_args(arguments)
    progress = _progress()
    extent = extent or Extent()
    wanted = frozenset(options.only)
    try:
        results = Results(
            calls=_calls(progress) if "calls" in wanted else (),
            storms=_storms(progress) if "storm" in wanted else (),
            lifecycle=measure_lifecycle(extent.sizes, extent.hook_calls, progress) if "lifecycle" in wanted else None,
            sweeps=_sweeps(extent, progress) if "sweep" in wanted else None,
            in_time=measure_in_time(extent.ways, extent.elsewhere_s, progress) if "in-time" in wanted else (),
            packing=measure_quality(options.traces, extent.mixes, progress) if "packing" in wanted else (),
            sizing=measure_sizing(extent.sized, progress) if "sizing" in wanted else (),
            decisions=measure_decisions(extent.decided, seconds=extent.decide_s, progress=progress) if "decide" in wanted else None,
            cold_starts=tuple(measure(options.runs, options.python, progress)) if "cold-start" in wanted else (),
            python=_version(options.python),
        )
    except (BuildError, DecideError, FunctionInitError, InputError, RuntimeUnavailableError, TemplateError) as error:
        sys.stderr.write(f"bench: {error}\n")
        return 2
    if options.json:
        sys.stdout.write(json.dumps(as_document(results), indent=1) + "\n")
    else:
        # A pipe or a file has no width of its own: wide enough that no row wraps.
        console = Console(width=None if sys.stdout.isatty() else WIDTH)
        console.print(as_table(results))
    return 0 if results.holds else 1


def _parser() -> argparse.ArgumentParser:
    """The command line; a wrong one ends the process with code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m workbench.bench",
        description="Measured figures: AWS calls of warnings, hooks and sweeps, time to safety, packing, decisions, cold start.",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout instead of the table")
    parser.add_argument("--runs", type=_positive, default=15, help="cold starts of each variant (15)")
    parser.add_argument("--only", type=_parts, default=PARTS, help=f"some of {', '.join(PARTS)}, with commas between")
    parser.add_argument("--python", default=sys.executable, help="interpreter for the cold starts; needs boto3 and awslambdaric (this one)")
    parser.add_argument("--traces", type=_folder, help="workload folders whose peaks are packed (../shared/traces, if it is there)")
    return parser


def _folder(text: str) -> Path:
    """A folder that is there; argparse turns the error into one line."""
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r}: no such folder")
    return Path(text)


def _positive(text: str) -> int:
    """A whole number from 1; argparse turns the error into one line."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: write a whole number from 1")
    return int(text)


def _parts(text: str) -> tuple[str, ...]:
    """Names of PARTS, with commas between."""
    parts = tuple(text.split(","))
    if unknown := [part for part in parts if part not in PARTS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r}: write some of {', '.join(PARTS)}")
    return parts


def _calls(progress: Callable[[str], None]) -> tuple[WarningCalls, ...]:
    """One warning on accounts of every size."""
    return tuple(measure_calls(clusters, instances, progress) for clusters, instances in SIZES)


def _storms(progress: Callable[[str], None]) -> tuple[tuple[str, Storm], ...]:
    """The storm as it runs here, and at worst."""
    limits = read_delivery()
    real = measure_storm(WARNINGS, INSTANCES, limits.batch_size, progress=progress)
    worst = measure_storm(WARNINGS, INSTANCES, limits.batch_size, at_once=limits.at_once, virtual=True, progress=progress)
    return (("as run", real), (f"worst case: {limits.at_once} at once, 0 s a call", worst))


def _sweeps(extent: Extent, progress: Callable[[str], None]) -> Sweeps:
    """Quiet sweeps of every size, and those with drains in progress."""
    return measure_sweeps(extent.clusters, extent.instances, extent.drains, bound=extent.sweep_calls, progress=progress)


def _progress() -> Callable[[str], None]:
    """A line on stderr per step."""
    console = Console(stderr=True)
    return lambda line: console.print(line, style="dim", highlight=False)


def _version(python: str) -> str:
    """``Python 3.13.0``, or the path if it does not say."""
    try:
        return subprocess.run([python, "--version"], capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return python


if __name__ == "__main__":
    sys.exit(main())
