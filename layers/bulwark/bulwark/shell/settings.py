"""The function's environment, read once at cold start into a frozen object. A missing or wrong value fails loudly."""

from collections.abc import Mapping
from dataclasses import dataclass

from bulwark.core.policies import Mode


class SettingsError(ValueError):
    """The environment is wrong; the message names the variable and the fix."""


@dataclass(frozen=True, slots=True)
class Settings:
    """``mode``: the stack's. ``table``: the DynamoDB table's name. ``parameters``: the Parameter Store prefix. ``region``: our own."""

    mode: Mode
    table: str
    parameters: str
    region: str = ""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Read ``BULWARK_MODE``, ``BULWARK_TABLE`` and ``BULWARK_PARAMETERS``, and Lambda's ``AWS_REGION``. Raises SettingsError."""
        mode = _required(environ, "BULWARK_MODE")
        if mode not in ("observe", "act"):
            raise SettingsError(f"BULWARK_MODE: {mode[:40]!r} is not a mode: write observe or act")
        parameters = _required(environ, "BULWARK_PARAMETERS")
        if not parameters.startswith("/") or parameters.endswith("/"):
            raise SettingsError(f"BULWARK_PARAMETERS: {parameters[:40]!r}: write a path such as /bulwark, without a slash at its end")
        table, region = _required(environ, "BULWARK_TABLE"), environ.get("AWS_REGION", "")
        return cls(mode="act" if mode == "act" else "observe", table=table, parameters=parameters, region=region)


def _required(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "")
    if not value:
        raise SettingsError(f"{name} is not set: template.yaml sets it on every function")
    return value
