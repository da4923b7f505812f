"""The protocol under random schedules, and proof that the test would see each of its rules missing.

`VIGILIA_PROTOCOL_SCHEDULES` sets how many schedules are run. A violation prints the seed and the steps;
`protocol_world.world(seed, client).replay(steps)` runs them again, and steps may be left out by hand.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import redis
from protocol_world import Parts, world

import streams.alerts.publisher
import streams.assess.sequencer
import streams.detect.progress
import streams.state.parts
from streams.events import decode_alert
from streams.state.server import RedisServer
from streams.state.session import load_scripts

SCHEDULES = int(os.environ.get("VIGILIA_PROTOCOL_SCHEDULES", "500"))
BATCHES = 10
SEEDS = 400  # within which a missing rule must show; most show within 30


MET = {
    "counted", "late", "duplicate", "dead_letter:unreadable", "gap", "tick", "tick_void", "repeated", "beyond",
    "provisional", "withdrawn", "raised", "updated",
}  # fmt: skip


@pytest.fixture(scope="module")
def client() -> Iterator[redis.Redis]:
    """A Redis that nobody else uses: worlds empty it."""
    with RedisServer() as server:
        yield redis.Redis.from_url(server.url, protocol=2)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every key of a close in a part of its own, so that there is something between the parts."""
    monkeypatch.setattr(streams.state.parts, "CHUNK_WRITES", 1)


@pytest.fixture(scope="module")
def met() -> dict[int, set[str]]:
    """Outcomes of messages and states of alerts that each batch of schedules met."""
    return {}


@pytest.mark.parametrize("batch", range(BATCHES))
def test_no_schedule_loses_doubles_or_misreports_anything(
    client: redis.Redis, batch: int, met: dict[int, set[str]]
) -> None:
    met[batch] = set()
    for seed in range(batch, SCHEDULES, BATCHES):
        run = world(seed, client)
        wrong = run.run()
        assert not wrong, "\n".join([f"seed {seed}:", *wrong, f"steps: {run.trace}"])
        met[batch] |= {*run.store.counters(), *(decode_alert(record).state for _, record in run.alerts)}


def test_the_schedules_are_not_harmless(met: dict[int, set[str]]) -> None:
    if len(met) < BATCHES or SCHEDULES < 500:
        pytest.skip("only some of the schedules were run")
    assert set().union(*met.values()) >= MET


def test_a_schedule_can_be_replayed_by_its_steps(client: redis.Redis) -> None:
    first = world(1, client)
    assert first.run() == []
    again = world(1, client)
    assert again.replay(first.trace) == []
    assert again.alerts == first.alerts
    assert again.assessments == first.assessments


# ---------------------------------------------------------------- rules taken away


def without(module: ModuleType, rule: str, instead: str) -> Any:
    """`module` as if `rule` had been written otherwise."""
    assert module.__file__ is not None
    text = Path(module.__file__).read_text("utf-8")
    assert text.count(rule) == 1, f"{rule!r} is not in {module.__name__} once"
    broken = ModuleType(f"{module.__name__}_broken")
    sys.modules[broken.__name__] = broken  # dataclasses look their module up
    exec(compile(text.replace(rule, instead), module.__file__, "exec"), broken.__dict__)
    return SimpleNamespace(**vars(broken))


def scripts_without(rule: str, instead: str) -> dict[str, str]:
    """The Lua scripts as if `rule` had been written otherwise."""
    folder = resources.files("streams.state") / "lua"
    assert sum(file.read_text("utf-8").count(rule) for file in folder.iterdir()) == 1, f"{rule!r} is not there once"
    return {name: text.replace(rule, instead) for name, text in load_scripts().items()}


def sequencer_without(rule: str, instead: str) -> Parts:
    return Parts(sequencer=without(streams.assess.sequencer, rule, instead).Sequencer)


def advance_without(rule: str, instead: str) -> Parts:
    return Parts(advance=without(streams.detect.progress, rule, instead).advance)


def publisher_without(rule: str, instead: str) -> Parts:
    return Parts(publisher=without(streams.alerts.publisher, rule, instead).Publisher)


def lua_without(rule: str, instead: str) -> Parts:
    return Parts(scripts=scripts_without(rule, instead))


BROKEN = {
    "chain: a record beyond what is expected is applied": lambda: advance_without(
        "elif record.lo > state.next:", "elif False:"
    ),
    "tickat: a tick counts wherever it arrives": lambda: advance_without(
        "if record.at == state.next:", "if True:"
    ),
    "rewind: what was not delivered is sent again behind what was": lambda: sequencer_without(
        "        self._slots.clear()\n        self._lo = self._commit\n        return self._commit",
        "        for slot in self._slots:\n"
        "            slot.released = slot.delivered\n"
        "        return self._lo",
    ),
    "local: only counted messages hold keys": lambda: lua_without(
        "for _, key in ipairs(keys) do hold(key, bucket, position) end",
        "if wins then for _, key in ipairs(keys) do hold(key, bucket, position) end end",
    ),
    "roster: partitions that have told no time don't hold up a close": lambda: lua_without(
        "if not floor then return nil end\n      if not low or floor < low",
        "if floor and (not low or floor < low)",
    ),
    "recheck: the commit trusts what the worker saw": lambda: lua_without(
        "if next_close(pos, cmsgpack.unpack(ARGV[5]), open, counted, closed) ~= tonumber(bucket) then return 0 end", ""
    ),
    "next_a: a batch is applied wherever it starts": lambda: lua_without(
        "if next_a ~= a0 then return {0, tonumber(next_a)} end", ""
    ),
    "horizon: keys of closed buckets are forgotten": lambda: lua_without(
        "while closed and #list > 2 and list[3] <= closed do", "while closed and #list > 0 and list[1] <= closed do"
    ),
    "manifest: the commit does not ask whether its parts are there": lambda: lua_without(
        "if redis.call('SISMEMBER', chunks, token) == 0 then return 0 end", ""
    ),
    "bound reads: a close is computed from whatever Redis holds": lambda: lua_without(
        "if (closed or '') ~= ARGV[3] then return false end", ""
    ),
    "orphans: nobody withdraws": lambda: publisher_without(
        "orphans(self._want, view, settled, self._open.keys())", "[]"
    ),
    "order: the topic is not looked at": lambda: publisher_without(
        "self._view[alert_id] = rank\n", "self._view[alert_id] = max(rank, self._view.get(alert_id, rank))\n"
    ),
}  # fmt: skip


NERVOUS = ("manifest", "bound reads", "order")  # what shows only if Redis or a publisher hesitates in the wrong moment


@pytest.mark.parametrize("rule", BROKEN)
def test_a_missing_rule_is_noticed(client: redis.Redis, rule: str) -> None:
    parts, nervous = BROKEN[rule](), True if rule.startswith(NERVOUS) else None
    noticed = any(world(seed, client, parts, nervous=nervous).run() for seed in range(SEEDS))
    assert noticed, f"nothing notices without {rule}"
