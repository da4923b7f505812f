"""Which challenge sentences a model gets right, by kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from scipy.stats import binomtest

from inference.classifier import Classifier, Reading, TextSpan
from training.challenge.items import KINDS, ORIGINS, Blame, Item, load_items, words_at

FALSE_ALARM, MISSED = "false alarm", "missed"


class Share(NamedTuple):
    """How many of how many are right, and Wilson's 95% interval of the share (1927, no continuity correction)."""

    right: int
    total: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share itself."""
        return self.right / self.total


class Outcome(NamedTuple):
    """One item and what is wrong with its reading; `faults` is empty where it is right."""

    item: Item
    probability: float
    faults: tuple[str, ...]

    @property
    def labelled(self) -> bool:
        """Whether the sentence's label is right, whatever was said about its pairs."""
        return not {FALSE_ALARM, MISSED}.intersection(self.faults)


class Result(NamedTuple):
    """Shares of right items: over all, by kind, by origin, by label; and every item's outcome, in the set's order.

    `label_alone`: by kind and `all`, the shares that there would be if nobody asked for pairs.
    """

    overall: Share
    kinds: dict[str, Share]
    origins: dict[str, Share]
    labels: dict[str, Share]
    label_alone: dict[str, Share]
    outcomes: list[Outcome]

    @property
    def wrong(self) -> list[Outcome]:
        """The items that are not right."""
        return [outcome for outcome in self.outcomes if outcome.faults]


def wilson(right: int, total: int) -> Share:
    """A share with its interval. Raises ValueError if `total` is 0: no items, no share.

    >>> [round(bound, 4) for bound in wilson(81, 263)[2:]]
    [0.2553, 0.3662]
    """
    if not total:
        raise ValueError("no items, no share")
    interval = binomtest(right, total).proportion_ci(method="wilson")
    return Share(right, total, float(interval.low), float(interval.high))


def read(classifier: Classifier, items: Sequence[Item] | None = None) -> list[Reading]:
    """A model's readings of the items (default: the whole set), in order. Raises what the classifier raises."""
    return classifier.classify([item.text for item in (load_items() if items is None else items)])


def score(
    readings: Sequence[Reading], threshold: float, pair_threshold: float, items: Sequence[Item] | None = None
) -> Result:
    """Compare readings with the items (default: the whole set). README.md tells when an item is right.

    Raises ValueError if there is not one reading for each item.
    """
    items = load_items() if items is None else items
    outcomes = [
        Outcome(item, reading.probability, _faults(item, reading, threshold, pair_threshold))
        for item, reading in zip(items, readings, strict=True)
    ]
    return Result(
        overall=_share(outcomes),
        kinds=_shares(outcomes, KINDS, lambda item: item.kind),
        origins=_shares(outcomes, ORIGINS, lambda item: item.origin),
        labels=_shares(outcomes, ("positive", "negative"), lambda item: "positive" if item.positive else "negative"),
        label_alone={
            **_shares(outcomes, KINDS, lambda item: item.kind, _labelled),
            "all": _share(outcomes, _labelled),
        },
        outcomes=outcomes,
    )


def as_json(result: Result) -> dict[str, Any]:
    """The figures and the ids of the wrong items, for a results file."""

    def figures(shares: dict[str, Share]) -> dict[str, dict[str, float]]:
        return {name: _figures(share) for name, share in shares.items()}

    return {
        "overall": _figures(result.overall),
        "kinds": figures(result.kinds),
        "origins": figures(result.origins),
        "labels": figures(result.labels),
        "label_alone": figures(result.label_alone),
        "wrong": {outcome.item.id: list(outcome.faults) for outcome in result.wrong},
    }


def _figures(share: Share) -> dict[str, float]:
    return {
        "right": share.right,
        "total": share.total,
        "value": round(share.value, 4),
        "low": round(share.low, 4),
        "high": round(share.high, 4),
    }


def _is_right(outcome: Outcome) -> bool:
    return not outcome.faults


def _labelled(outcome: Outcome) -> bool:
    return outcome.labelled


def _share(outcomes: Iterable[Outcome], is_right: Callable[[Outcome], bool] = _is_right) -> Share:
    right = [is_right(outcome) for outcome in outcomes]
    return wilson(sum(right), len(right))


def _shares(
    outcomes: Sequence[Outcome],
    names: Iterable[str],
    key: Callable[[Item], str],
    is_right: Callable[[Outcome], bool] = _is_right,
) -> dict[str, Share]:
    """A share for each name that has items."""
    groups = {name: [outcome for outcome in outcomes if key(outcome.item) == name] for name in names}
    return {name: _share(group, is_right) for name, group in groups.items() if group}


def _faults(item: Item, reading: Reading, threshold: float, pair_threshold: float) -> tuple[str, ...]:
    called = reading.probability >= threshold
    faults = []
    if called != item.positive:
        faults.append(FALSE_ALARM if called else MISSED)
    if item.asserted and item.denied:
        found = [
            (reading.drugs[pair.drug], reading.effects[pair.effect])
            for pair in reading.pairs
            if pair.probability >= pair_threshold
        ]
        faults += [f"pair missed: {_told(pair)}" for pair in item.asserted if not _is_among(pair, found, item.text)]
        faults += [f"pair blamed: {_told(pair)}" for pair in item.denied if _is_among(pair, found, item.text)]
    return tuple(faults)


def _told(pair: Blame) -> str:
    return f"{pair.drug} > {pair.effect}"


def _is_among(pair: Blame, found: Iterable[tuple[TextSpan, TextSpan]], text: str) -> bool:
    return any(_overlaps(drug, pair.drug, text) and _overlaps(effect, pair.effect, text) for drug, effect in found)


def _overlaps(span: TextSpan, words: str, text: str) -> bool:
    return any(span.start < end and start < span.end for start, end in words_at(text, words))
