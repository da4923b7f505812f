"""PHEE, NCBI Disease and several corpora in one split: published counts, spans, folds, rules for contradictions."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from training.data import (
    CorpusError,
    Sentence,
    fold_of,
    load_ade,
    load_ncbi,
    load_phee,
    normal_form,
    split_ade,
    split_corpora,
)
from training.data.__main__ import main
from training.data.ncbi import FILES, read_abstracts
from training.data.sentence import SEED

KEPT = 0.85  # of the PubMed ids of ADE-Corpus and PHEE; the rest is sealed (INDEX.md)


def event(kind: str, text: str, drug: str, effect: str, **more: Any) -> dict[str, Any]:
    def argument(words: str) -> dict[str, Any]:
        return {"text": [[words]], "start": [[text.index(words)]], "entity_id": [["T1"]]}

    return {
        "event_type": kind,
        "Treatment": {**argument(drug), "Drug": argument(drug)},
        "Effect": argument(effect),
        **more,
    }


def phee(folder: Path, rows: list[dict[str, Any]]) -> Path:
    for name in ("train.json", "dev.json", "test.json"):
        lines = [json.dumps(row) for row in rows] if name == "train.json" else []
        (folder / name).write_text("\n".join(lines))
    return folder


def row(number: int, text: str, *events: dict[str, Any]) -> dict[str, Any]:
    return {"id": f"{number}_1", "context": text, "is_mult_event": False, "annotations": [{"events": list(events)}]}


def test_phee_calls_positive_what_has_an_adverse_event_that_is_not_negated(tmp_path: Path) -> None:
    text = "Rash with gold, no fever with iron."
    harm = event("Adverse_event", text, "gold", "Rash")
    denied = event("Adverse_event", text, "iron", "fever", Negated={"value": True})
    cure = event("Potential_therapeutic_event", text, "iron", "fever")
    rows = [row(1, text, harm, denied), row(2, text, denied), row(3, text, cure), row(4, text, cure, harm)]
    sentences = load_phee(phee(tmp_path, rows), spans=True)
    assert [(s.document, s.positive) for s in sentences] == [("1", True), ("2", False), ("3", False), ("4", True)]
    assert (sentences[0].drugs, sentences[0].effects, sentences[0].pairs) == (((10, 14),), ((0, 4),), {(0, 0)})
    assert not load_phee(tmp_path)[0].spans_known  # they are longer than ADE-Corpus's: only if asked for


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "JSONDecodeError"),
        ('{"id": "1_1"}', "KeyError 'context'"),
        (json.dumps(row(1, "Gold.", event("Adverse_event", "rash and Gold.", "Gold", "rash"))), "'Gold' is not at 9"),
    ],
)
def test_a_line_of_phee_that_does_not_read_names_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    good = json.dumps(row(1, "Gold, rash.", event("Adverse_event", "Gold, rash.", "Gold", "rash")))
    phee(tmp_path, [])
    (tmp_path / "dev.json").write_text(f"{good}\n{line}\n")
    with pytest.raises(CorpusError, match=re.escape("dev.json, line 2: ") + ".*" + re.escape(message)):
        load_phee(tmp_path, spans=True)


ABSTRACT = "7|t|On gout.\n7|a|Gout is old. Toxic gout was treated.\n7\t3\t7\tgout\tSpecificDisease\tD0\n"


def test_ncbi_sentences_are_negatives_with_diseases_and_those_about_treatment_are_left_out(tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).write_text("")
    mentions = "7\t9\t13\tGout\tSpecificDisease\tD0\n7\t28\t32\tgout\tSpecificDisease\tD0\n"
    (tmp_path / FILES[0]).write_text(f"\n{ABSTRACT}{mentions}\n{ABSTRACT}")
    sentences = load_ncbi(tmp_path)  # the abstract is there twice and read once
    assert [(s.text, s.effects, s.positive) for s in sentences] == [
        ("On gout.", ((3, 7),), False),
        ("Gout is old.", ((0, 4),), False),
    ]
    (tmp_path / FILES[1]).write_text(f"\n{ABSTRACT.replace('	3	', '	4	')}")
    with pytest.raises(CorpusError, match=r"NCBI_devel.txt, line 4: 'gout' is not at 4"):
        load_ncbi(tmp_path)
    (tmp_path / FILES[1]).write_text("8\t1\n")
    with pytest.raises(CorpusError, match="line 1: neither title, abstract nor a mention"):
        load_ncbi(tmp_path)


def of(corpus: str, document: str, text: str, positive: bool, spans: bool = False) -> Sentence:
    drugs, effects = (((0, 1),), ((2, 3),)) if spans else ((), ())
    return Sentence(text, document, corpus, positive, drugs, effects, frozenset({(0, 0)} if spans else ()))


HELD = next(str(n) for n in range(100) if fold_of(str(n)) == 0)
FREE = [str(n) for n in range(100) if fold_of(str(n)) != 0]


def test_contradictions_are_settled_by_rule_and_counted() -> None:
    ade = [
        of("ade", FREE[0], "Relation.", True, spans=True),
        of("ade", FREE[1], "Negative.", False),
        of("ade", FREE[2], "Agreed.", False),
        of("ade", HELD, "Held.", False),
    ]
    other = [
        of("phee", FREE[0], "Relation.", False),
        of("phee", FREE[1], "NEGATIVE.", True),
        of("phee", FREE[2], "agreed.", False),
        of("phee", HELD, "Held.", True),
        of("phee", FREE[3], "held.", True),
    ]
    split = split_corpora([ade, other])
    assert [(s.text, s.corpus, s.positive) for s in split.training] == [
        ("Relation.", "ade", True),
        ("NEGATIVE.", "phee", True),
        ("Agreed.", "ade", False),
    ]
    assert split.development == [ade[3]]
    assert split.removed == {
        "development_first_label_in_development": 1,
        "training_duplicate": 1,
        "training_event_over_negative": 1,
        "training_relation_over_phee": 1,
        "training_also_in_development": 1,
    }


@pytest.fixture(scope="module")
def corpora(shared_data: Path) -> list[list[Sentence]]:
    return [
        load_ade(shared_data / "ade_corpus_v2"),
        load_phee(shared_data / "phee_v2", spans=True),
        load_ncbi(shared_data / "ncbi_disease"),
    ]


def test_what_is_here_of_ade_and_phee_is_the_published_count_less_the_sealed_documents(
    corpora: list[list[Sentence]],
) -> None:
    ade, phee_v2, _ = corpora
    relations = sum(len(s.pairs) for s in ade)
    negatives = sum(not s.positive for s in ade)
    documents = len({s.document for s in ade})
    for here, published in ((relations, 6_821), (negatives, 16_695), (documents, 2_972), (len(phee_v2), 4_827)):
        assert here / published == pytest.approx(KEPT, abs=0.02), (here, published)


def test_every_event_of_phee_is_recounted_from_its_files(shared_data: Path, corpora: list[list[Sentence]]) -> None:
    rows = [
        json.loads(line)
        for name in ("train", "dev", "test")
        for line in (shared_data / "phee_v2" / f"{name}.json").read_text().splitlines()
    ]
    text_of = {r["id"]: r["context"] for r in rows}
    harmed = {
        r["id"]
        for r in rows
        for a in r["annotations"]
        for e in a["events"]
        if e["event_type"] == "Adverse_event" and not e.get("Negated")
    }
    assert Counter((s.document, s.text) for s in corpora[1] if s.positive) == Counter(
        (identity.split("_")[0], text_of[identity]) for identity in harmed
    )


def test_every_mention_of_ncbi_is_found_and_counted_as_published(shared_data: Path) -> None:
    published = {"NCBI_train.txt": 5_145, "NCBI_devel.txt": 787, "NCBI_test.txt": 960}
    found = {
        name: sum(len(mentions) for _, _, mentions in read_abstracts(shared_data / "ncbi_disease" / name))
        for name in FILES
    }
    assert found == published


@pytest.mark.parametrize("fold", [0, 7])
def test_no_document_and_no_sentence_of_development_is_in_training_of_any_corpus(
    corpora: list[list[Sentence]], fold: int
) -> None:
    split = split_corpora(corpora, fold)
    assert not {s.document for s in split.training} & {s.document for s in split.development}
    assert not {normal_form(s.text) for s in split.training} & {normal_form(s.text) for s in split.development}
    assert all(fold_of(s.document, SEED) != fold for s in split.training)
    held = {s.text: s.positive for s in split_ade(corpora[0], fold).development}
    assert {s.text: s.positive for s in split.development if s.corpus == "ade"} == held  # ADE-Corpus's labels stand


def test_with_one_corpus_the_split_is_that_corpus_s_own(corpora: list[list[Sentence]]) -> None:
    both, alone = split_corpora(corpora[:1]), split_ade(corpora[0])
    assert (both.training, both.development) == (alone.training, alone.development)


def test_the_tables_of_the_command_show_these_counts(
    shared_data: Path, corpora: list[list[Sentence]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "ward.jsonl"
    own.write_text('{"id": "1", "document": "n1", "text": "Rash on gold.", "positive": true}\n')
    main(["--data", str(shared_data), "--own", str(own)])
    shown = capsys.readouterr().out
    assert f"| ade | 2,496 | {len(corpora[0]):,} |" in shown
    assert "| ward | 1 | 1 | 1 | 1 | 0 | 0 |" in shown
    assert re.search(r"\| training_event_over_negative \| \d+ \| PHEE sees", shown)
    own.write_text("{}\n")
    with pytest.raises(SystemExit, match=r"ward.jsonl, line 1"):
        main(["--data", str(shared_data), "--own", str(own)])
