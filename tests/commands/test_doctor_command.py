"""The doctor tells what is wrong and what to do, and changes nothing."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from streams.commands import checks
from streams.detect.shares import grown
from streams.events import Assessment, Tick
from tests.conftest import unavailable
from tools.kafka import Broker, Missing

pytestmark = pytest.mark.kafka


@pytest.fixture
def doctor(vigilia: Callable[..., Any], world: Any) -> Callable[..., tuple[int, dict[str, list[dict[str, str]]]]]:
    def run(monitor: object = world.path) -> tuple[int, dict[str, list[dict[str, str]]]]:
        result = vigilia("doctor", "--json", "-m", monitor)
        found: dict[str, list[dict[str, str]]] = {}
        for check in json.loads(result.out):
            found.setdefault(check["name"], []).append(check)
        return result.status, found

    return run


def set_topic(world: Any, topic: str, **values: str) -> None:
    entries = [
        ConfigEntry(n.replace("_", "."), v, incremental_operation=AlterConfigOpType.SET) for n, v in values.items()
    ]
    admin = AdminClient(world.settings.kafka())
    for future in admin.incremental_alter_configs(
        [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)]
    ).values():
        future.result(30)


def test_all_is_well_where_all_is_well(
    vigilia: Callable[..., Any], world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIGILIA_FINGERPRINT_KEY", "ours alone")
    world.fill(days=8)
    world.detect()
    result = vigilia("doctor", "-m", world.path)
    assert result.status == 0
    assert all(line.startswith("ok ") for line in result.out.splitlines()), result.out
    for told in (
        world.monitor.assessments_topic,
        "noeviction",
        "assessments applied, closed up to 1997-05-",
        "reads coded",
    ):
        assert told in result.out, told
    assert "ours alone" not in result.out


def test_nothing_reachable_is_told_for_each_part(doctor: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGILIA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("VIGILIA_REDIS_URL", "redis://:hidden-password@127.0.0.1:1")
    status, checks = doctor()
    assert status == 1
    assert [checks[name][0]["status"] for name in ("kafka", "redis", "model")] == ["fail", "fail", "ok"]
    assert "VIGILIA_BOOTSTRAP_SERVERS" in checks["kafka"][0]["what_to_do"]
    assert "hidden-password" not in json.dumps(checks)


def test_a_topic_that_is_set_up_wrongly_fails_with_the_command_that_mends_it(
    doctor: Callable[..., Any], world: Any
) -> None:
    set_topic(world, world.monitor.assessments_topic, retention_ms="1000")
    status, checks = doctor()
    assert status == 1
    (wrong,) = [check for check in checks["topic"] if check["status"] == "fail"]
    assert wrong["found"].startswith(world.monitor.assessments_topic)
    assert "--add-config retention.ms=-1" in wrong["what_to_do"]


def test_missing_topics_are_a_warning_where_the_worker_creates_them(
    doctor: Callable[..., Any], world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.toml"
    other.write_text(world.path.read_text().replace(f'"{world.monitor.name}', f'"{world.monitor.name}-other'), "utf-8")
    status, checks = doctor(other)
    assert status == 0
    assert {check["status"] for check in checks["topic"] if "-other" in check["found"]} == {"warn"}
    monkeypatch.setenv("VIGILIA_CREATE_TOPICS", "false")
    status, checks = doctor(other)
    assert status == 1
    assert {check["status"] for check in checks["topic"] if "-other" in check["found"]} == {"fail"}
    known = AdminClient(world.settings.kafka()).list_topics(timeout=10).topics
    assert not [name for name in known if f"{world.monitor.name}-other" in name]


def test_a_source_that_takes_any_timestamp_fails(doctor: Callable[..., Any], world: Any) -> None:
    set_topic(world, world.notes, message_timestamp_after_max_ms=str(10**15))
    status, checks = doctor()
    assert status == 1
    assert world.notes in checks["clock"][0]["what_to_do"]


def test_the_partition_that_holds_up_every_close_is_named(doctor: Callable[..., Any], world: Any) -> None:
    """Days pass on the reports; the notes never say anything."""
    records = [
        Assessment(world.reports, p, n, n, (10_000 + n) * 86_400_000, f"c{p}-{n}", 1, 0, ["Ain"], ["Rash"], [1_000_000])
        for p in (0, 1)
        for n in range(9)
    ]
    world.assess(records)
    world.detect()
    status, checks = doctor()
    assert status == 0
    (closes,) = checks["closes"]
    assert closes["status"] == "warn"
    assert f"7 buckets can't be closed: {world.notes}/0 has told no time yet, others are at 1997-05-" in closes["found"]
    assert "live = true" in closes["what_to_do"]
    world.assess([Tick(world.notes, 0, at=0, received_at=10_008 * 86_400_000)])
    world.detect()
    assert doctor()[1]["closes"][0]["status"] == "ok"


def test_a_vocabulary_that_outgrows_its_budget_is_told(doctor: Callable[..., Any], world: Any) -> None:
    def told(evidence: str, pairs: int) -> dict[str, str]:
        monitor = world.monitor.model_copy(
            update={"evidence": evidence, "alarms": world.monitor.alarms.model_copy(update={"pairs": pairs})}
        )
        return checks.pairs(10, 20, blocks if evidence == "text" else (), monitor)._asdict()

    blocks = grown(grown((), 5, 10, 100), 10, 20, 100)
    assert told("coded", 250)["status"] == told("text", 200)["status"] == "ok"
    assert "beyond it the worker stops" in told("coded", 249)["found"]
    assert told("text", 100)["status"] == "warn"
    assert told("text", 100)["found"].endswith(
        "200 pairs watched, alarms.pairs is 100; times the usual threshold: 50 at 1, 150 at 16"
    )
    world.fill(days=8)
    world.detect()
    assert "pairs watched, alarms.pairs is 50" in doctor()[1]["pairs"][0]["found"]


def test_quick_asks_whether_kafka_and_redis_answer_and_nothing_else(
    vigilia: Callable[..., Any], world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = vigilia("doctor", "--quick", "--json")
    assert result.status == 0
    assert [(check["name"], check["status"]) for check in json.loads(result.out)] == [("kafka", "ok"), ("redis", "ok")]
    assert vigilia("doctor", "--quick", "-m", world.path).status == 2
    monkeypatch.setenv("VIGILIA_REDIS_URL", "redis://:hidden-password@127.0.0.1:1")
    result = vigilia("doctor", "--quick")
    assert result.status == 1
    assert "hidden-password" not in result.out + result.err


def test_a_right_that_a_worker_needs_and_lacks_is_named(
    vigilia: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker with ACLs that lets everybody do what no ACL names; the group of detect is refused."""
    properties = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    broker = Broker(properties=properties)
    try:
        broker.start()
    except Missing as error:
        unavailable(f"no Kafka: {error}")
    with contextlib.closing(broker):
        monkeypatch.setenv("VIGILIA_BOOTSTRAP_SERVERS", broker.bootstrap_servers)
        monkeypatch.delenv("VIGILIA_REDIS_URL", raising=False)
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        path = tmp_path / "guarded.toml"
        path.write_text('name = "guarded"\n[[sources]]\ntopic = "reports"\n', "utf-8")
        admin.create_topics([NewTopic("reports", 1, 1)])["reports"].result(30)

        def told() -> dict[str, str]:
            checks = json.loads(vigilia("doctor", "--json", "-m", path).out)
            return next(check for check in checks if check["name"] == "access")

        assert told()["status"] == "ok"
        for kind, name, operation in (
            (ResourceType.GROUP, "guarded.detect", AclOperation.READ),
            (ResourceType.TOPIC, "reports", AclOperation.READ),
        ):
            binding = AclBinding(
                kind, name, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", operation, AclPermissionType.DENY
            )
            rest = AclBinding(
                kind,
                name,
                ResourcePatternType.LITERAL,
                "User:ANONYMOUS",
                "*",
                AclOperation.DESCRIBE,
                AclPermissionType.ALLOW,
            )
            for future in admin.create_acls([binding, rest]).values():
                future.result(30)
        found = told()
        assert found["status"] == "fail"
        assert found["what_to_do"] == "grant it: READ on topic reports, READ on group guarded.detect"


def test_a_redis_that_evicts_fails(doctor: Callable[..., Any], world: Any) -> None:
    world.store.client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        status, checks = doctor()
    finally:
        world.store.client.config_set("maxmemory-policy", "noeviction")
    assert status == 1
    assert "noeviction" in checks["redis"][0]["found"]


def test_a_state_of_other_settings_fails_and_a_dirty_one_is_rebuilt(doctor: Callable[..., Any], world: Any) -> None:
    world.fill(days=3)
    world.detect()
    world.store.client.hset(world.store.keys.meta, "dirty", "apply")
    status, checks = doctor()
    assert (status, checks["state"][0]["status"]) == (0, "warn")
    world.store.client.hdel(world.store.keys.meta, "dirty")
    world.path.write_text(world.path.read_text().replace("pairs = 50", "pairs = 51"), "utf-8")
    status, checks = doctor()
    assert status == 1
    assert checks["redis"][0]["what_to_do"].startswith("give the monitor a new name")


def test_without_redis_only_demo_and_replay_work(doctor: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIGILIA_REDIS_URL")
    status, checks = doctor()
    assert (status, checks["redis"][0]["status"]) == (0, "warn")


def test_a_model_that_is_not_the_one_named_fails(doctor: Callable[..., Any], world: Any, tmp_path: Path) -> None:
    text = world.path.read_text().replace('evidence = "coded"', 'evidence = "both"\nmodel = "another@0123"')
    (tmp_path / "named.toml").write_text(text, "utf-8")
    status, checks = doctor(tmp_path / "named.toml")
    assert status == 1
    assert checks["model"][0]["status"] == "fail"
