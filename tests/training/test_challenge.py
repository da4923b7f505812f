"""The challenge set: what the file obeys, who may read it, and what counts as right."""

from __future__ import annotations

import ast
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from inference.artefact import shipped_folder
from inference.classifier import Pair, Reading, TextSpan
from streams.assess.sentences import sentence_ranges
from training.challenge.command import command
from training.challenge.items import KINDS, REGISTERS, SENTENCES, ChallengeError, Item, load_items
from training.challenge.score import as_json, score, wilson
from training.challenge.templates import FILLERS, templated

ROOT = Path(__file__).parents[2]
THRESHOLD, PAIR_THRESHOLD = 0.4, 0.3
LINE: dict[str, Any] = {
    "id": "plain-01",
    "kind": "plain",
    "origin": "hand",
    "register": "telegram",
    "text": "Rash on aspirin, no fever.",
    "asserted": [["aspirin", "Rash"]],
    "denied": [["aspirin", "fever"]],
}


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """The file as any program would read it."""
    return [json.loads(line) for line in SENTENCES.read_text(encoding="utf-8").splitlines()]


def written(folder: Path, *lines: dict[str, Any]) -> Path:
    path = folder / "sentences.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


# ---------------------------------------------------------------- the file


def test_ids_and_sentences_are_unique_and_each_word_of_a_pair_stands_once_in_its_text(
    rows: list[dict[str, Any]],
) -> None:
    assert len({row["id"] for row in rows}) == len(rows)
    assert len({" ".join(row["text"].casefold().split()) for row in rows}) == len(rows)
    for row in rows:
        for words in {words for pair in row["asserted"] + row["denied"] for words in pair}:
            assert len(re.findall(rf"(?<!\w){re.escape(words)}(?!\w)", row["text"])) == 1, (row["id"], words)


def test_most_are_written_by_hand_and_neither_answer_wins_by_itself(rows: list[dict[str, Any]]) -> None:
    assert 400 <= len(rows) <= 500
    assert sum(row["origin"] == "hand" for row in rows) >= 250
    assert 0.4 <= sum(bool(row["asserted"]) for row in rows) / len(rows) <= 0.5
    labels = Counter((row["kind"], bool(row["asserted"])) for row in rows)
    assert all(labels[kind, label] >= 12 for kind in KINDS for label in (True, False))
    registers = Counter((row["register"], bool(row["asserted"])) for row in rows)
    assert all(registers[register, label] >= 20 for register in REGISTERS for label in (True, False))


def test_the_table_of_the_readme_is_the_file(rows: list[dict[str, Any]]) -> None:
    readme = SENTENCES.with_name("README.md").read_text(encoding="utf-8")
    labels = Counter((row["kind"], bool(row["asserted"])) for row in rows)
    told = re.findall(r"^\| ([a-z-]+) \| (\d+) \| (\d+) \|", readme, re.MULTILINE)
    assert told == [(kind, str(labels[kind, True]), str(labels[kind, False])) for kind in KINDS]
    origins, positive = Counter(row["origin"] for row in rows), sum(bool(row["asserted"]) for row in rows)
    assert f"{len(rows)} English sentences written for vigilia, {origins['hand']} by hand" in readme
    assert f"{origins['template']} from templates, {positive} of them ({positive / len(rows):.1%})" in readme


def test_the_templated_sentences_are_what_the_templates_give() -> None:
    made = templated()
    assert sorted(made, key=lambda item: item.id) == sorted(
        (item for item in load_items() if item.origin == "template"), key=lambda item: item.id
    )
    assert all(any(filler.drug in item.text.lower() for item in made) for filler in FILLERS)


def test_a_sentence_of_the_set_is_one_sentence_to_the_stream() -> None:
    assert [item.text for item in load_items() if sentence_ranges(item.text) != [(0, len(item.text))]] == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "rumour"}, "kind 'rumour' is none of negation"),
        ({"origin": "corpus"}, "origin 'corpus'"),
        ({"register": "poem"}, "register 'poem'"),
        ({"asserted": [["Aspirin", "Rash"]]}, "'Aspirin' occurs 0 times"),
        ({"text": "Rash, Rash on aspirin, no fever."}, "'Rash' occurs 2 times"),
        ({"text": "Rashes on aspirin, no fever."}, "'Rash' occurs 0 times"),
        ({"denied": [["aspirin", "Rash"]]}, "a pair is there twice"),
        ({"denied": [["aspirin"]]}, "length 2"),
        ({"note": "hard"}, "unknown field `note`"),
    ],
)
def test_an_item_that_breaks_the_rules_is_an_error_that_names_its_line(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    good = LINE | {"id": "plain-02", "text": "Quite another Rash on aspirin, no fever."}
    with pytest.raises(ChallengeError, match=rf"^sentences\.jsonl, line 2: .*{re.escape(message)}"):
        load_items(written(tmp_path, good, LINE | change))


def test_an_id_or_a_sentence_may_not_come_twice(tmp_path: Path) -> None:
    with pytest.raises(ChallengeError, match="line 2: id plain-01 was there before"):
        load_items(written(tmp_path, LINE, LINE | {"text": "New: Rash on aspirin, no fever."}))
    shouted = LINE | {"id": "plain-02", "text": "rash on  ASPIRIN, no fever.", "asserted": [], "denied": []}
    with pytest.raises(ChallengeError, match="line 2: the sentence was there before"):
        load_items(written(tmp_path, LINE, shouted))


# ---------------------------------------------------------------- nothing of it elsewhere


def texts_of(path: Path) -> Iterator[str]:
    """The text of a data file; of a year of VAERS, the file of narratives."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(name).decode("latin-1") for name in archive.namelist() if "DATA.csv" in name)
    else:
        yield path.read_bytes().decode("utf-8", errors="replace")


@pytest.mark.parametrize(
    "folder",
    ["ade_corpus_v2", "phee_v2", "psytar", "ncbi_disease", "notes_mts_dialog", "notes_aci_bench", "vaers_1990_2006"],
)
def test_no_sentence_of_the_set_occurs_in_a_corpus(shared_data: Path, folder: str) -> None:
    sentences = {" ".join(item.text.casefold().split()).rstrip(".") for item in load_items()}
    files = [path for path in sorted((shared_data / folder).rglob("*")) if path.is_file()]
    assert files
    for path in files:
        for text in texts_of(path):
            lines = " ".join(text.casefold().split())
            assert [sentence for sentence in sentences if sentence in lines] == [], path


def imported(path: Path) -> set[str]:
    """Full names of what a module imports, relative imports resolved."""
    names: set[str] = set()
    package = list(path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return names


def test_nothing_that_trains_can_reach_the_set() -> None:
    allowed = ("training/challenge/", "training/evaluate/", "training/commands.py")
    paths = [path for package in ("training", "inference", "streams") for path in (ROOT / package).rglob("*.py")]
    assert len(paths) > 50
    for path in paths:
        if path.relative_to(ROOT).as_posix().startswith(allowed):
            continue
        reached = {name for name in imported(path) if f"{name}.".startswith("training.challenge.")}
        assert not reached, path
        assert not re.search(r"""\bchallenge["'/]""", path.read_text(encoding="utf-8")), path


# ---------------------------------------------------------------- the score


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [  # Newcombe, Statistics in Medicine 1998;17:857-872, table I, method 3 (Wilson's score, no continuity correction)
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_intervals_are_the_published_ones(right: int, total: int, low: float, high: float) -> None:
    share = wilson(right, total)
    assert (share.right, share.total) == (right, total)
    assert (share.low, share.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def span(text: str, words: str) -> TextSpan:
    at = text.index(words)
    return TextSpan(at, at + len(words), words)


def reading(text: str, probability: float, pairs: list[tuple[str, str, float]]) -> Reading:
    drugs = list(dict.fromkeys(drug for drug, _, _ in pairs))
    effects = list(dict.fromkeys(effect for _, effect, _ in pairs))
    return Reading(
        probability,
        tuple(span(text, words) for words in drugs),
        tuple(span(text, words) for words in effects),
        tuple(Pair(drugs.index(drug), effects.index(effect), value) for drug, effect, value in pairs),
    )


def oracle(item: Item) -> Reading:
    pairs = [(*pair, 0.9) for pair in item.asserted] + [(*pair, 0.01) for pair in item.denied]
    return reading(item.text, 0.9 if item.asserted else 0.1, pairs)


def test_who_reads_the_labels_has_everything_right() -> None:
    result = score([oracle(item) for item in load_items()], THRESHOLD, PAIR_THRESHOLD)
    assert result.wrong == []
    assert result.overall.value == 1.0
    assert list(result.kinds) == list(KINDS)


def test_one_answer_for_all_has_only_that_label_right(rows: list[dict[str, Any]]) -> None:
    silent = score([Reading(0.0)] * len(rows), THRESHOLD, PAIR_THRESHOLD)
    loud = score([Reading(1.0)] * len(rows), THRESHOLD, PAIR_THRESHOLD)
    for kind in KINDS:
        of_kind = [row for row in rows if row["kind"] == kind]
        assert silent.kinds[kind][:2] == (sum(not row["asserted"] for row in of_kind), len(of_kind))
        assert loud.kinds[kind].right == sum(bool(row["asserted"]) and not row["denied"] for row in of_kind)
        assert loud.label_alone[kind].right == sum(bool(row["asserted"]) for row in of_kind)
    assert silent.label_alone["all"] == silent.overall
    assert silent.overall.value < 0.6
    assert loud.overall.value < 0.5
    assert (silent.labels["positive"].right, silent.labels["negative"].value) == (0, 1.0)


@pytest.mark.parametrize(
    ("probability", "pairs", "faults"),
    [
        (0.9, [("aspirin", "Rash", 0.9), ("aspirin", "fever", 0.1)], ()),
        (0.4, [("aspirin", "Rash", 0.3)], ()),  # both at their thresholds
        (0.39, [("aspirin", "Rash", 0.9)], ("missed",)),
        (0.9, [("aspirin", "Rash", 0.29)], ("pair missed: aspirin > Rash",)),
        (0.9, [], ("pair missed: aspirin > Rash",)),
        (0.9, [("aspirin", "Rash", 0.9), ("aspirin", "fever", 0.3)], ("pair blamed: aspirin > fever",)),
        (0.9, [("aspirin", "Rash on", 0.9)], ()),  # an overlap is enough
        (0.9, [("aspirin, no", "Rash", 0.9)], ()),
        (0.9, [("no", "Rash", 0.9)], ("pair missed: aspirin > Rash",)),
        (0.9, [("Rash", "aspirin", 0.9)], ("pair missed: aspirin > Rash",)),  # a drug is not an effect
        (0.1, [], ("missed", "pair missed: aspirin > Rash")),
    ],
)
def test_blame_must_fall_on_the_right_pair(
    tmp_path: Path, probability: float, pairs: list[tuple[str, str, float]], faults: tuple[str, ...]
) -> None:
    items = load_items(written(tmp_path, LINE))
    result = score([reading(LINE["text"], probability, pairs)], THRESHOLD, PAIR_THRESHOLD, items)
    assert result.outcomes[0].faults == faults


def test_pairs_are_not_asked_for_where_nothing_is_contrasted(tmp_path: Path) -> None:
    items = load_items(written(tmp_path, LINE | {"denied": []}))
    assert score([Reading(0.9)], THRESHOLD, PAIR_THRESHOLD, items).wrong == []
    items = load_items(written(tmp_path, LINE | {"asserted": []}))
    blamed = reading(LINE["text"], 0.1, [("aspirin", "fever", 0.9)])
    assert score([blamed], THRESHOLD, PAIR_THRESHOLD, items).wrong == []
    alarm = score([Reading(0.4)], THRESHOLD, PAIR_THRESHOLD, items)
    assert [outcome.faults for outcome in alarm.wrong] == [("false alarm",)]


def test_a_reading_too_few_is_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        score([Reading(0.0)], THRESHOLD, PAIR_THRESHOLD)


def test_the_wrong_ones_are_named_in_the_json() -> None:
    items = load_items()
    first = next(item for item in items if item.asserted and not item.denied)
    readings = [Reading(0.0) if item is first else oracle(item) for item in items]
    figures = as_json(score(readings, THRESHOLD, PAIR_THRESHOLD))
    assert figures["wrong"] == {first.id: ["missed"]}
    assert figures["overall"]["right"] == figures["overall"]["total"] - 1 == len(items) - 1


@pytest.mark.skipif(not shipped_folder().is_dir(), reason="no model in the package: `make train` makes one")
def test_the_command_tells_the_shipped_model_by_kind_and_lists_what_is_wrong() -> None:
    result = CliRunner().invoke(command, ["--json"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    for groups in ("kinds", "origins", "labels"):
        assert sum(share["total"] for share in figures[groups].values()) == figures["overall"]["total"]
        assert sum(share["right"] for share in figures[groups].values()) == figures["overall"]["right"]
    assert len(figures["wrong"]) == figures["overall"]["total"] - figures["overall"]["right"]
    told = CliRunner().invoke(command, ["--wrong"])
    assert told.exit_code == 0
    for kind, share in figures["kinds"].items():
        assert re.search(rf"^{kind} +{share['right']} +{share['total']} ", told.stdout, re.MULTILINE)
    assert all(name in told.stdout for name in figures["wrong"])
