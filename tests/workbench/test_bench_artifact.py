"""Building the artifact without SAM: what comes of a Makefile that fails."""

from pathlib import Path

import pytest

from workbench.bench.artifact import BuildError, build_artifact, precompile


def make_root(folder: Path, layer: str) -> Path:
    """A checkout whose layer's Makefile runs the shell line ``layer``."""
    for path, target, line in (("layers/bulwark", "build-BulwarkLayer", layer), ("functions/draining", "build-DrainingFunction", "touch")):
        (folder / path).mkdir(parents=True)
        (folder / path / "Makefile").write_text(f"{target}:\n\t@{line} $(ARTIFACTS_DIR)/made\n")
    return folder


def test_layer_and_function_are_built_where_asked(tmp_path: Path) -> None:
    """Each Makefile gets a folder of its own that exists already, as SAM does it."""
    built = build_artifact(tmp_path / "out", root=make_root(tmp_path / "checkout", "touch"))
    assert (built.layer / "made").is_file()
    assert (built.task_root / "made").is_file()


@pytest.mark.parametrize(
    ("line", "message"),
    [("echo no such package >&2; exit 3;", "exit code 2: no such package"), ("true", "build-BulwarkLayer: exit code 0")],
)
def test_a_build_that_fails_or_makes_nothing_is_an_error(tmp_path: Path, line: str, message: str) -> None:
    """The end of the build's output is in the error; a build that succeeds and leaves nothing is none."""
    with pytest.raises(BuildError, match=message):
        build_artifact(tmp_path / "out", root=make_root(tmp_path / "checkout", line))


def test_a_module_that_does_not_compile_is_an_error(tmp_path: Path) -> None:
    """A syntax error is found when the artifact is compiled, and the file is named."""
    (tmp_path / "broken.py").write_text("def")
    with pytest.raises(BuildError, match=r"broken\.py"):
        precompile(tmp_path)
