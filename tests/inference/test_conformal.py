"""Conformal sets: what is guaranteed of exchangeable sentences, recounted from the definition."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.conformal import ADE, NOT, OPEN, Conformal, Conformity, checked_rate, fit_conformal
from streams.errors import ConfigurationError

ORDER = {NOT: 0, OPEN: 1, ADE: 2}
PROBABILITIES = st.integers(0, 1000).map(lambda n: n / 1000)  # ties are common
SAMPLES = st.lists(PROBABILITIES, min_size=2, max_size=40)
RATES = st.integers(1, 499).map(lambda n: n / 1000)


def textbook_set(ades: Sequence[float], others: Sequence[float], probability: float, rate: float) -> set[str]:
    """Angelopoulos & Bates: keep a label if the score is at most the ceil((n+1)(1-rate))-th smallest of its own."""
    found = set()
    for label, scores, score in (("ADE", [1 - p for p in ades], 1 - probability), ("not", list(others), probability)):
        rank = math.ceil(round((len(scores) + 1) * (1 - rate), 9))
        if rank > len(scores) or score <= sorted(scores)[rank - 1]:
            found.add(label)
    return found


@given(SAMPLES, st.lists(PROBABILITIES, min_size=1, max_size=5), RATES)
def test_of_exchangeable_sentences_no_more_than_the_error_rate_lose_their_label(
    sample: list[float], rest: list[float], rate: float
) -> None:
    """Whichever of n+1 sentences comes last, the others calibrate: that is what exchangeable means, counted out."""
    for ades in (True, False):
        lost = 0
        for index, probability in enumerate(sample):
            others = sample[:index] + sample[index + 1 :]
            labels = [ades] * len(others) + [not ades] * len(rest)
            conformity = fit_conformal([*others, *rest], labels).conformity(probability)
            lost += (conformity.ade if ades else conformity.other) <= rate
        assert lost <= rate * len(sample) + 1e-9


def test_the_error_rate_is_used_up_not_only_kept() -> None:
    """Distinct probabilities: exactly floor(rate (n+1)) of n+1 sentences lose their label."""
    sample = [index / 100 for index in range(100)]
    for rate, expected in ((0.05, 5), (0.1, 10), (0.25, 25), (0.019, 1)):
        lost = 0
        for index, probability in enumerate(sample):
            sets = fit_conformal([*sample[:index], *sample[index + 1 :], 0.5], [True] * 99 + [False])
            lost += sets.conformity(probability).ade <= rate
        assert lost == expected


@given(SAMPLES, SAMPLES, PROBABILITIES, RATES)
def test_verdicts_are_those_of_the_textbook_sets(
    ades: list[float], others: list[float], probability: float, rate: float
) -> None:
    sets = fit_conformal([*ades, *others], [True] * len(ades) + [False] * len(others))
    verdict = sets.conformity(probability).verdict(rate)
    expected = textbook_set(ades, others, probability, rate)
    if len(expected) == 1:
        assert {verdict} == expected
    elif expected:
        assert verdict == OPEN


@given(SAMPLES, SAMPLES, PROBABILITIES, PROBABILITIES, RATES, RATES)
def test_a_larger_probability_never_speaks_against_an_ade_and_a_larger_rate_opens_nothing(
    ades: list[float], others: list[float], one: float, two: float, rate: float, more: float
) -> None:
    sets = fit_conformal([*ades, *others], [True] * len(ades) + [False] * len(others))
    low, high = (sets.conformity(p) for p in sorted((one, two)))
    assert ORDER[low.verdict(rate)] <= ORDER[high.verdict(rate)]
    rate, more = sorted((rate, more))
    if low.ade != low.other and low.verdict(rate) != OPEN:
        assert low.verdict(more) == low.verdict(rate)


@given(SAMPLES, SAMPLES, RATES, PROBABILITIES)
def test_the_band_holds_what_is_left_open(ades: list[float], others: list[float], rate: float, at: float) -> None:
    sets = fit_conformal([*ades, *others], [True] * len(ades) + [False] * len(others))
    band = sets.band(rate)
    is_open = min(sets.conformity(at)) > rate
    assert is_open == (band is not None and band[0] <= at <= band[1])


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=60), st.floats(0, 1), RATES)
def test_rounding_and_halving_what_is_stored_only_make_sets_larger(
    sample: list[tuple[float, bool]], probability: float, rate: float
) -> None:
    labels = [label for _, label in sample]
    if all(labels) or not any(labels):
        return
    stored = fit_conformal([p for p, _ in sample], labels)
    assert msgspec.json.decode(msgspec.json.encode(stored), type=Conformal) == stored
    ades = [p for p, label in sample if label]
    others = [p for p, label in sample if not label]
    found = stored.conformity(probability)
    assert found.ade > rate or (1 + sum(p <= probability for p in ades)) / (1 + len(ades)) <= rate
    assert found.other > rate or (1 + sum(p >= probability for p in others)) / (1 + len(others)) <= rate


def test_few_calibration_sentences_leave_everything_open() -> None:
    """Of 18 sentences none can be told to be odder than 1 in 19 are."""
    sets = fit_conformal([0.9] * 18 + [0.1] * 18, [True] * 18 + [False] * 18)
    assert {sets.conformity(p).verdict(0.05) for p in (0.0, 0.1, 0.5, 0.9, 1.0)} == {OPEN}
    more = fit_conformal([0.9] * 19 + [0.1] * 19, [True] * 19 + [False] * 19)
    assert [more.conformity(p).verdict(0.05) for p in (0.0, 0.1, 0.9, 1.0)] == [NOT, NOT, ADE, ADE]


def test_equal_p_values_say_nothing() -> None:
    assert Conformity(0.01, 0.01).verdict(0.05) == OPEN


@pytest.mark.parametrize("rate", [0.0, -0.1, 0.5, 1.0, math.nan])
def test_an_error_rate_without_sets_is_refused(rate: float) -> None:
    with pytest.raises(ConfigurationError, match="error rate"):
        checked_rate(rate)


@pytest.mark.parametrize(
    ("probabilities", "labels"), [([0.5], [True]), ([0.5], [False]), ([], []), ([0.5, math.nan], [True, False])]
)
def test_sets_need_sentences_of_both_labels_and_numbers(probabilities: list[float], labels: list[bool]) -> None:
    with pytest.raises(ValueError, match="calibration sentence"):
        fit_conformal(probabilities, labels)
