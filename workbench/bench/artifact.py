"""The built artifact: layer and function as their own Makefiles build them, which is what SAM calls, without SAM."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD_LIMIT_S = 300
"""Seconds a build may take: it downloads one package."""


class BuildError(Exception):
    """The layer did not build. The message holds the end of the build's output."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """``task_root``: the function as deployed. ``layer``: the unpacked layer, the folder that holds ``python/``."""

    task_root: Path
    layer: Path


def build_artifact(into: Path, stem: str = "draining", *, root: Path = ROOT) -> Artifact:
    """Build layer and function ``functions/<stem>`` into folder ``into``, as `sam build` does. Raises BuildError."""
    artifact = Artifact(into / "function", into / "layer")
    _make(root / "layers" / "bulwark", "build-BulwarkLayer", artifact.layer)
    _make(root / "functions" / stem, f"build-{stem.capitalize()}Function", artifact.task_root)
    return artifact


def _make(folder: Path, target: str, into: Path) -> None:
    """Run ``target`` of the Makefile in ``folder``, as SAM does. Raises BuildError."""
    into.mkdir(parents=True)
    try:
        command = ["make", "-C", str(folder), target, f"ARTIFACTS_DIR={into}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=BUILD_LIMIT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"make {target}: {type(error).__name__}: {error}") from None
    if done.returncode or not any(into.iterdir()):
        raise BuildError(f"make {target}: exit code {done.returncode}: {(done.stderr or done.stdout).strip()[-800:]}")


def precompile(folder: Path, python: str = sys.executable) -> None:
    """Compile every module under ``folder`` for interpreter ``python``, as the layer is compiled for Lambda's. Raises BuildError."""
    command = [python, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=BUILD_LIMIT_S)
    if done.returncode:
        raise BuildError(f"compileall {folder.name}: {(done.stderr or done.stdout).strip()[-800:]}")
