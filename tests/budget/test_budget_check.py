"""The budget on logs where nothing is true: the spool counts as the worker does, permutations keep every margin."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.simulated import DAY_MS, MONITOR, reports
from streams.budget.check import rehearse, rehearse_all, result_of
from streams.budget.reading import assessed, fill
from streams.budget.spool import Spool, read_buckets
from streams.cli import main
from streams.detect.contribution import contribution_of
from streams.detect.deduplication import Message, decide, keys_of
from streams.detect.permute import permuted
from streams.detect.rule import rule_of
from streams.errors import ConfigurationError
from streams.events import AdverseEvent, Assessment, Patient, encode
from streams.monitors import load_monitor
from tests.detect.cases import Stream, streams


def spooled(path: Path, messages: Iterator[AdverseEvent]) -> int:
    with closing(Spool(path)) as spool:
        return fill(spool, assessed(messages, MONITOR), MONITOR)


@settings(deadline=None, max_examples=50)
@given(streams(), st.integers(0, 5))
def test_a_permutation_keeps_every_margin_and_depends_on_no_order(stream: Stream, seed: int) -> None:
    for bucket, cases in stream:
        shuffled = permuted(bucket, cases, seed)
        assert shuffled == permuted(bucket, cases[::-1], seed)
        for of in (lambda c: c.drugs, lambda c: (c.events, c.scores)):
            margins = [Counter((c.stratum, of(c)) for c in found) for found in (cases, shuffled)]
            assert margins[0] == margins[1]


def test_all_permutations_are_about_as_likely() -> None:
    three = [msgspec.structs.replace(r, patient=Patient()) for r in reports(1, seed=1, a_day=3)]
    cases = [contribution_of(r, late=False) for r in assessed(three, MONITOR) if isinstance(r, Assessment)]
    found = Counter(tuple(c.events for c in permuted(0, cases, seed)) for seed in range(3000))
    assert len(found) == 6
    assert all(400 < n < 600 for n in found.values()), "500 of each are expected, 20 the standard deviation"


def test_the_spool_counts_as_the_counting_rule_does(tmp_path: Path) -> None:
    path = tmp_path / "cases"
    counted = spooled(path, reports(30, seed=2, repeated=0.3))
    records = [r for r in assessed(reports(30, seed=2, repeated=0.3), MONITOR) if isinstance(r, Assessment)]
    messages = [Message(r.received_at // DAY_MS, (r.topic, r.partition, r.offset), keys_of(r)) for r in records]
    kept = {position for position, of in decide(messages, 730).items() if of is None}
    assert {case.position for _, cases in read_buckets(path) for case in cases} == kept
    assert counted == len(kept) == 30 * 15
    assert len(records) > 30 * 15


def test_strong_keeps_the_budget_on_a_simulated_year_of_2000_pairs_with_repeats(tmp_path: Path) -> None:
    path = tmp_path / "cases"
    assert spooled(path, reports(465, seed=3, repeated=0.05)) == 465 * 15
    rule = rule_of(MONITOR)
    as_it_is, *runs = rehearse_all(rule, path, [None, 0])
    result = result_of(rule, as_it_is, runs)
    assert result is not None
    assert result.years == pytest.approx(365 / 365.25)
    strong = next(rate for rate in result.rates if rate.level == "strong")
    assert strong.holds
    assert strong.as_it_is <= strong.budget, "nothing is true in the log itself either"


def test_two_workers_find_what_one_does(tmp_path: Path) -> None:
    path = tmp_path / "cases"
    spooled(path, reports(110, seed=4, a_day=6))
    rule = replace(rule_of(MONITOR), false_alarms_per_year=2e4, min_cases=1, min_days=1, rho=0.1)
    seeds = [None, 0]
    alone = list(rehearse_all(rule, path, seeds))
    assert alone == list(rehearse_all(rule, path, seeds, workers=2))
    assert alone[1] == rehearse(rule, path, 0)
    assert any(run.raised["early"] or run.raised["strong"] for run in alone)


def test_the_command_says_what_it_found_and_its_status_is_that_of_strong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "reports.jsonl"
    file.write_bytes(b"".join(encode(r) + b"\n" for r in reports(30, seed=5, a_day=5)))
    monitor = tmp_path / "m.toml"
    monitor.write_text(
        'name = "m"\n[[sources]]\ntopic = "m"\n[alarms]\npairs = 2000\nburn_in_days = 10\nbuckets_per_year = 365\n'
    )
    args = ["budget-check", "json", str(file), "-m", str(monitor), "--permutations", "2"]
    assert main([*args, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["cases"], found["permutations"], found["buckets"], found["holds"]) == (150, 2, 20, True)
    assert [(rate["level"], rate["budget"]) for rate in found["rates"]] == [("early", 5), ("strong", 5)]
    assert main(args) == 0
    assert "within the budget" in capsys.readouterr().out


def test_files_of_a_monitor_that_reads_text_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="reads text"):
        next(assessed(iter([]), load_monitor("demo")))


def test_a_log_that_ends_before_the_burn_in_has_no_rate(tmp_path: Path) -> None:
    path = tmp_path / "cases"
    spooled(path, reports(3, seed=6, a_day=2))
    rule = rule_of(MONITOR)
    assert result_of(rule, rehearse(rule, path, None), [rehearse(rule, path, 0)]) is None
