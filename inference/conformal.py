"""What a classifier may leave open: a conformal prediction set for each sentence, at an error rate chosen at run time.

For both labels a sentence gets a p-value: how it compares with the calibration sentences of that label, by the
probability that the model gave them (an ADE with a *small* probability is odd, and so is another sentence with a
*large* one). A label stays in the set while its p-value is above the error rate. This is split conformal prediction,
label-conditional ("Mondrian"), with the finite-sample quantile: Vovk, Gammerman & Shafer 2005, "Algorithmic Learning in
a Random World", ch. 2 and 4.5; Angelopoulos & Bates 2021, "A gentle introduction to conformal prediction", 1 and 4.2.

**Guaranteed**, of a sentence that is exchangeable with the calibration sentences of its label, and on average over
calibration sets: the sentence's own label is in its set with probability at least 1 - error rate, for ADEs and for
other sentences each. Nothing is assumed of the model. **Not guaranteed**: text of another kind (patients' posts,
notes: `python -m training.trust.coverage` measures what holds there), one given calibration set, sentences of one
document taken together (calibration sentences come in documents, so they are only nearly exchangeable), a text as a
whole, or the pairs.

**No set is empty.** Where the two thresholds have passed each other (an error rate above what the model needs) the
label with the larger p-value stays. That only adds labels, so what is guaranteed holds, and a larger error rate never
leaves more sentences open.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Literal, NamedTuple

import msgspec

from streams.errors import ConfigurationError

ERROR_RATE = 0.05
LARGEST_RATE = 0.5
DECIMALS = 5

Verdict = Literal["ADE", "not", "can't tell"]
ADE: Verdict = "ADE"
NOT: Verdict = "not"
OPEN: Verdict = "can't tell"


class Conformity(NamedTuple):
    """p-values of the two labels of one sentence."""

    ade: float
    other: float

    def verdict(self, error_rate: float) -> Verdict:
        """The label that is alone in the set at this error rate, or "can't tell" where both are in it.

        >>> sentence = Conformity(ade=0.3, other=0.06)
        >>> sentence.verdict(0.05), sentence.verdict(0.1), sentence.verdict(0.4)
        ("can't tell", 'ADE', 'ADE')
        """
        if min(self) > error_rate or self.ade == self.other:
            return OPEN
        return ADE if self.ade > self.other else NOT


class Conformal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Calibration probabilities of both labels, as far as an error rate of up to a half needs them.

    `ades` and `others` count the calibration sentences. `low` holds the smaller half of the ADEs' probabilities,
    `high` the larger half of the others', ascending, each rounded to the side that makes sets larger.
    """

    ades: int
    others: int
    low: list[float]
    high: list[float]

    def conformity(self, probability: float) -> Conformity:
        """p-values at the calibrated probability of a sentence; those above a half are only known to be above it."""
        odd_ades = bisect_right(self.low, probability)
        odd_others = len(self.high) - bisect_left(self.high, probability)
        return Conformity((1 + odd_ades) / (1 + self.ades), (1 + odd_others) / (1 + self.others))

    def band(self, error_rate: float) -> tuple[float, float] | None:
        """The smallest and the largest known probability at which both labels stay; None if there is none.

        0.0 and 1.0 stand for "however small" and "however large". Raises ConfigurationError as `checked_rate`.
        """
        rate = checked_rate(error_rate)
        open_at = [p for p in (0.0, *self.low, *self.high, 1.0) if self.conformity(p).verdict(rate) == OPEN]
        return (min(open_at), max(open_at)) if open_at else None


def checked_rate(error_rate: float) -> float:
    """The error rate, if sets can be made for it. Raises ConfigurationError unless 0 < rate < 0.5."""
    if not 0 < error_rate < LARGEST_RATE:
        raise ConfigurationError(f"error rate {error_rate:g}: it lies between 0 and {LARGEST_RATE:g}, both excluded")
    return error_rate


def fit_conformal(probabilities: Iterable[float], labels: Iterable[bool]) -> Conformal:
    """The calibration of sets from sentences the model was not trained on: calibrated probability, and whether an ADE.

    Any increasing function of the model's score would give the same sets; so it does no harm that the same sentences
    made the probabilities of the scores. Raises ValueError if a label is missing or a probability is not a number.
    """
    ades: list[float] = []
    others: list[float] = []
    for probability, label in zip(probabilities, labels, strict=True):
        if not 0 <= probability <= 1:
            raise ValueError("a probability is needed of each calibration sentence")
        (ades if label else others).append(float(probability))
    if not ades or not others:
        raise ValueError("conformal sets need calibration sentences of both labels")
    scale = 10**DECIMALS
    return Conformal(
        len(ades),
        len(others),
        [math.floor(p * scale) / scale for p in sorted(ades)[: (len(ades) + 1) // 2]],
        [math.ceil(p * scale) / scale for p in sorted(others)[len(others) // 2 :]],
    )
