"""Gamma-Poisson shrinker: laws that need no reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import gammainc

from streams.signals.gps import Posterior, Prior, ebgm, posterior, quantile
from streams.signals.gps_fit import START, fit, negative_log_likelihood, squash

priors = st.builds(Prior, *(st.floats(0.05, 50) for _ in range(4)), weight=st.floats(0.01, 0.99))


def cdf(post: Posterior, x: float) -> float:
    first, second = gammainc(post.shape1, x * post.rate1), gammainc(post.shape2, x * post.rate2)
    return float(post.weight * first + (1 - post.weight) * second)


@given(priors, st.integers(0, 200), st.floats(0.001, 200), st.sampled_from([0.05, 0.5, 0.95]))
def test_a_quantile_put_back_into_the_posterior_gives_its_probability(
    prior: Prior, n: int, expected: float, probability: float
) -> None:
    post = posterior(n=n, expected=expected, prior=prior)
    assert cdf(post, quantile(post, probability)) == pytest.approx(probability, abs=1e-6)


@given(priors, st.integers(0, 200), st.floats(0.001, 200))
def test_the_posterior_is_a_mixture_and_its_quantiles_are_ordered(prior: Prior, n: int, expected: float) -> None:
    post = posterior(n=n, expected=expected, prior=prior)
    assert 0 <= post.weight <= 1
    assert quantile(post, 0.05) <= quantile(post, 0.95)
    assert ebgm(post) > 0


def test_much_data_leave_little_of_the_prior() -> None:
    post = posterior(n=100_000, expected=10_000, prior=START)
    assert ebgm(post) == pytest.approx(10, rel=0.01)


@pytest.mark.parametrize(("n", "expected"), [(-1, 1.0), (1, 0.0), (1, float("nan"))])
def test_impossible_counts_are_refused(n: float, expected: float) -> None:
    with pytest.raises(ValueError, match="need n >= 0 and expected > 0"):
        posterior(n=n, expected=expected, prior=START)
    with pytest.raises(ValueError, match="n >= 1"):
        fit(n=[n], expected=[expected])


def test_a_fit_recovers_what_its_counts_were_drawn_from() -> None:
    """20,000 pairs drawn from a known mixture, truncated at one case: mean ratios of both components within 10%."""
    random = np.random.default_rng(20260727)
    true = Prior(4.0, 1.0, 10.0, 12.0, 0.2)
    expected = random.uniform(0.5, 20, 20_000)
    high = random.random(20_000) < true.weight
    ratio = np.where(high, random.gamma(4.0, 1.0, 20_000), random.gamma(10.0, 1 / 12.0, 20_000))
    n = random.poisson(ratio * expected)
    seen = n >= 1
    found = fit(n=n[seen], expected=expected[seen])
    assert found is not None
    assert found.alpha1 / found.beta1 == pytest.approx(4.0, rel=0.1)
    assert found.alpha2 / found.beta2 == pytest.approx(10 / 12, rel=0.1)
    assert found.weight == pytest.approx(0.2, rel=0.1)
    at_truth = negative_log_likelihood(n=n[seen], expected=expected[seen], prior=true)
    assert negative_log_likelihood(n=n[seen], expected=expected[seen], prior=found) <= at_truth


def test_too_few_pairs_give_no_prior() -> None:
    assert fit(n=[1, 2], expected=[0.5, 0.1]) is None


@given(st.lists(st.tuples(st.integers(1, 9), st.floats(0.01, 100)), min_size=1, max_size=50), st.randoms())
def test_squashing_keeps_pairs_and_their_expectation_in_any_order(
    pairs: list[tuple[int, float]], random: object
) -> None:
    n, expected = zip(*pairs, strict=True)
    counts, means, weights = squash(n, expected)
    assert weights.sum() == len(pairs)
    assert float(weights @ means) == pytest.approx(sum(expected))
    assert float(weights @ counts) == sum(n)
