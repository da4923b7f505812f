"""Rates of VAERS in the months of RotaShield's signal, from a real Redis, beside a recount of its reports."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from streams.alerts.closer import Closer
from streams.audit.recount import recount
from streams.budget.reading import assessed
from streams.detect.progress import advance
from streams.detect.time import Timing
from streams.events import END_OF_TIME, Tick
from streams.intake.vaers import read_vaers
from streams.monitors import load_monitor
from streams.rates import RateReader
from streams.state.server import RedisServer
from streams.state.store import Applied, Store, StoreSettings

LENGTHS = {"day": 1, "week": 7, "month": 30, "6months": 182, "reference": 730}


def test_rates_of_rotashield_are_those_of_its_reports(
    redis_server: RedisServer, shared_data: Path, unique: Callable[[str], str]
) -> None:
    monitor = load_monitor("vaers").replayed_as(unique("rates"))
    folder = shared_data / "vaers_1990_2006"
    reports = read_vaers([folder], start=date(1999, 2, 1), end=date(1999, 3, 4))
    records = list(assessed(reports, monitor))
    records.append(Tick(monitor.topics[0], 0, at=len(records), received_at=END_OF_TIME))
    store = Store.connect(redis_server.url, StoreSettings.of(monitor))
    step = advance(store.positions().sources, records, Timing(monitor.bucket_ms, monitor.disorder_ms))
    assert isinstance(store.apply(0, 0, len(records), step), Applied)
    closer = Closer(monitor, store, vocabulary="test")
    while closer.close_next() is not None:
        pass
    counted = list(recount(((0, i, record) for i, record in enumerate(records)), monitor).counted())
    found = RateReader(store, monitor).read("RV", "Intussusception")
    assert found.last is not None
    for rate in found.windows:
        inside = [c.record for c in counted if found.last - LENGTHS[rate.window] < c.bucket <= found.last]
        assert rate.pair is not None
        assert rate.reports == len(inside)
        assert rate.drug_cases == sum("RV" in record.drugs for record in inside)
        assert rate.pair.event_cases == sum("Intussusception" in record.events for record in inside)
        assert rate.pair.cases == sum("RV" in r.drugs and "Intussusception" in r.events for r in inside)
    march = datetime(1999, 3, 3, tzinfo=UTC)
    at = int(march.timestamp() * 1000) // monitor.bucket_ms
    month = RateReader(store, monitor).read("RV", "Intussusception", windows=["month"], last=at).windows[0]
    assert month.pair is not None
    assert month.pair.cases == 4, "1999-02-11, 02-12 and two on 03-03"
    assert month.pair.relative is not None
    assert month.pair.relative.low > 1
    assert month.days == pytest.approx(30)
    store.close()
