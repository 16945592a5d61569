"""Bulwark's terminate hook: offered, put on and taken off."""

from dataclasses import replace

import pytest

from bulwark.core.cluster import Group, GroupMember, Hook
from bulwark.core.draining_hooks import decide_hooks, heartbeat_for
from bulwark.core.plan import InstallHook, Plan, RemoveHook
from bulwark.core.policies import DrainingPolicy, Policy
from tests.builders import a_group

HOOK = Hook("bulwark-drain", 300)
ASKED = {"orders": Policy(draining=DrainingPolicy(hook="install"))}
SILENT = {"orders": Policy()}


def decide(group: Group, policies: dict[str, Policy] = ASKED, *, by_ecs: bool = False, offer: bool = False) -> Plan:
    """The decision about one group."""
    return decide_hooks([group], policies, {group.name} if by_ecs else (), offer=offer)


def test_a_group_that_lacks_the_hook_gets_it_by_policy() -> None:
    """Asked for, and not there: installed, with a heartbeat that several sweeps fit into."""
    (action,) = decide(a_group(hooks=())).actions

    assert isinstance(action, InstallHook)
    assert ("orders-spot", 300) == (action.target, action.heartbeat)


def test_a_hook_that_is_there_already_stays_as_it_is() -> None:
    """Somebody's own template made it: only noted as found, so that it is not taken off again one day."""
    (action,) = decide(a_group(hooks=(HOOK,))).actions

    assert isinstance(action, InstallHook)
    assert action.heartbeat is None


@pytest.mark.parametrize("hooks", [(), (HOOK,)])
def test_an_installation_that_died_is_done_again(hooks: tuple[Hook, ...]) -> None:
    """Tagged as being put there: put there (again) as ours, and never taken for somebody else's."""
    (action,) = decide(a_group(hooks=hooks, hook_tag="installing")).actions

    assert isinstance(action, InstallHook)
    assert 300 == action.heartbeat


def test_a_launch_hook_of_the_same_name_is_not_the_terminate_hook() -> None:
    """The transition counts too."""
    (action,) = decide(a_group(hooks=(Hook("bulwark-drain", 300, terminating=False),))).actions

    assert getattr(action, "heartbeat", None) == 300


@pytest.mark.parametrize(
    "group",
    [a_group(hooks=(HOOK,), hook_tag="own"), a_group(hooks=None)],
)
def test_what_is_noted_or_not_known_is_left_alone(group: Group) -> None:
    """Installed already; or hooks that could not be read, which is not the same as none (rule 5)."""
    assert Plan() == decide(group)


def test_nobody_gets_a_hook_unasked_but_hears_of_it() -> None:
    """Off by default: offered as a finding, and only when offers are made."""
    assert Plan() == decide(a_group(hooks=()), SILENT)
    assert ["hook-missing"] == [f.code for f in decide(a_group(hooks=()), SILENT, offer=True).findings]
    assert Plan() == decide(a_group(hooks=(HOOK,)), SILENT, offer=True)


@pytest.mark.parametrize(("tag", "delete"), [("own", True), ("installing", True), ("found", False)])
@pytest.mark.parametrize(
    ("group", "policies"),
    [(a_group(), SILENT), (a_group(cluster=None), ASKED), (a_group(), {"orders": Policy(draining=DrainingPolicy(False))})],
)
def test_what_is_no_longer_wanted_is_taken_off(group: Group, policies: dict[str, Policy], tag: str, delete: bool) -> None:
    """The policy changed, or the group opted out: our own hook goes, somebody else's stays, the note goes in both cases."""
    (action,) = decide(replace(group, hook_tag=tag), policies).actions

    assert isinstance(action, RemoveHook)
    assert delete == action.delete


def test_a_hook_that_holds_an_instance_stays_until_it_holds_none() -> None:
    """Deleting a hook lets go on what it holds: work would be cut off."""
    plan = decide(a_group(GroupMember("i-1", "Terminating:Wait"), hook_tag="own", cluster=None))

    assert ((), ["hook-still-holds"]) == (plan.actions, [f.code for f in plan.findings])


def test_a_group_that_ECS_drains_itself_gets_no_hook() -> None:
    """Rule 4: managed draining has a hook of its own; ours would only wait beside it, and goes if it is there."""
    assert Plan() == decide(a_group(hooks=()), by_ecs=True, offer=True)
    assert [RemoveHook] == [type(a) for a in decide(a_group(hook_tag="own"), by_ecs=True).actions]


@pytest.mark.parametrize(("minutes", "heartbeat"), [(1, 300), (60, 300), (1000, 600), (2880, 1728)])
def test_a_hundred_heartbeats_cover_what_the_policy_allows(minutes: int, heartbeat: int) -> None:
    """Auto Scaling's limit is 100 heartbeats: the longer a drain may last, the longer each must be."""
    assert heartbeat == heartbeat_for(Policy(draining=DrainingPolicy(hook_minutes=minutes)))
