"""A scenario file becomes an account description, or one line that says which field is wrong and what would be right."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from workbench.sandbox.scenario import Scenario, ScenarioError, load_scenario, read_scenario

SHIPPED = Path(__file__).parents[2] / "workbench" / "scenarios"

GROUPS = "clusters: [{groups: [%s]}]"


def load(tmp_path: Path, text: str) -> Scenario:
    """The scenario in ``text``, by way of a file."""
    path = tmp_path / "account.yaml"
    path.write_text(text, encoding="utf-8")
    return load_scenario(path)


def test_every_field_but_clusters_and_groups_has_a_default(tmp_path: Path) -> None:
    """A cluster with one empty group is a whole account, with everything named."""
    scenario = load(tmp_path, GROUPS % "{}")
    cluster = scenario.clusters[0]
    assert (cluster.name, cluster.groups[0].name, cluster.groups[0].size) == ("default", "default-1", (0, 2, 6))
    assert cluster.groups[0].managed
    assert (cluster.groups[0].capacity_rebalance, cluster.groups[0].spot_draining, cluster.groups[0].tags) == (False, False, {})
    assert scenario.start == datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def test_the_documented_example_is_read_whole(tmp_path: Path) -> None:
    """Every field the design names is accepted and kept; a task's ``on`` is a name and not a truth value."""
    scenario = load(
        tmp_path,
        """
start: 2026-01-01T00:00:00Z
clusters:
  - name: orders
    policy: {draining: {enabled: true}}
    groups:
      - {name: orders-spot, instance_type: m5.large, market: spot, min: 2, desired: 4, max: 12,
         zones: [us-east-1a, us-east-1b], managed: true, launch: never-registers, hooks: [{name: drain, transition: terminating}],
         capacity_rebalance: true, spot_draining: true, tags: {team: orders}}
    instances:
      - {id: i-0aaa0000000000001, group: orders-spot, zone: us-east-1a, agent: 1.14.3, connected: false,
         status: DRAINING, ec2: stopped, cpu: 2048, memory: 7680, lacks: [ecs.capability.secrets.ssm.environment-variables]}
    services:
      - {name: web, desired: 6, cpu: 256, memory: 512, host_ports: [8080], network: bridge, secrets: ssm,
         daemon: false, min_healthy: 100, max_percent: 200, constraints: [distinctInstance], protected: false}
    tasks:
      - {family: nightly, on: i-0aaa0000000000001, cpu: 512, memory: 1024, tags: {bulwark:restart: "yes"}}
""",
    )
    cluster = scenario.clusters[0]
    machine = cluster.instances[0]
    assert (machine.agent, machine.connected, machine.status, machine.memory) == ("1.14.3", False, "DRAINING", 7680)
    assert cluster.groups[0].hooks[0].heartbeat == 3600
    assert cluster.policy == {"draining": {"enabled": True}}
    assert (cluster.tasks[0].on, cluster.tasks[0].tags) == ("i-0aaa0000000000001", {"bulwark:restart": "yes"})
    group = cluster.groups[0]
    assert (group.capacity_rebalance, group.spot_draining, group.tags, machine.ec2) == (True, True, {"team": "orders"}, "stopped")
    assert cluster.services[0].host_ports == (8080,)
    assert scenario.start.year == 2026


def test_a_group_that_did_not_opt_in_may_carry_the_tag_all_the_same() -> None:
    """A tag that the group would not have by itself is the scenario's to give: a name that is not propagated, or a wrong one."""
    group = {"managed": False, "tags": {"bulwark:cluster": "elsewhere", "AmazonECSManaged": ""}}
    assert read_scenario({"clusters": [{"groups": [group]}]}, "test").clusters[0].groups[0].own_tags == ("Name",)


def test_what_a_group_launches_is_one_type_or_several() -> None:
    """A type by name, several with their weights, or the usual one; a first is always there."""
    groups = [{}, {"instance_type": "m6g.large"}, {"types": [{"type": "m5.large", "weight": 1}, {"type": "m5.xlarge", "weight": 2}]}]
    read = read_scenario({"clusters": [{"groups": groups}]}, "test").clusters[0].groups
    launched = [[(one.type, one.weight) for one in group.launch_types] for group in read]
    assert launched == [[("m5.large", None)], [("m6g.large", None)], [("m5.large", 1), ("m5.xlarge", 2)]]
    assert [group.weight(None) for group in read] == [1, 1, 1]
    assert read[2].weight("m5.xlarge") == 2
    assert [group.pick for group in read] == ["first"] * 3


def test_the_last_instance_may_count_for_more_than_what_is_left() -> None:
    """Two of two units each, three desired: the second one passes the mark, as a launch would."""
    group = {"types": [{"type": "m5.xlarge", "weight": 2}], "desired": 3}
    scenario = read_scenario({"clusters": [{"groups": [group], "instances": [{}, {"scale_in_protected": True}]}]}, "test")
    assert [m.scale_in_protected for m in scenario.clusters[0].instances] == [False, True]


def test_a_daemon_has_ecs_own_bounds() -> None:
    """A daemon's deployment bounds default to 0 and 100 %, a replica service's to 100 and 200 %."""
    services = [{"name": "logs", "daemon": True}, {"name": "web"}]
    scenario = read_scenario({"clusters": [{"groups": [{}], "services": services}]}, "test")
    assert [s.bounds for s in scenario.clusters[0].services] == [(0, 100), (100, 200)]


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_scenario_is_valid(path: Path) -> None:
    """What is shipped can be loaded, says what it is about, and holds the instance that the sample events are about, if it has any."""
    assert path.read_text(encoding="utf-8").startswith("# ")
    scenario = load_scenario(path)
    empty = not any(group.size[1] for c in scenario.clusters for group in c.groups)
    assert empty or "i-0aaa0000000000001" in {m.id for c in scenario.clusters for m in c.instances}


@pytest.mark.parametrize(
    ("text", "field", "fix"),
    [
        ("", "empty", "clusters:"),
        ("a: [", "not YAML", "correct"),
        ("3", "the file", "mapping"),
        ("clusters: 3", "clusters:", "list"),
        ("clusters: []", "clusters:", "at least one"),
        ("clusters: [{}]", "clusters[0].groups:", "add it"),
        ("cluster: []", "cluster:", "did you mean clusters?"),
        ("start: 2026-11-24\nclusters: [{groups: [{}]}]", "start:", "2026-11-24T03:00:00Z"),
        ("start: soon\nclusters: [{groups: [{}]}]", "start:", "2026-11-24T03:00:00Z"),
        (GROUPS % "{desred: 3}", "clusters[0].groups[0].desred:", "did you mean desired?"),
        (GROUPS % "{desired: true}", "clusters[0].groups[0].desired:", "whole number"),
        (GROUPS % "{desired: 1.5}", "clusters[0].groups[0].desired:", "whole number"),
        (GROUPS % "{desired: -1}", "clusters[0].groups[0].desired:", "0 or more"),
        (GROUPS % "{min: 4, desired: 3}", "clusters[0].groups[0].desired:", "4 to 9"),
        (GROUPS % "{desired: 3, max: 2}", "clusters[0].groups[0].desired:", "0 to 2"),
        (GROUPS % "{min: 4, max: 2}", "clusters[0].groups[0].max:", "raise it"),
        (GROUPS % "{managed: 1}", "clusters[0].groups[0].managed:", "true or false"),
        (GROUPS % "{launch: no-capcity}", "clusters[0].groups[0].launch:", "did you mean no-capacity?"),
        (GROUPS % "{instance_type: m5.lage}", "clusters[0].groups[0].instance_type:", "did you mean m5.large?"),
        (GROUPS % "{instance_type: zzz}", "clusters[0].groups[0].instance_type:", "valid: a1"),
        (GROUPS % "{types: [{type: m5.lage}]}", "clusters[0].groups[0].types[0].type:", "did you mean m5.large?"),
        (GROUPS % "{types: [{weight: 1}]}", "clusters[0].groups[0].types[0].type:", "add it"),
        (GROUPS % "{types: [{type: m5.large, weight: 0}]}", "clusters[0].groups[0].types[0].weight:", "1 or more"),
        (GROUPS % "{types: [{type: m5.large, weight: 1}, {type: m5.xlarge}]}", "clusters[0].groups[0].types:", "or none"),
        (GROUPS % "{types: [{type: m5.large}, {type: m5.large}]}", "clusters[0].groups[0].types[1].type:", "choose another"),
        (GROUPS % "{types: [{type: m5.large}], instance_type: m5.large}", "clusters[0].groups[0].instance_type:", "drop one"),
        (GROUPS % "{pick: last}", "clusters[0].groups[0].pick:", "valid: first, in-turn"),
        (GROUPS % "{recovers: -1}", "clusters[0].groups[0].recovers:", "0 or more"),
        (GROUPS % "{zones: [us-east-1x]}", "clusters[0].groups[0].zones:", "did you mean us-east-1"),
        (GROUPS % "{zones: []}", "clusters[0].groups[0].zones:", "at least one"),
        (GROUPS % "{suspended: [Lanch]}", "clusters[0].groups[0].suspended:", "did you mean Launch?"),
        (GROUPS % "{agent: 1.14}", "clusters[0].groups[0].agent:", "quotes"),
        (GROUPS % "{agent: 'new'}", "clusters[0].groups[0].agent:", "1.107.0"),
        (GROUPS % "{name: a b}", "clusters[0].groups[0].name:", "letters"),
        (GROUPS % "{hooks: [{heartbeat: 9000}]}", "clusters[0].groups[0].hooks[0].heartbeat:", "7200 or less"),
        (GROUPS % "{spot_draining: 1}", "clusters[0].groups[0].spot_draining:", "true or false"),
        (GROUPS % "{capacity_rebalance: yes}", "clusters[0].groups[0].capacity_rebalance:", "true or false"),
        (GROUPS % "{tags: [a]}", "clusters[0].groups[0].tags:", "{name: value}"),
        (GROUPS % "{tags: {a: 1}}", "clusters[0].groups[0].tags.a:", "quotes"),
        (GROUPS % "{tags: {'aws:a': b}}", "clusters[0].groups[0].tags.aws:a:", "choose another"),
        (GROUPS % "{tags: {'bulwark:cluster': b}}", "clusters[0].groups[0].tags.bulwark:cluster:", "drop it"),
        (GROUPS % "{tags: {Name: b}}", "clusters[0].groups[0].tags.Name:", "drop it"),
        (GROUPS % "{capacity_provider: {}, tags: {AmazonECSManaged: ''}}", "clusters[0].groups[0].tags.AmazonECSManaged:", "drop it"),
        (GROUPS % f"{{tags: {{{'k' * 129}: b}}}}", "clusters[0].groups[0].tags.kkk", "shorten it"),
        (GROUPS % f"{{tags: {{{', '.join(f'k{n}: a' for n in range(41))}}}}}", "clusters[0].groups[0].tags:", "drop some"),
        ("clusters: [{groups: [{}], instances: [{ec2: stoped}]}]", "clusters[0].instances[0].ec2:", "did you mean stopped?"),
        ("clusters: [{groups: [{}], tasks: [{tags: {'aws:a': b}}]}]", "clusters[0].tasks[0].tags.aws:a:", "choose another"),
        (GROUPS % "{name: a}, {name: a}", "clusters[0].groups[1].name:", "choose another"),
        ("clusters: [{name: a, groups: [{}]}, {name: a, groups: [{}]}]", "clusters[1].name:", "choose another"),
        ("clusters: [{groups: [{}], instances: [{id: i-3}]}]", "clusters[0].instances[0].id:", "17 hexadecimal"),
        ("clusters: [{groups: [{name: g}], instances: [{group: h}]}]", "clusters[0].instances[0].group:", "valid: g"),
        ("clusters: [{groups: [{zones: [us-east-1a]}], instances: [{zone: us-east-1b}]}]", "instances[0].zone:", "us-east-1a"),
        ("clusters: [{groups: [{desired: 1}], instances: [{}, {}]}]", "clusters[0].instances:", "raise desired"),
        ("clusters: [{groups: [{}], instances: [{instance_type: c5.large}]}]", "instances[0].instance_type:", "m5.large"),
        ("clusters: [{groups: [{types: [{type: m5.large, weight: 2}], desired: 2}], instances: [{}, {}]}]", ".instances:", "raise desired"),
        ("clusters: [{groups: [{}], services: [{capacity_provider: a}]}]", "services[0].capacity_provider:", "give a group one"),
        ("clusters: [{groups: [{capacity_provider: {name: ab}}], tasks: [{capacity_provider: a}]}]", "tasks[0].capacity_provider:", "ab"),
        (
            (
                "clusters: [{groups: [{capacity_provider: {name: a}}], instances: [{id: i-00000001}],"
                " tasks: [{on: i-00000001, capacity_provider: a}]}]"
            ),
            "tasks[0].capacity_provider:",
            "drop one",
        ),
        ("clusters: [{groups: [{}], policy: 3}]", "clusters[0].policy:", "{name: value}"),
        ("clusters: [{groups: [{}], services: [{min_healthy: 300}]}]", "clusters[0].services[0].min_healthy:", "lower it"),
        ("clusters: [{groups: [{}], services: [{network: bridged}]}]", "services[0].network:", "did you mean bridge?"),
        ("clusters: [{groups: [{}], tasks: [{on: i-0aaa0000000000001}]}]", "clusters[0].tasks[0].on:", "under instances"),
    ],
)
def test_a_wrong_field_is_named_in_one_line_with_its_fix(tmp_path: Path, text: str, field: str, fix: str) -> None:
    """The error is one line with the file, the path of the field and what would be right."""
    with pytest.raises(ScenarioError) as error:
        load(tmp_path, text)
    message = str(error.value)
    assert message.startswith(str(tmp_path / "account.yaml"))
    assert field in message
    assert fix in message
    assert "\n" not in message
    assert len(message) < 500


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    """A missing file, a directory and a file that is no text are refused by name."""
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00\x81")
    for path in (tmp_path / "absent.yaml", tmp_path, binary):
        with pytest.raises(ScenarioError, match=str(path)) as error:
            load_scenario(path)
        assert "\n" not in str(error.value)
