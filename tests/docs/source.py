"""What the code says of itself, read from its syntax: finding codes, log messages, metrics, environment variables."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.docs.markdown import ROOT

DEPLOYED = ("layers/bulwark/bulwark", "functions")
"""The folders of what runs on Lambda."""

LOG_METHODS = {"debug", "info", "warning", "error", "exception", "critical"}


def modules() -> list[Path]:
    """Every module that is deployed."""
    return sorted(path for folder in DEPLOYED for path in (ROOT / folder).rglob("*.py"))


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call in what is deployed, with the last name of what is called."""
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                match node.func:
                    case ast.Name(id=name) | ast.Attribute(attr=name):
                        yield name, node


def finding_codes() -> set[str]:
    """The code of every Finding. ValueError for one that is put together at run time: nobody could look it up."""
    return {_text(node, "code") for name, node in calls() if name == "Finding"}


def log_messages() -> set[str]:
    """The message of every log record."""
    return {_text(node, "msg") for name, node in calls() if name in LOG_METHODS and "logger" in ast.unparse(node.func)}


def fixed_metrics() -> set[str]:
    """The metrics whose names are written out."""
    return {node.args[0].value for name, node in calls() if name == "add_metric" and isinstance(node.args[0], ast.Constant)}  # type: ignore[misc]


def variables_read() -> set[str]:
    """Bulwark's own environment variables, wherever what is deployed names them."""
    return {name for path in modules() for name in re.findall(r"BULWARK_[A-Z]+", path.read_text(encoding="utf-8"))}


def granted(template: Mapping[str, Any]) -> set[str]:
    """Every IAM action that a role of ``template`` grants, under whatever condition."""
    roles = [node for node in template["Resources"].values() if node["Type"] == "AWS::IAM::Role"]
    statements = [s for role in roles for s in _statements(role["Properties"]["Policies"])]
    return {action for s in statements for action in ([s["Action"]] if isinstance(s["Action"], str) else s["Action"])}


def _statements(node: Any) -> Iterator[Mapping[str, Any]]:
    """Every policy statement anywhere below ``node``."""
    if isinstance(node, Mapping) and {"Effect", "Action"} <= node.keys():
        yield node
    elif isinstance(node, Mapping | list):
        for below in node.values() if isinstance(node, Mapping) else node:
            yield from _statements(below)


def _text(call: ast.Call, keyword: str) -> str:
    """The first argument of ``call``, or the one called ``keyword``, which must be written out."""
    first = next(iter(call.args), None) or next((k.value for k in call.keywords if k.arg == keyword), None)
    if isinstance(first, ast.Constant) and isinstance(first.value, str):
        return first.value
    raise ValueError(f"{ast.unparse(call)[:100]}: write its {keyword} out, as text")
