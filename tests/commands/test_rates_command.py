"""`vigilia rates` and `RateReader` on a real Redis: always the recount of the log, also while buckets close."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from streams.audit.log import AssessmentLog
from streams.audit.recount import Case, pair_scores, recount
from streams.commands.options import store_settings
from streams.rates import RateReader
from streams.state.store import Store

pytestmark = pytest.mark.kafka
LENGTHS = {"day": 1, "week": 7, "month": 30, "6months": 182, "reference": 730}


def recounted(cases: list[Case], last: int, days: int, drug: str, event: str) -> dict[str, float]:
    """The window recounted from the log's own records."""
    inside = [case.record for case in cases if last - days < case.bucket <= last]
    strata = defaultdict(list)
    for record in inside:
        strata[record.stratum].append(record)
    return {
        "reports": len(inside),
        "drug_cases": sum(drug in record.drugs for record in inside),
        "event_cases": sum(event in record.events for record in inside),
        "cases": sum(pair_scores(record).get((drug, event), 0) for record in inside) / 1e6,
        "expected": sum(
            sum(drug in r.drugs for r in own) * sum(event in r.events for r in own) / len(own)
            for own in strata.values()
        ),
    }


@pytest.fixture
def cases(world: Any) -> list[Case]:
    world.fill(days=60)
    with AssessmentLog(world.settings, world.monitor) as log:
        return list(recount(log.records(), world.monitor).counted())


def differences(reader: RateReader, cases: list[Case], drug: str, event: str, last: int | None = None) -> Iterator[str]:
    found = reader.read(drug, event, last=last)
    for rate in found.windows:
        assert found.last is not None
        assert rate.pair is not None
        wanted = recounted(cases, found.last, LENGTHS[rate.window], drug, event)
        seen = {"reports": rate.reports, "drug_cases": rate.drug_cases, "event_cases": rate.pair.event_cases,
                "cases": rate.pair.cases, "expected": rate.pair.expected}  # fmt: skip
        for name, value in wanted.items():
            if value != pytest.approx(seen[name]):
                yield f"{rate.window} until {found.last}: {name} is {seen[name]}, recounted {value}"


def test_rates_are_the_recount_of_the_log_at_any_day(world: Any, cases: list[Case]) -> None:
    world.detect()
    reader = RateReader(world.store, world.monitor)
    closed = world.store.base().closed
    for drug, event in (("Ain", "Fever"), ("Plantedin", "Planted reaction"), ("Bin", "never heard of")):
        for last in (None, closed, closed - 9, closed - 40):
            assert list(differences(reader, cases, drug, event, last)) == []
    days = {rate.window: rate.days for rate in reader.read("Ain").windows}
    assert (days["week"], days["reference"]) == (7, closed - min(case.bucket for case in cases) + 1)
    with pytest.raises(Exception, match="is not among the closed ones"):
        reader.read("Ain", last=closed + 1)


def test_a_reader_beside_a_worker_sees_only_whole_closes(world: Any, cases: list[Case]) -> None:
    done = threading.Event()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            for until in range(20, 320, 20):
                world.detect(until)
                read.acquire(timeout=30)  # on a busy machine all would be closed before the first read is done
            world.detect()
        except BaseException as error:  # noqa: BLE001
            failed.append(error)
        finally:
            done.set()

    store = Store.connect(world.environment["VIGILIA_REDIS_URL"], store_settings(world.monitor))
    reader, seen = RateReader(store, world.monitor), set()
    read = threading.Semaphore(0)
    worker = threading.Thread(target=work)
    worker.start()
    while not done.is_set() or not seen:
        assert list(differences(reader, cases, "Ain", "Fever")) == []
        seen.add(reader.read("Ain", "Fever").closed)
        read.release()
    worker.join()
    assert failed == []
    assert list(differences(reader, cases, "Ain", "Fever")) == []
    assert len(seen) > 2, "it was read while buckets closed"
    store.wipe()
    assert (reader.read("Ain").closed, reader.read("Ain").windows) == (None, [])
    store.close()


def test_what_is_open_is_shown_apart_and_follows_every_change(world: Any, cases: list[Case]) -> None:
    """Duplicates that turn up later take cases out of an open bucket again."""
    reader = RateReader(world.store, world.monitor)
    for until in (15, 60, 130):
        world.detect(until)
        found = reader.read("Ain", "Fever")
        fresh = RateReader(world.store, world.monitor).read("Ain", "Fever")
        assert found == fresh
        held = world.store.open_buckets()
        assert (found.open.reports if found.open else 0) == sum(held.values())
        if found.open:
            assert (found.open.first, found.open.last) == (min(held), max(held))
    assert held, "some are open"
    assert found.closed is None or found.open is None or found.open.first > found.closed


def test_the_command_shows_a_table_and_names_what_it_does_not_know(
    vigilia: Callable[..., Any], world: Any, cases: list[Case]
) -> None:
    world.detect()
    closed = world.store.base().closed
    found = json.loads(vigilia("rates", "plantedin", "planted reaction", "-m", world.path, "--json").out)
    assert (found["drug"], found["last"], len(found["windows"])) == ("Plantedin", closed, 5)
    wanted = recounted(cases, closed, 182, "Plantedin", "Planted reaction")
    half_year = found["windows"][3]
    assert (half_year["window"], half_year["pair"]["cases"]) == ("6months", wanted["cases"])
    assert half_year["pair"]["relative"]["value"] == pytest.approx(wanted["cases"] / wanted["expected"])
    table = vigilia("rates", "Ain", "-m", world.path, "--window", "week", "--until", "1997-06-20")
    assert table.status == 0, table.err
    assert table.out.splitlines()[2].split()[:4] == ["week", "1997-06-14", "1997-06-20", "7"]
    unknown = vigilia("rates", "Plantedim", "-m", world.path)
    assert (unknown.status, "did you mean Plantedin?" in unknown.err) == (2, True)
