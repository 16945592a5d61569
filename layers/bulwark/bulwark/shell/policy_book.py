"""Parameter Store becomes policies: read in the init phase, held for a while, and never a reason to leave work undrained.

The first write of a drain must obey the policy, and nothing that can fail may stand before it. So the policies are read
before there is an event (docs/designs/0002-policy-before-the-first-write.md). What cannot be read or understood falls
back to the last version that could, which Parameter Store itself remembers, and then to the defaults.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bulwark.core.plan import Finding
from bulwark.core.policies import Mode, Policy, PolicyError, Standing, read_policy, standing
from bulwark.shell.aws import AWS_ERRORS, explain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_ssm import SSMClient

MAX_AGE = 90.0
"""Seconds a copy is used before it is read again: somewhat more than the minute at which scheduled work comes by."""


class PolicyBook:
    """Every policy of the account and Region, and the kill switch, as of ``read_at``."""

    def __init__(self, ssm: SSMClient, prefix: str, mode: Mode, *, clock: Callable[[], float] = time.time) -> None:
        """``prefix``: the Parameter Store path (``/bulwark``). ``mode``: the stack's. ``clock``: seconds since the epoch."""
        self._ssm = ssm
        self._prefix = prefix
        self._mode = mode
        self._clock = clock
        self._texts: Mapping[str, str] = {}
        self._read_at: float | None = None
        self._unreadable: str | None = None

    def refresh(self) -> None:
        """Read all parameters if the copy in hand is older than MAX_AGE. A failed read keeps the copy in hand."""
        now = self._clock()
        if self._read_at is not None and 0 <= now - self._read_at < MAX_AGE:
            return
        try:
            pages = self._ssm.get_paginator("get_parameters_by_path").paginate(Path=self._prefix, Recursive=True)
            self._texts = {p["Name"].removeprefix(f"{self._prefix}/"): p["Value"] for page in pages for p in page["Parameters"]}
            self._unreadable = None
        except AWS_ERRORS as error:
            self._unreadable = explain(error)
        else:
            self._read_at = now

    def stack_mode(self) -> Mode:
        """Whether Bulwark may write to what belongs to no cluster: the stack's mode, unless the kill switch is on."""
        return standing(self._mode, self._texts.get("kill-switch", ""), Policy()).mode

    def standing(self, cluster: str) -> tuple[Standing, tuple[Finding, ...]]:
        """What holds for ``cluster``, and what is wrong with its policies."""
        findings: list[Finding] = []
        if self._unreadable:
            message = f"{self._prefix}: could not be read ({self._unreadable}): the last policies read, or the defaults, hold"
            findings.append(Finding("policy-unreadable", cluster, message))
        policy = Policy()
        for name in ("policy/default", f"policy/{cluster}"):
            if name in self._texts:
                policy = self._usable(name, cluster, policy, findings)
        return standing(self._mode, self._texts.get("kill-switch", ""), policy), tuple(findings)

    def _usable(self, name: str, cluster: str, base: Policy, findings: list[Finding]) -> Policy:
        """The policy in parameter ``name``, or the newest earlier version that is valid, or ``base``."""
        parameter = f"{self._prefix}/{name}"
        try:
            return read_policy(self._texts[name], parameter, base)
        except PolicyError as error:
            mistake = str(error)
        fallback, which = base, "the defaults hold"
        try:
            for version, text in self._history(parameter):
                try:
                    fallback, which = read_policy(text, parameter, base), f"version {version}, the last valid one, holds"
                    break
                except PolicyError:
                    continue
        except AWS_ERRORS as error:
            which = f"the defaults hold, as its history could not be read ({explain(error)})"
        findings.append(Finding("policy-invalid", cluster, f"{mistake}; {which}"))
        return fallback

    def _history(self, parameter: str) -> list[tuple[int, str]]:
        """Version and text of the parameter, newest first."""
        pages = self._ssm.get_paginator("get_parameter_history").paginate(Name=parameter)
        versions = [(v["Version"], v["Value"]) for page in pages for v in page["Parameters"]]
        return sorted(versions, reverse=True)
