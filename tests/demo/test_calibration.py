"""The demo keeps its promise: the shipped model and rule find the planted signal, and little else."""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, timedelta

import pytest

from inference.artefact import load_artefact
from inference.onnx import OnnxClassifier
from streams.assess.assessor import Assessor, Draft, Origin
from streams.assess.sentences import sentence_ranges
from streams.assess.text import text_reading
from streams.demo import Year, generate_year
from streams.detect.alarms import Alarm
from streams.detect.close import Detector
from streams.detect.contribution import Contribution, contribution_of
from streams.detect.rule import rule_of
from streams.detect.totals import BucketTotals, pair_scores
from streams.events import Assessment
from streams.monitors import load_monitor

MONITOR = load_monitor("demo")
NOW = 1_790_000_000_000


def assessments(year: Year) -> list[Assessment]:
    classifier = OnnxClassifier(load_artefact())
    assessor = Assessor(MONITOR, b"k")
    offsets: Counter[tuple[str, int]] = Counter()
    done: list[Assessment] = []
    drafts: list[Draft] = []
    for topic, key, value in year.messages:
        where = (topic, zlib.crc32(key or b"") % 2)
        result = assessor.assess(Origin(*where, offsets[where], offsets[where], NOW), value, None)
        offsets[where] += 1
        if isinstance(result, Draft):
            drafts.append(result)
        elif isinstance(result, Assessment):
            done.append(result)
    texts = [sentence_ranges(draft.text) for draft in drafts]
    sentences = [draft.text[a:b] for draft, ranges in zip(drafts, texts, strict=True) for a, b in ranges]
    readings = iter(classifier.classify(sentences))
    for draft, ranges in zip(drafts, texts, strict=True):
        reading = text_reading(ranges, [next(readings) for _ in ranges], MONITOR.text)
        done.append(draft.record(reading, classifier.model))
    classifier.close()
    return done


def days_of(year: Year) -> dict[int, list[Contribution]]:
    """Counted cases by day of receipt: the counting rule, without lateness, in a few lines."""
    days: dict[int, list[Contribution]] = defaultdict(list)
    keys: set[object] = set()
    order = sorted(
        assessments(year), key=lambda a: (a.received_at // MONITOR.bucket_ms, a.topic, a.partition, a.offset)
    )
    for assessment in order:
        own: set[object] = {(assessment.topic, assessment.case_id), *assessment.fingerprints}
        if keys.isdisjoint(own):
            days[assessment.received_at // MONITOR.bucket_ms].append(contribution_of(assessment, late=False))
        keys |= own
    return days


def alarms_of(days: dict[int, list[Contribution]], detector: Detector) -> Iterator[Alarm]:
    cases: dict[tuple[str, str], list[tuple[str, ...]]] = defaultdict(list)
    for day in sorted(days):
        for case in days[day]:
            for drug, event, _ in pair_scores(case):
                cases[drug, event].append(case.drugs)
        evaluation = detector.evaluate(BucketTotals.of(day, days[day]))
        verdict = detector.judge(evaluation, {pair: cases[pair] for pair in evaluation.pairs})
        detector.advance(detector.delta(evaluation, verdict))
        yield from verdict.alarms


@pytest.fixture(scope="module")
def year() -> Year:
    return generate_year()


def test_the_planted_signal_is_found_within_weeks_and_few_others(year: Year) -> None:
    detector = Detector.restore(rule_of(MONITOR))
    alarms = list(alarms_of(days_of(year), detector))
    story = year.story
    first = next(alarm for alarm in alarms if (alarm.drug, alarm.event) == (story.drug, story.event))
    raised = date(1970, 1, 1) + timedelta(days=first.bucket)
    assert first.status == "new"
    assert story.onset <= raised <= story.onset + timedelta(weeks=5)
    assert 3 <= first.cases <= 12
    assert len({(a.drug, a.event) for a in alarms if a.status == "new"}) <= 2
    assert {(a.drug, a.event) for a in alarms if a.status == "listed"} <= {("lisinopril", "cough")}
    assert detector.watched < MONITOR.alarms.pairs / 2, "what the model makes of texts must not use up the budget"
