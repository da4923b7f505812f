"""The parts of an evaluation, on readings made up for the purpose and counted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from inference.calibration import PairCalibration, Platt
from inference.decoding import DecodedSpan
from inference.graph import Raw
from training.data import Sentence
from training.evaluate.development import CrossFit, Measured, half_of, pairs_above, sentence_figures, span_figures
from training.evaluate.outside import NoteSentence, alarm_row, kind_of, load_notes, note_figures, psytar_figures
from training.evaluate.robustness import robustness_row
from training.evaluate.subgroups import age_of, drug_classes, groups_of, sex_of, subgroup_figures
from training.export.calibrate import Calibration

ALWAYS = Calibration(Platt(1.0, 0.0), PairCalibration(40.0, 0.0, 0.0, 0.0, Platt(1.0, 0.0)), 0.5, 0.5)


def spans(*ranges: tuple[int, int]) -> list[DecodedSpan]:
    return [DecodedSpan(a, b, 0.9) for a, b in ranges]


def readings(seed: int = 0, size: int = 400) -> tuple[list[Sentence], list[Raw]]:
    rng = np.random.default_rng(seed)
    positive = rng.random(size) < 0.3
    sentences = [Sentence(f"text {i}", str(i // 3), "ade", bool(p)) for i, p in enumerate(positive)]
    return sentences, [Raw(float(x), [], [], []) for x in rng.normal(size=size) + 2 * positive - 1]


# ---------------------------------------------------------------- development


def test_what_judges_a_half_never_saw_it() -> None:
    sentences, raws = readings()
    before = CrossFit.of(sentences, raws)
    flipped = [replace(s, positive=not s.positive) if half_of(s.document) == 0 else s for s in sentences]
    after = CrossFit.of(flipped, raws)
    assert after.calibrations[0] == before.calibrations[0]
    assert after.calibrations[1] != before.calibrations[1]


def test_no_document_lies_in_both_halves() -> None:
    sentences, _ = readings()
    halves: dict[str, set[int]] = {}
    for s in sentences:
        halves.setdefault(s.document, set()).add(half_of(s.document))
    assert all(len(found) == 1 for found in halves.values())
    assert {1, 0} == {next(iter(found)) for found in halves.values()}


def test_sentence_figures_recount() -> None:
    measured = Measured.of(*readings())
    called = measured.probabilities >= measured.thresholds
    figures = sentence_figures(measured)
    precision, recall = measured.labels[called].mean(), called[measured.labels].mean()
    assert figures["sentence precision"][0] == pytest.approx(precision)  # type: ignore[index]
    assert figures["sentence recall"][0] == pytest.approx(recall)  # type: ignore[index]
    assert figures["sentence F1"][0] == pytest.approx(2 * precision * recall / (precision + recall))  # type: ignore[index]


def test_span_and_pair_f1_by_hand() -> None:
    text = "lithium and aspirin gave him a severe rash"
    gold = Sentence(text, "1", "ade", True, ((0, 7), (12, 19)), ((38, 42),), frozenset({(0, 0)}))
    # lithium found, aspirin found; the effect with one word too many: strictly wrong, in overlap right
    raw = Raw(3.0, spans((0, 7), (12, 19)), spans((31, 42)), [(0, 0, 2.0), (1, 0, -2.0)])
    negative = Raw(-3.0, spans((0, 7)), spans((10, 14)), [(0, 0, 5.0)])
    other = Sentence("he took it daily now", "2", "ade", False)
    measured = Measured(
        [gold, other],
        [raw, negative],
        CrossFit((ALWAYS, ALWAYS)),
        np.array([True, False]),
        np.array([0.95, 0.05]),
        np.array([0.5, 0.5]),
    )
    figures = {name: value[0] for name, value in span_figures(measured).items()}  # type: ignore[index]
    assert figures["DRUG F1"] == 1
    assert figures["EFFECT F1"] == 0
    assert figures["EFFECT F1, overlap"] == 1
    assert figures["pair F1, overlap"] == pytest.approx(2 / 3)  # both drugs paired, one rightly
    assert figures["pair F1 above the threshold, overlap"] == 1  # aspirin's pair lies below it
    assert figures["pair F1 above the threshold, overlap, all sentences"] == 1  # the negative's is held down by p
    assert pairs_above(negative, ALWAYS) == set()


# ---------------------------------------------------------------- outside


@pytest.mark.parametrize(
    ("section", "text", "kind"),
    [
        ("ALLERGY", "None.", "allergy"),
        ("ALLERGIES:", "Penicillin.", "allergy"),
        ("GENHX", "She is allergic to nuts.", "allergy"),
        ("PASTMEDICALHX", "No diabetes.", "history"),
        ("FAMILY HISTORY", "Mother had rash on lithium.", "history"),
        ("HISTORY OF PRESENT ILLNESS", "He had rash.", "other"),
        ("ROS", "Denies fever.", "negation"),
        ("PLAN", "He didn't take it.", "negation"),
        ("PLAN", "Note the nose.", "other"),
    ],
)
def test_a_sentence_of_a_note_has_one_kind(section: str, text: str, kind: str) -> None:
    assert kind_of(section, text) == kind


def test_calls_per_thousand_by_hand() -> None:
    texts = ["Took it.", "Rash due to it.", "Well.", "Fine.", "Due to age."]
    notes = [NoteSentence(t, str(i), False, "other") for i, t in enumerate(texts)]
    row = alarm_row(notes, np.array([1, 1, 0, 0, 0], bool), np.array([0, 1, 0, 0, 0], bool))
    assert row["false alarms"].value == pytest.approx(1000 / 3)
    assert row["false alarms, of"] == 3
    assert row["false pairs"].value == 0
    assert row["calls with words of harm"].value == pytest.approx(500)


def test_notes_of_training_and_test_files_are_kept_apart() -> None:
    notes = [NoteSentence("a", "1", True, "other"), NoteSentence("b", "2", False, "allergy")]
    rows = note_figures(notes, [Raw(1.0, [], [], []), Raw(-1.0, [], [], [])], ALWAYS)
    found = {(r["files"], r["kind"]): r["false alarms"].value for r in rows}
    assert found == {("test", "allergy"): 0, ("test", "all"): 0, ("training", "other"): 1000, ("training", "all"): 1000}


def test_real_notes_are_read_with_their_sections(shared_data: object) -> None:
    from pathlib import Path

    notes = load_notes(Path(str(shared_data)))
    assert len({n.text.casefold() for n in notes}) == len(notes)
    kinds = {kind: sum(n.kind == kind for n in notes) for kind in ("allergy", "history", "negation", "other")}
    assert all(n > 100 for n in kinds.values()), kinds
    assert 0.2 < sum(n.trained for n in notes) / len(notes) < 0.8


def test_withdrawal_counts_as_the_row_says() -> None:
    sentences = [
        Sentence("a", "1", "psytar", True),
        Sentence("b", "2", "psytar", False, withdrawal_only=True),
        Sentence("c", "3", "psytar", False),
    ]
    raws = [Raw(2.0, [], [], []), Raw(2.0, [], [], []), Raw(-2.0, [], [], [])]
    figures = psytar_figures(sentences, raws, ALWAYS)
    names = ("PsyTAR F1", "PsyTAR F1, withdrawal-only left out", "PsyTAR F1, withdrawal counted")
    assert [figures[n][0] for n in names] == [pytest.approx(2 / 3), 1, 1]  # type: ignore[index]


# ---------------------------------------------------------------- robustness


def test_unchanged_words_cost_nothing_and_blindness_costs_all() -> None:
    sentences, raws = readings()
    sentences[0] = replace(sentences[0], positive=True, drugs=((0, 4),), effects=((5, 6),), pairs=frozenset({(0, 0)}))
    raws[0] = Raw(raws[0].logit, spans((0, 4)), spans((5, 6)), [(0, 0, 1.0)])
    measured = Measured.of(sentences, raws)
    row = robustness_row(measured, sentences, lambda _: raws)
    assert row["sentence F1, change"] == (0, 0, 0)
    assert row["changed"] == 0
    blind = robustness_row(measured, sentences, lambda texts: [Raw(-50.0, [], [], []) for _ in texts])
    assert blind["sentence F1"].value == 0
    assert blind["sentence F1, change"].value == -row["sentence F1"].value
    assert blind["DRUG F1, change"].value == -1


# ---------------------------------------------------------------- subgroups


@pytest.mark.parametrize(
    ("text", "age", "sex"),
    [
        ("A 44-year-old man took lithium.", "adult (18-64)", "male"),
        ("A 3-month-old infant.", "child (under 18)", None),
        ("An 80 year old woman; she recovered.", "65 and older", "female"),
        ("Two patients, aged 70 years and aged 12 years.", None, None),
        ("A man and his wife, a woman of note.", None, None),
        ("An elderly patient.", "65 and older", None),
        ("Women (2) and men (3) were treated.", None, None),
        ("Her rash, 18 years old.", "adult (18-64)", "female"),
    ],
)
def test_age_and_sex_are_told_where_a_text_says_one(text: str, age: str | None, sex: str | None) -> None:
    assert (age_of(text), sex_of(text)) == (age, sex)


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("metoprolol with enalapril", {"heart and blood"}),
        ("Cefuroxime and vancomycin", {"anti-infective"}),
        ("rituximab, prednisone", {"cancer and immune", "pain, inflammation, hormones"}),
        ("olanzapine in April, except cocaine", {"nervous system"}),
        ("the concept of orbital povidone", set()),
    ],
)
def test_drug_classes_are_told_by_stems(text: str, classes: set[str]) -> None:
    assert drug_classes(text) == classes


def test_a_document_lends_its_patient_to_all_its_sentences() -> None:
    sentences = [
        Sentence("A 44-year-old man took it.", "1", "ade", False),
        Sentence("Rash followed.", "1", "ade", True),
        Sentence("Fever followed.", "2", "ade", True),
    ]
    groups = groups_of(sentences)
    assert groups["age", "adult (18-64)"].tolist() == [True, True, False]
    assert groups["sex", "male"].tolist() == [True, True, False]
    assert ("sex", "female") not in groups


def test_a_gap_is_the_group_against_the_other_groups_by_hand() -> None:
    texts = {"m": "The man took it.", "w": "The woman took it.", "n": "Nobody knows."}
    sentences = [
        Sentence(texts[d[0]], d, "ade", y) for d, y in [("m1", True), ("m2", True), ("w1", True), ("w2", False)]
    ]
    sentences.append(Sentence(texts["n"], "n1", "ade", True))
    probabilities = np.array([0.9, 0.1, 0.9, 0.9, 0.1])
    rows = {r["group"]: r for r in subgroup_figures(sentences, probabilities, np.full(5, 0.5), ("sex",))}
    assert rows["male"]["recall"].value == 0.5
    assert rows["female"]["recall"].value == 1
    assert rows["male"]["recall, gap"].value == -0.5
    assert rows["female"]["false alarms"].value == 1
    assert rows["male"]["F1, gap"].value == pytest.approx(2 / 3 - 2 / 3)
    assert rows["male"]["sentences"] + rows["female"]["sentences"] == 4  # who states no sex is in neither
