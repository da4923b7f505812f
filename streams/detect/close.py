"""The close of a bucket, pure: state and the bucket's totals in, alarms and a change of state out.

Four steps, so that what must be fetched from outside is fetched between them and nothing is changed before the commit:

1. `missing(totals)` names the drugs whose state must be loaded first.
2. `evaluate(totals)` gives the pairs that fire. It changes nothing, so it also serves open buckets (provisional
   alarms), then with `only` the drugs touched since the last look.
3. `judge(evaluation, cases)` gives each its status, from the cases of the firing pairs alone.
4. `delta(evaluation, verdict)` is what the store writes; `advance(delta)` after the store has committed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np

from streams.detect.alarms import Alarm, Alerted, Firing, PairKey, judge
from streams.detect.drugstate import DrugState
from streams.detect.memory import Memory, decode_memory, encode_memory
from streams.detect.prior import fit_prior
from streams.detect.reference import ReferenceView, ReferenceWindow
from streams.detect.shares import Blocks, Reserve, factors, grown
from streams.detect.step import BucketInputs, bucket_cases, drug_score, fires, stepped
from streams.detect.totals import BucketTotals
from streams.errors import StateConflict, TooManyPairs
from streams.signals.gps import Prior
from streams.signals.rule import AlarmRule

__all__ = ["CloseDelta", "Detector", "Evaluation", "Verdict"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a bucket's cases do to the drugs they name, and the pairs that fire; nothing is decided yet.

    `new_drugs`: in the order of their index · `blocks`: what the vocabulary fills once the bucket is closed (`shares`)
    · `reserve`: what is left for new drugs then.
    """

    bucket: int
    totals: BucketTotals
    view: ReferenceView
    states: dict[str, DrugState]
    firing: list[Firing]
    new_drugs: tuple[str, ...]
    blocks: Blocks
    reserve: float | None

    @property
    def pairs(self) -> list[PairKey]:
        """The firing pairs, whose cases `judge` needs: those of buckets in (bucket - rule.bystander, bucket]."""
        return [(f.drug, f.event) for f in self.firing]


@dataclass(frozen=True, eq=False)
class Verdict:
    """The alarms of a bucket in order, and what to remember of them if the bucket is closed."""

    alarms: list[Alarm]
    remembered: dict[PairKey, Alerted]
    prior: Prior | None


@dataclass(frozen=True, eq=False)
class CloseDelta:
    """What closing `bucket` writes. Equal inputs give equal bytes.

    `states`: drugs whose state changed (`encode()` gives the blob) · `totals`: the bucket's own, kept for the window ·
    `memory`: the detector's small state, one blob · `new_events`, `new_drugs`: terms in the order of their index ·
    `drop_through`: totals of buckets up to this one have left the window.
    """

    bucket: int
    alarms: list[Alarm]
    states: dict[str, DrugState]
    totals: BucketTotals
    totals_blob: bytes
    memory: Memory
    memory_blob: bytes
    new_events: tuple[str, ...]
    new_drugs: tuple[str, ...]
    drop_through: int


class Detector:
    """Alarm state of a monitor in memory. Built by `restore`; changed by `load`, `forget` and `advance` only."""

    def __init__(
        self,
        rule: AlarmRule,
        *,
        memory: Memory,
        window: ReferenceWindow,
        recent: ReferenceWindow,
        drugs: Iterable[str],
    ) -> None:
        self.rule = rule
        self.memory = memory
        self.window = window
        self.recent = recent
        self.drugs: list[str] = list(drugs)
        self._index = {drug: i for i, drug in enumerate(self.drugs)}
        self._states: dict[str, DrugState] = {}
        self._fitted: tuple[tuple[int, int | None], Prior | None] | None = None
        self._is_fork = False

    @classmethod
    def restore(
        cls,
        rule: AlarmRule,
        *,
        memory: bytes | None = None,
        events: Sequence[str] = (),
        drugs: Sequence[str] = (),
        totals: Iterable[bytes] = (),
    ) -> Detector:
        """The detector as it was after its last close: from the memory blob (None: nothing was ever closed), the
        vocabularies in the order of their index, and the encoded totals of the buckets in the window.

        Raises StateConflict if the totals don't end at the memory's last closed bucket.
        """
        kept = Memory() if memory is None else decode_memory(memory)
        window = ReferenceWindow.rebuild(width=rule.window, strata=rule.strata, events=events, blobs=totals)
        if window.last != kept.closed:
            raise StateConflict(f"the last closed bucket is {kept.closed}, totals are kept up to {window.last}")
        if len(window.events) != len(events):
            raise StateConflict(f"totals name {len(window.events) - len(events)} events that have no index")
        recent = window.tail(min(rule.concurrent, rule.window))  # no longer than what is kept to rebuild it from
        return cls(rule, memory=kept, window=window, recent=recent, drugs=drugs)

    def fork(self) -> Detector:
        """A detector of its own that starts from here: what it does never shows in this one.

        It looks ahead, so it fits no prior (that takes a second): EBGM is that of the last prior fitted.
        """
        window, recent = self.window.fork(), self.recent.fork()
        other = Detector(self.rule, memory=self.memory, window=window, recent=recent, drugs=self.drugs)
        other._states.update(self._states)
        other._is_fork = True
        return other

    # ------------------------------------------------------------ state of drugs

    def missing(self, totals: BucketTotals) -> list[str]:
        """Drugs of `totals` that were seen before and whose state is not in memory; load them before `evaluate`."""
        return sorted(d for d in totals.drugs if d in self._index and d not in self._states)

    def load(self, drug: str, blob: bytes) -> None:
        """Put a drug's stored state into memory. Raises StateConflict if it is later than the last closed bucket."""
        state = DrugState.decode(blob)
        if self.memory.closed is None or state.bucket > self.memory.closed:
            raise StateConflict(f"a drug's state is of bucket {state.bucket}, closed is {self.memory.closed}")
        self._states[drug] = state

    def state(self, drug: str) -> DrugState | None:
        """A drug's state if it is in memory."""
        return self._states.get(drug)

    def forget(self) -> None:
        """Drop the drugs' states from memory; they are loaded again when needed."""
        self._states.clear()

    @property
    def watched(self) -> int:
        """Pairs watched: drugs seen times events seen."""
        return len(self.drugs) * len(self.window.events)

    def is_monitored(self, bucket: int) -> bool:
        """Whether alarms may be raised in `bucket`: not within the burn-in after the first closed bucket."""
        first = bucket if self.memory.first is None else self.memory.first
        return bucket - first >= self.rule.burn_in

    # ------------------------------------------------------------ the close

    def evaluate(self, totals: BucketTotals, *, only: AbstractSet[str] | None = None) -> Evaluation:
        """What `totals` do to the drugs they name (or to `only` those of them). Changes nothing.

        Raises StateConflict if the bucket is closed already or a drug's state has not been loaded.
        """
        bucket = totals.bucket
        if self.memory.closed is not None and bucket <= self.memory.closed:
            raise StateConflict(f"bucket {bucket} is evaluated, {self.memory.closed} is closed")
        touched = sorted(totals.drugs if only is None else totals.drugs.keys() & only)
        absent = [d for d in touched if d in self._index and d not in self._states]
        if absent:
            raise StateConflict(f"the states of {len(absent)} drugs have not been loaded")
        view = self.window.view(totals)
        inputs = BucketInputs.of(view, self.recent.view(totals), self.rule)
        new_drugs = tuple(sorted(totals.drugs.keys() - self._index.keys()))
        index = {**self._index, **{drug: len(self.drugs) + i for i, drug in enumerate(new_drugs)}}
        blocks = self.memory.blocks
        if self.rule.open_vocabulary:
            blocks = grown(blocks, len(index), view.size, self.rule.pairs)
        grant, left = 0.0, self.memory.reserve
        if self.is_monitored(bucket):
            grant, left = Reserve.after(left, new=len(new_drugs), drugs=len(index), rule=self.rule)
        states, firing = {}, []
        for drug in touched:
            states[drug], found = self._step(drug, inputs, grant, blocks, index)
            firing += found
        return Evaluation(bucket, totals, view, states, firing, new_drugs, blocks, left)

    def _step(
        self,
        drug: str,
        inputs: BucketInputs,
        grant: float,
        blocks: Blocks,
        index: Mapping[str, int],
    ) -> tuple[DrugState, list[Firing]]:
        rule, view = self.rule, inputs.view
        score, cases = drug_score(view, drug), bucket_cases(view, drug, rule.strata)
        state, past = stepped(
            self._states.get(drug),
            bucket=view.bucket,
            score=score,
            cases=cases,
            expected=inputs.expected(drug, cases, rule),
            margins=inputs.margins,
            closed=self.memory.monitored,
            monitored=self.is_monitored(view.bucket),
            grant=grant,
            rule=rule,
        )
        if past is None:
            return state, []
        threshold = np.full(view.size, rule.threshold)
        if rule.open_vocabulary:
            threshold *= factors(blocks, index[drug], view.size)
        return state, fires(
            drug,
            state,
            score=score,
            past=past,
            early=threshold * rule.caution,
            strong=threshold,
            view=view,
            rule=rule,
        )

    def judge(self, evaluation: Evaluation, cases: Mapping[PairKey, Sequence[Sequence[str]]]) -> Verdict:
        """Alarms with their status. `cases`: for each of `evaluation.pairs` the drugs of each of its cases in the span
        named there, the bucket's own included. Changes nothing."""
        prior = self._prior(evaluation.bucket) if evaluation.firing else self.memory.prior
        alarms, remembered = judge(
            evaluation.firing,
            view=evaluation.view,
            alerted=self.memory.alerted,
            cases=cases,
            prior=prior,
            rule=self.rule,
        )
        return Verdict(alarms, remembered, prior)

    def _prior(self, bucket: int) -> Prior | None:
        """EBGM's prior in force in `bucket`: fitted to the window as it was at the last boundary between snapshots."""
        boundary = bucket // self.rule.snapshot
        if self.memory.boundary == boundary or self._is_fork:
            return self.memory.prior
        key = (boundary, self.memory.closed)
        if self._fitted is None or self._fitted[0] != key:
            self._fitted = (key, fit_prior(self.window))
        return self._fitted[1]

    def delta(self, evaluation: Evaluation, verdict: Verdict) -> CloseDelta:
        """What closing the bucket writes. Changes nothing.

        Raises TooManyPairs if a closed vocabulary grows beyond the rule's K.
        """
        bucket, totals, rule = evaluation.bucket, evaluation.totals, self.rule
        if evaluation.states.keys() != totals.drugs.keys():
            raise ValueError("a close must be evaluated for all of the bucket's drugs")
        drugs, events = len(self.drugs) + len(evaluation.new_drugs), evaluation.view.size
        if drugs * events > rule.pairs and not rule.open_vocabulary:
            raise TooManyPairs(
                f"bucket {bucket} brings the pairs watched to {drugs} drugs x {events} events = {drugs * events}, "
                f"the monitor's settings allow alarms.pairs = {rule.pairs}: its false-alarm budget would not hold. "
                "Raise alarms.pairs under a new monitor name and replay, narrow the vocabulary, or let "
                'alarms.vocabulary be "open".'
            )
        states = dict(evaluation.states)
        for fire in evaluation.firing:
            states[fire.drug] = states[fire.drug].alarmed(evaluation.view.index(fire.event), fire.levels)
        monitored = self.is_monitored(bucket)
        memory = Memory(
            closed=bucket,
            first=bucket if self.memory.first is None else self.memory.first,
            monitored=self.memory.monitored + monitored,
            prior=self._prior(bucket) if monitored else self.memory.prior,
            boundary=bucket // rule.snapshot if monitored else self.memory.boundary,
            alerted={**self.memory.alerted, **verdict.remembered},
            blocks=evaluation.blocks,
            reserve=evaluation.reserve,
        )
        return CloseDelta(
            bucket=bucket,
            alarms=verdict.alarms,
            states=states,
            totals=totals,
            totals_blob=totals.encode(),
            memory=memory,
            memory_blob=encode_memory(memory),
            new_events=evaluation.view.new_events,
            new_drugs=evaluation.new_drugs,
            drop_through=bucket - rule.window,
        )

    def advance(self, delta: CloseDelta) -> None:
        """Take over a delta that the store has committed, so that the next close needs no reload."""
        self.window.advance(delta.totals, delta.totals_blob)
        self.recent.advance(delta.totals, delta.totals_blob)
        self._states.update(delta.states)
        for drug in delta.new_drugs:
            self._index[drug] = len(self.drugs)
            self.drugs.append(drug)
        self.memory = delta.memory
