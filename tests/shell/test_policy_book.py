"""Policies as read from Parameter Store: held for a while, never a reason not to drain."""

from typing import Any

from bulwark.core.policies import DrainingPolicy, Policy
from bulwark.shell.policy_book import MAX_AGE, PolicyBook
from tests.fakes import FakePages, an_error


def a_store(*pages: Any, history: list[Any] | None = None, **parameters: str) -> FakePages:
    """A Parameter Store whose path holds ``parameters`` (on one page) after ``pages``."""
    listed = [{"Name": f"/bulwark/{name.replace('__', '/').replace('_', '-')}", "Value": value} for name, value in parameters.items()]
    return FakePages(pages={"get_parameters_by_path": [*pages, {"Parameters": listed}], "get_parameter_history": history or []})


def a_book(store: FakePages, now: list[float] | None = None) -> PolicyBook:
    """A book of an acting stack, refreshed once."""
    time = now or [0.0]
    book = PolicyBook(store, "/bulwark", "act", clock=lambda: time[0])  # type: ignore[arg-type]
    book.refresh()
    return book


def test_the_cluster_overrides_the_default_over_every_page() -> None:
    """Both parameters are read whatever page they are on."""
    first = {"Parameters": [{"Name": "/bulwark/policy/default", "Value": '{"draining": {"replace": false}}'}]}

    standing, findings = a_book(a_store(first, policy__orders='{"mode": "observe"}')).standing("orders")

    assert (Policy("observe", draining=DrainingPolicy(replace=False)), "observe", ()) == (standing.policy, standing.mode, findings)


def test_a_copy_serves_until_it_is_too_old() -> None:
    """No second read before MAX_AGE seconds, one after."""
    now = [0.0]
    store = a_store()
    book = a_book(store, now)
    now[0] = MAX_AGE - 1
    book.refresh()
    assert 1 == len(store.calls)

    now[0] = MAX_AGE
    book.refresh()
    assert 2 == len(store.calls)


def test_the_kill_switch_holds_every_cluster() -> None:
    """One value, every cluster."""
    standing, _ = a_book(a_store(kill_switch="on")).standing("orders")

    assert "observe" == standing.mode


def test_a_store_that_cannot_be_read_leaves_the_last_copy_in_force() -> None:
    """What was read before still holds, and the failure is a finding; it is tried again at once."""
    now = [0.0]
    store = a_store(policy__orders='{"mode": "observe"}')
    book = a_book(store, now)
    store.pages["get_parameters_by_path"] = [an_error()]
    now[0] = MAX_AGE
    book.refresh()

    standing, findings = book.standing("orders")

    assert "observe" == standing.mode
    assert ["policy-unreadable"] == [f.code for f in findings]
    book.refresh()
    assert 3 == len(store.calls)


def test_a_store_that_never_could_be_read_leaves_the_defaults() -> None:
    """Draining is safety work: it goes on with the defaults, and says so."""
    standing, findings = a_book(FakePages(pages={"get_parameters_by_path": [an_error()]})).standing("orders")

    assert ("act", Policy()) == (standing.mode, standing.policy)
    assert ["policy-unreadable"] == [f.code for f in findings]


def test_an_invalid_policy_falls_back_to_its_last_valid_version() -> None:
    """Parameter Store remembers: the newest version that is valid holds, and the mistake is a finding."""
    versions = [{"Version": 1, "Value": "{}"}, {"Version": 2, "Value": '{"draining": {"replace": false}}'}, {"Version": 3, "Value": "{"}]

    standing, findings = a_book(a_store(policy__orders="{", history=[{"Parameters": versions}])).standing("orders")

    assert DrainingPolicy(replace=False) == standing.policy.draining
    assert "version 2, the last valid one, holds" in findings[0].message


def test_an_invalid_policy_without_a_valid_past_leaves_the_defaults() -> None:
    """No valid version, or no history to be had: the defaults hold, and the finding says which."""
    for history in ([{"Parameters": [{"Version": 1, "Value": "{"}]}], [an_error("AccessDeniedException")]):
        standing, findings = a_book(a_store(policy__orders="{", history=history)).standing("orders")

        assert Policy() == standing.policy
        assert ["policy-invalid"] == [f.code for f in findings]
        assert "the defaults hold" in findings[0].message
