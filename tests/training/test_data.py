"""Corpora: offsets, duplicates, conflicts, and nothing of development in training."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data import (
    FOLDS,
    CorpusError,
    Sentence,
    deduplicate,
    fold_of,
    load_ade,
    load_psytar,
    normal_form,
    split_ade,
    split_psytar,
)

RELATIONS = """\
11|Rash and fever after aspirin.|Rash|100|104|aspirin|121|128
11|Rash and fever after aspirin.|fever|109|114|aspirin|121|128
12|The drug lithium, again lithium, gave tremor.|tremor|38|44|lithium|24|31
"""
NEGATIVES = "11 NEG It was a Tuesday.\n13 NEG Case report.\n12 NEG Case  report.\n"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    (tmp_path / "DRUG-AE.rel").write_text(RELATIONS)
    (tmp_path / "ADE-NEG.txt").write_text(NEGATIVES)
    return tmp_path


def test_one_shift_maps_both_spans_of_a_relation_into_its_sentence(corpus: Path) -> None:
    first, second, *negatives = load_ade(corpus)
    assert (first.drugs, first.effects, first.pairs) == (((21, 28),), ((0, 4), (9, 14)), {(0, 0), (0, 1)})
    assert (second.drugs, second.effects) == (((24, 31),), ((38, 44),))  # the second lithium, not the first
    assert [s.positive for s in negatives] == [False] * 3


def test_where_two_shifts_fit_the_one_that_other_relations_share_is_taken(corpus: Path) -> None:
    text = "rash by aspirin, rash by aspirin, fever too."
    rows = [f"1|{text}|rash|100|104|aspirin|108|115", f"1|{text}|fever|134|139|aspirin|108|115"]
    (corpus / "DRUG-AE.rel").write_text("\n".join(rows) + "\n")
    assert load_ade(corpus)[0].effects == ((0, 4), (34, 39))


@pytest.mark.parametrize(
    ("line", "message"),
    [("11|too|few", "line 1: 3 columns"), ("11|Rash.|fever|1|6|aspirin|8|15", "fit no place")],
)
def test_a_line_that_does_not_read_is_an_error(corpus: Path, line: str, message: str) -> None:
    (corpus / "DRUG-AE.rel").write_text(line + "\n")
    with pytest.raises(CorpusError, match=message):
        load_ade(corpus)


def test_duplicates_keep_the_positive_and_the_smallest_document() -> None:
    sentences = [
        Sentence("Case report.", "2", "ade", False),
        Sentence("case  REPORT.", "1", "ade", False),
        Sentence("Rash after aspirin.", "1", "ade", False),
        Sentence("Rash after aspirin.", "3", "ade", True),
    ]
    kept, removed = deduplicate(sentences)
    assert [(s.document, s.positive) for s in kept] == [("1", False), ("3", True)]
    assert removed == {"duplicate": 1, "conflict": 1}


@given(st.lists(st.tuples(st.sampled_from("ABC "), st.sampled_from("123"), st.booleans()), max_size=30))
def test_deduplication_does_not_depend_on_order(rows: list[tuple[str, str, bool]]) -> None:
    sentences = [Sentence(text, document, "ade", positive) for text, document, positive in rows]
    forward, _ = deduplicate(sentences)
    backward, _ = deduplicate(sentences[::-1])
    assert {(normal_form(s.text), s.document, s.positive) for s in forward} == {
        (normal_form(s.text), s.document, s.positive) for s in backward
    }


def test_the_published_folds_do_not_move() -> None:
    assert [fold_of(str(document)) for document in (10048291, 10082597, 6460590, 8600337)] == [7, 0, 5, 4]
    sizes = Counter(fold_of(str(document)) for document in range(20_000))
    assert all(abs(sizes[fold] / 20_000 - 1 / FOLDS) < 0.01 for fold in range(FOLDS))


@pytest.mark.parametrize("fold", range(FOLDS))
def test_no_document_and_no_sentence_of_development_is_in_training(shared_data: Path, fold: int) -> None:
    split = split_ade(ADE(shared_data), fold)
    assert not {s.document for s in split.training} & {s.document for s in split.development}
    assert not {normal_form(s.text) for s in split.training} & {normal_form(s.text) for s in split.development}


_cache: dict[Path, list[Sentence]] = {}


def ADE(shared_data: Path) -> list[Sentence]:  # noqa: N802
    if shared_data not in _cache:
        _cache[shared_data] = load_ade(shared_data / "ade_corpus_v2")
    return _cache[shared_data]


def test_every_relation_of_the_corpus_finds_its_place(shared_data: Path) -> None:
    rows = [line.split("|") for line in (shared_data / "ade_corpus_v2" / "DRUG-AE.rel").read_text().splitlines()]
    expected = {(row[0], row[1], row[5], row[2]) for row in rows}
    found = {
        (s.document, s.text, s.text[slice(*s.drugs[d])], s.text[slice(*s.effects[e])])
        for s in ADE(shared_data)
        for d, e in s.pairs
    }
    assert found == expected


def test_psytar_reads_quoted_line_ends_and_keeps_withdrawal_apart(shared_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "dev.csv"
    path.write_text('sentences\tADR\tWD\tEF\n"two\nlines"\t1\t1\t0\nzaps\t0\t1\t0\n')
    both, withdrawal = load_psytar(path)
    assert (both.text, both.positive, both.withdrawal_only) == ("two\nlines", True, False)
    assert (withdrawal.positive, withdrawal.withdrawal_only) == (False, True)
    split = split_psytar(shared_data / "psytar")
    assert not {normal_form(s.text) for s in split.training} & {normal_form(s.text) for s in split.development}
    assert not any(s.withdrawal_only for s in split.training)
