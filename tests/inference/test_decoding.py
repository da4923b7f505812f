"""Word scores to spans."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.decoding import BEGIN, INSIDE, OUTSIDE, Words, decode_spans, label_words, span_pair_logit, words_of

SCORES = np.eye(3, dtype=np.float32) * 20  # one row a label: as sure as float32 shows


def ranges_of(words: int) -> list[tuple[int, int]]:
    return [(5 * i, 5 * i + 4) for i in range(words)]


def decoded(labels: list[int]) -> list[tuple[int, int]]:
    return [(span.start, span.end) for span in decode_spans(SCORES[labels], ranges_of(len(labels)))]


@pytest.mark.parametrize(
    ("labels", "spans"),
    [
        ([], []),
        ([OUTSIDE, OUTSIDE], []),
        ([BEGIN, INSIDE, OUTSIDE], [(0, 9)]),
        ([BEGIN, BEGIN], [(0, 4), (5, 9)]),
        ([OUTSIDE, INSIDE, INSIDE], [(5, 14)]),
        ([OUTSIDE, OUTSIDE, BEGIN], [(10, 14)]),
    ],
)
def test_labels_become_spans_from_first_word_to_last(labels: list[int], spans: list[tuple[int, int]]) -> None:
    assert decoded(labels) == spans


@given(st.lists(st.booleans(), max_size=20), st.data())
def test_decoding_undoes_labelling(gaps: list[bool], data: st.DataObject) -> None:
    ranges = ranges_of(len(gaps))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(gaps)), max_size=8)))
    pieces = list(zip(cuts[::2], cuts[1::2], strict=False))
    spans = [(ranges[a][0], ranges[b - 1][1]) for a, b in pieces if a < b]
    assert decoded(label_words(ranges, spans)) == sorted(spans)


def test_of_two_gold_spans_that_overlap_the_longer_is_learnt() -> None:
    assert label_words(ranges_of(3), [(0, 4), (0, 14)]) == [BEGIN, INSIDE, INSIDE]


def test_confidence_is_the_geometric_mean_of_the_words_probabilities() -> None:
    scores = np.log(np.array([[0.2, 0.8, 1e-9], [0.4, 1e-9, 0.6], [0.9, 0.05, 0.05]], dtype=np.float32))
    (span,) = decode_spans(scores, ranges_of(3))
    assert span.confidence == pytest.approx((0.8 * 0.6) ** 0.5, rel=1e-5)


def test_rows_and_words_must_match() -> None:
    with pytest.raises(ValueError, match="2 rows of scores for 3 words"):
        decode_spans(SCORES[[0, 0]], ranges_of(3))


def test_pieces_of_a_word_are_one_word() -> None:
    words = words_of([None, 0, 1, 1, 1, None, None], [(0, 0), (0, 2), (3, 5), (5, 8), (8, 9), (0, 0), (0, 0)])
    assert (words.first_piece, words.ranges) == ([1, 2], [(0, 2), (3, 9)])


def test_a_pairs_logit_is_the_mean_over_the_first_pieces_of_both_spans_words() -> None:
    # Three words; the second is of two pieces (2 and 3): piece 3 and the special pieces 0 and 5 must not be read.
    words = Words([1, 2, 4], [(0, 4), (5, 12), (13, 20)])
    pair = np.arange(36, dtype=np.float32).reshape(6, 6)
    assert span_pair_logit(pair, words, (0, 12), (13, 20)) == (pair[1, 4] + pair[2, 4]) / 2
    assert span_pair_logit(pair, words, (13, 20), (0, 12)) == (pair[4, 1] + pair[4, 2]) / 2
    assert span_pair_logit(pair, words, (0, 4), (30, 40)) is None
