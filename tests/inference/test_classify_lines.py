"""`vigilia classify` without its command line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pytest

from inference.classifier import Pair, Reading, TextSpan
from inference.commands import classify_lines
from inference.conformal import Conformity
from inference.explain import Explanation, WordAttribution
from streams.assess.sentences import sentence_ranges
from streams.errors import SchemaMismatch, Unreadable


class Finder:
    """Reads "naproxen" as a drug and "rash" as an effect; a sentence with both has probability .9, else .1."""

    conformities: Mapping[bool, Conformity | None] = {True: Conformity(0.3, 0.06), False: Conformity(0.01, 0.4)}

    model = "finder@0"

    def classify(self, sentences: Sequence[str]) -> list[Reading]:
        return [self._read(sentence) for sentence in sentences]

    def _read(self, sentence: str) -> Reading:
        found = [
            tuple(TextSpan(sentence.find(w), sentence.find(w) + len(w), w) for w in [word] if w in sentence)
            for word in ("naproxen", "rash")
        ]
        both = all(found)
        return Reading(
            0.9 if both else 0.1, found[0], found[1], (Pair(0, 0, 0.8),) if both else (), self.conformities[both]
        )

    def close(self) -> None: ...


def answers(*lines: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in classify_lines(lines, Finder(), sentence_ranges)]


def test_offsets_count_from_the_texts_start_and_the_best_sentence_gives_the_probability() -> None:
    text = "He was well. Then naproxen gave him a rash."
    assert answers(json.dumps({"id": "x", "text": text}).encode()) == [
        {
            "id": "x",
            "probability": 0.9,
            "verdict": "can't tell",
            "spans": [
                {"label": "DRUG", "start": 18, "end": 26, "text": "naproxen"},
                {"label": "EFFECT", "start": 38, "end": 42, "text": "rash"},
            ],
            "pairs": [
                {
                    "drug": "naproxen", "effect": "rash", "probability": 0.8,
                    "drug_start": 18, "drug_end": 26, "effect_start": 38, "effect_end": 42,
                }
            ],
        }
    ]  # fmt: skip
    assert text[18:26] == "naproxen"


def test_every_line_is_answered_in_order_and_blank_ones_are_not() -> None:
    lines = [b'{"id":%d,"text":"rash"}\n' % i for i in range(150)]
    lines.insert(70, b"  \n")
    assert [answer["id"] for answer in answers(*lines)] == list(range(150))


def test_a_text_without_a_sentence_has_probability_zero() -> None:
    assert answers(b'{"id":1,"text":" "}') == [
        {"id": 1, "probability": 0.0, "verdict": "not", "spans": [], "pairs": []}
    ]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"no json", Unreadable),
        (b'{"id":1,"text":"\xff"}', Unreadable),
        (b'{"id":1,"text":"a","x":' + b"[" * 100_000, Unreadable),
        (b'{"id":1}', SchemaMismatch),
        (b'{"id":1,"text":null}', SchemaMismatch),
        (b"[]", SchemaMismatch),
    ],
)
def test_a_bad_line_is_named_after_the_lines_before_it_were_answered(line: bytes, error: type[Exception]) -> None:
    answered = classify_lines(
        [b'{"id":1,"text":"rash"}', b"", line, b'{"id":3,"text":"rash"}'], Finder(), sentence_ranges
    )
    assert json.loads(next(answered))["id"] == 1
    with pytest.raises(error, match=r"^line 3: "):
        next(answered)


def test_the_verdict_is_that_of_the_most_probable_sentence_at_the_error_rate_asked_for() -> None:
    lines = [
        json.dumps({"id": 1, "text": text}).encode()
        for text in ("He was well. Then naproxen gave him a rash.", "He was well.", " ")
    ]

    def verdicts(error_rate: float, finder: Finder) -> list[str | None]:
        found = classify_lines(lines, finder, sentence_ranges, error_rate)
        return [json.loads(line)["verdict"] for line in found]

    assert verdicts(0.05, Finder()) == ["can't tell", "not", "not"]
    assert verdicts(0.1, Finder()) == ["ADE", "not", "not"]
    uncalibrated = Finder()
    uncalibrated.conformities = {True: None, False: None}
    assert verdicts(0.1, uncalibrated) == [None, None, "not"]


def test_an_explanation_names_words_of_the_text_sentence_by_sentence() -> None:
    def first_word(sentence: str) -> Explanation:
        return Explanation(2.0, 0.5, [WordAttribution(0, sentence.index(" "), 1.5)])

    text = "He was well. Then naproxen gave him a rash."
    line = json.dumps({"id": 1, "text": text}).encode()
    (answer,) = (json.loads(x) for x in classify_lines([line], Finder(), sentence_ranges, 0.1, first_word))
    well, blamed = answer.pop("sentences")
    assert well == {
        "start": 0, "end": 12, "probability": 0.1, "verdict": "not", "logit": 2.0, "baseline": 0.5,
        "words": [{"text": "He", "start": 0, "end": 2, "attribution": 1.5}],
    }  # fmt: skip
    assert (blamed["start"], blamed["verdict"]) == (13, "ADE")
    assert blamed["words"] == [{"text": "Then", "start": 13, "end": 17, "attribution": 1.5}]
    assert answer == json.loads(next(classify_lines([line], Finder(), sentence_ranges, 0.1)))
