"""`python -m bench.plot` (`make plot`): runs the demo and draws the planted signal's evidence over the year.

The statistic is not kept for every day, so it is computed again here: the run's assessments log is recounted in plain
Python and its cases go through the detector once more, day by day.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

from bench.rig import ROOT
from streams.audit.recount import recount
from streams.demo.generator import DEFAULT_SEED
from streams.demo.session import DemoSession, demo_session
from streams.detect.close import Detector
from streams.detect.contribution import Contribution, contribution_of
from streams.detect.rule import rule_of
from streams.detect.totals import BucketTotals
from streams.events import decode_record
from streams.logs import configure_logging
from streams.settings import load_settings
from streams.signals.early import mixed
from streams.subscribers.reading import TopicReader

OUT = ROOT / "docs" / "demo.png"
EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Day:
    """The pair after the close of a day: statistic, cases and expected cases so far, and whether it alarmed."""

    day: date
    statistic: float
    cases: float
    expected: float
    alarmed: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    options = parser.parse_args()
    configure_logging("error")
    with demo_session(load_settings(), options.seed) as session:
        session.run()
        days = list(followed(session))
    draw(session, days, options.out)
    print(f"{options.out}: {len(days)} days, alarms on {', '.join(str(d.day) for d in days if d.alarmed)}")


def followed(session: DemoSession) -> Iterator[Day]:
    """The planted pair, day by day."""
    pair = (session.story.drug, session.story.event)
    buckets = counted(session)
    detector = Detector.restore(rule_of(session.monitor))
    cases, expected = 0.0, 0.0
    for bucket in sorted(buckets):
        evaluation = detector.evaluate(BucketTotals.of(bucket, buckets[bucket]))
        verdict = detector.judge(evaluation, {})
        alarmed = pair in {(alarm.drug, alarm.event) for alarm in verdict.alarms}
        state = evaluation.states.get(pair[0])
        if state is not None and pair[1] in evaluation.view.events:
            column = evaluation.view.index(pair[1])
            statistic = float(mixed(state.statistics)[column])
            cases, expected = state.score[column] / 1e6, float(state.expected[column])
            yield Day(EPOCH + timedelta(days=bucket), statistic, cases, expected, alarmed)
        detector.advance(detector.delta(evaluation, verdict))


def counted(session: DemoSession) -> dict[int, list[Contribution]]:
    """The counted cases of each bucket, from the log."""
    with TopicReader(session.settings, session.monitor.assessments_topic) as reader:
        records = [(m.partition(), m.offset(), decode_record(m.value())) for m in reader.messages()]
    buckets: defaultdict[int, list[Contribution]] = defaultdict(list)
    for case in recount(records, session.monitor).counted():
        buckets[case.bucket].append(contribution_of(case.record, late=case.late))
    return buckets


def draw(session: DemoSession, days: list[Day], out: Path) -> None:
    """Statistic against threshold above, cases against expectation below."""
    story, rule = session.story, rule_of(session.monitor)
    figure, (upper, lower) = plt.subplots(2, 1, figsize=(9, 5.6), sharex=True, height_ratios=(3, 2))
    when = [d.day for d in days]
    statistics = [max(d.statistic, 1e-3) for d in days]  # an alert sets it to 0
    upper.semilogy(when, statistics, color="#205080", lw=1.6, label="evidence")
    threshold = rule.caution * rule.threshold
    upper.axhline(threshold, color="#b03030", lw=1, ls="--", label=f"threshold {threshold:.0f}")
    for axis in (upper, lower):
        axis.axvline(story.onset, color="#808080", lw=1, ls=":", label="onset" if axis is upper else None)
        for n, d in enumerate(d for d in days if d.alarmed):
            label = "alert raised or updated" if n == 0 and axis is upper else None
            axis.axvline(d.day, color="#e08020", lw=1, label=label)
        axis.spines[["top", "right"]].set_visible(False)
    upper.set_ylabel("evidence, log scale")
    upper.set_title(f"{story.drug} x {story.event}: planted in a made-up year (seed {story.seed})", fontsize=11)
    upper.legend(fontsize=8, loc="upper left", frameon=False)
    lower.step(when, [d.cases for d in days], where="post", color="#205080", label="cases")
    lower.plot(when, [d.expected for d in days], color="#808080", label="expected without a signal")
    lower.set_ylabel("cases so far")
    lower.legend(fontsize=8, loc="upper left", frameon=False)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    main()
