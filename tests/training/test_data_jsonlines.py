"""A user's own labelled sentences: what is read back equals what was written, and each fault names file and line."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data import CorpusError, Sentence, dump_jsonlines, load_jsonlines

GOOD: dict[str, Any] = {
    "id": "n17-3",
    "document": "n17",
    "text": "Rash after aspirin, not ibuprofen.",
    "positive": True,
    "drugs": [[11, 18], [24, 33]],
    "effects": [[0, 4]],
    "pairs": [[0, 0]],
}


def write(path: Path, *lines: dict[str, Any] | str) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_a_line_is_a_sentence_of_the_corpus_named_like_its_file(tmp_path: Path) -> None:
    negative = {"id": "n17-4", "document": "n17", "text": "Denies cough.", "positive": False}
    first, second = load_jsonlines(write(tmp_path / "ward.jsonl", GOOD, negative))
    assert first == Sentence(GOOD["text"], "n17", "ward", True, ((11, 18), (24, 33)), ((0, 4),), frozenset({(0, 0)}))
    assert (second.positive, second.spans_known, second.corpus) == (False, False, "ward")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"positive": 1}, "Expected `bool`, got `int` - at `$.positive`"),
        ({"positive": None}, "Expected `bool`"),
        ({"label": True}, "unknown field `label`"),
        ({"text": "  "}, "text must hold 1 to 1000 characters"),
        ({"text": "x" * 1001}, "has 1001"),
        ({"id": ""}, "must not be empty"),
        ({"document": ""}, "must not be empty"),
        ({"drugs": [[11, 35]]}, "drugs: [11, 35] does not lie in the text of 34 characters"),
        ({"drugs": [[-1, 4]]}, "does not lie"),
        ({"drugs": [[4, 4]]}, "does not lie"),
        ({"effects": [[0, 5]]}, "'Rash ' begins or ends with white space"),
        ({"drugs": [[24, 33], [11, 18]]}, "out of order"),
        ({"drugs": [[11, 18], [15, 18]]}, "overlaps"),
        ({"drugs": [[1]]}, "$.drugs[0]"),
        ({"pairs": [[2, 0]]}, "pair [2, 0]: there are 2 drugs, 1 effects"),
        ({"pairs": [[0, -1]]}, "pair [0, -1]"),
        ({"pairs": [[0, 0], [0, 0]]}, "the same pair twice"),
        ({"pairs": []}, "marks drugs and effects and no pair"),
        ({"positive": False}, "not positive has a pair"),
    ],
)
def test_each_fault_names_file_line_and_what_is_wrong(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "ward.jsonl", GOOD, {**GOOD, "id": "n17-5", **change})
    with pytest.raises(CorpusError, match=re.escape(f"{path}, line 2: ") + ".*" + re.escape(message)):
        load_jsonlines(path)


@pytest.mark.parametrize("line", ["", "{", "[]", '{"id": "a"}', "\ufeff" + json.dumps(GOOD)])
def test_a_line_that_is_no_object_of_the_format_names_file_and_line(tmp_path: Path, line: str) -> None:
    path = write(tmp_path / "ward.jsonl", line)
    with pytest.raises(CorpusError, match=re.escape(f"{path}, line 1: ")):
        load_jsonlines(path)


def test_the_same_id_twice_and_an_empty_file_are_faults(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="line 2: id 'n17-3' is that of line 1"):
        load_jsonlines(write(tmp_path / "ward.jsonl", GOOD, GOOD))
    with pytest.raises(CorpusError, match="no line in it"):
        load_jsonlines(write(tmp_path / "empty.jsonl"))


words = st.lists(st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=6), min_size=4, max_size=9)


@given(st.lists(st.tuples(words, st.booleans()), min_size=1, max_size=5))
def test_what_is_written_is_read_back(rows: list[tuple[list[str], bool]]) -> None:
    sentences = []
    for number, (texts, positive) in enumerate(rows):
        ends = [sum(len(word) + 1 for word in texts[: i + 1]) - 1 for i in range(4)]
        spans = [(end - len(word), end) for end, word in zip(ends, texts, strict=False)]
        pairs = frozenset({(0, 1)} if positive else ())
        drugs, effects = (spans[0], spans[2]), (spans[1], spans[3])
        sentences.append(Sentence(" ".join(texts), str(number), "own", positive, drugs, effects, pairs))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "own.jsonl"
        dump_jsonlines(sentences, path)
        assert load_jsonlines(path) == sentences
