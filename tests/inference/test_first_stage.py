"""The first stage: integers, one sentence at a time, and what it spares is said plainly."""

from __future__ import annotations

import hashlib
import math
import random
import zlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.artefact import MANIFEST, load_artefact, shipped_folder
from inference.classifier import Classifier, Reading
from inference.conformal import NOT
from inference.first_stage import FILE, FirstStage, Header, Screened, buckets, first_stage_of, words
from streams.errors import WrongModel

BITS = 10
SENTENCES = [
    "Severe rash two days after starting amoxicillin 500 mg.",
    "The patient is a 54-year-old man who lives with his wife.",
    "He developed hepatitis on ketoconazole; it was stopped.",
    "Lungs are clear.",
    "",
    "!!!",
    "ÉTAT fébrile – 39,5 °C",
    "x" * 3000,
]


def random_stage(seed: int = 1, threshold: int = 0) -> FirstStage:
    weights = random.Random(seed).randbytes(1 << BITS)
    return FirstStage(Header(2, BITS, threshold, 0.0125, {"on": "nothing"}), weights)


@pytest.mark.parametrize("sentence", SENTENCES)
def test_the_score_is_the_squared_sum_of_its_buckets_over_their_number(sentence: str) -> None:
    """Recounted from `buckets`, which is what training sees, without the memory of words."""
    weights = random.Random(1).randbytes(1 << BITS)
    found = [weights[bucket] - 256 * (weights[bucket] > 127) for bucket in buckets(sentence, BITS)]
    expected = math.floor(sum(found) * abs(sum(found)) / len(found))
    stage = random_stage()
    assert stage.score(sentence) == expected
    assert stage.score(sentence) == expected  # and again, from memory


def test_the_buckets_of_a_word_are_those_counted_by_hand() -> None:
    mask = (1 << BITS) - 1
    hashed = zlib.crc32(b"rash")
    strings = ["<ra", "ras", "ash", "sh>", "<ras", "rash", "ash>", "<rash", "rash>"]
    own = [hashed & mask] + [zlib.crc32(part.encode(), len(part)) & mask for part in strings]
    pairs = [((1 * 0x9E3779B1 + hashed) >> 7) & mask, ((hashed * 0x9E3779B1 + 2) >> 7) & mask]
    assert sorted(buckets("Rash", BITS)) == sorted(own + pairs)


def test_words_are_letters_digits_and_marks() -> None:
    assert words("Rash: 2x/day (IgE-mediated)") == ["rash", ":", "0", "x", "/", "day", "(", "ige", "-", "mediated", ")"]


@settings(deadline=None)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_a_score_depends_on_its_sentence_alone_in_any_order_and_company(
    sentences: list[str], chance: random.Random
) -> None:
    stage = random_stage()
    alone = {sentence: random_stage().score(sentence) for sentence in sentences}
    shuffled = chance.sample(sentences, len(sentences))
    assert {sentence: stage.score(sentence) for sentence in shuffled} == alone


def test_what_is_remembered_of_words_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.first_stage.MOST_WORDS", 5)
    stage, fresh = random_stage(), random_stage()
    for n in range(50):
        sentence = f"{chr(97 + n % 26)}word again and again"
        assert stage.score(sentence) == FirstStage(fresh.header, random.Random(1).randbytes(1 << BITS)).score(sentence)
        assert len(stage._known) <= 5


class Counting:
    """A classifier that records what it is asked."""

    model = "counting@0"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def classify(self, sentences: Sequence[str]) -> list[Reading]:
        self.asked += sentences
        return [Reading(0.9) for _ in sentences]

    def close(self) -> None: ...


def test_spared_sentences_get_the_stated_probability_and_the_others_the_classifiers_reading() -> None:
    scores = {sentence: random_stage().score(sentence) for sentence in SENTENCES}
    threshold = sorted(scores.values())[len(scores) // 2]
    inner = Counting()
    screened = Screened(inner, random_stage(threshold=threshold))
    assert isinstance(screened, Classifier)
    assert screened.model == inner.model
    expected = [Reading(0.0125) if scores[s] < threshold else Reading(0.9) for s in SENTENCES]
    assert screened.classify(SENTENCES) == expected
    assert inner.asked == [s for s in SENTENCES if scores[s] >= threshold]


def test_a_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    stage = random_stage(threshold=7)
    (tmp_path / "stage.bin").write_bytes(stage.encoded())
    again = FirstStage.load(tmp_path / "stage.bin")
    assert again.header == stage.header
    assert [again.score(s) for s in SENTENCES] == [stage.score(s) for s in SENTENCES]


HEADER = b'{"format":2,"bits":10,"threshold":0,"probability":0.1,"trained":{}}\n'
WHOLE = zlib.compress(bytes(1 << 10))
DAMAGED = (
    b"",
    b"not deflated",
    WHOLE[:-5],
    WHOLE + b"more",
    zlib.compress(bytes(1 << 9)),
    zlib.compress(bytes(1 << 11)),
)


def test_the_whole_file_beside_the_damaged_ones_is_read(tmp_path: Path) -> None:
    (tmp_path / "stage.bin").write_bytes(HEADER + WHOLE)
    assert FirstStage.load(tmp_path / "stage.bin").score("words") == 0


@pytest.mark.parametrize(
    "content",
    [b"", b"{}\n", b"\x00\xff\n", *(HEADER + weights for weights in DAMAGED)],
)
def test_a_file_that_is_none_is_the_wrong_model(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "stage.bin").write_bytes(content)
    with pytest.raises(WrongModel, match=r"stage\.bin"):
        FirstStage.load(tmp_path / "stage.bin")


def test_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "stage.bin").write_bytes(FirstStage(Header(9, BITS, 0, 0.1, {}), bytes(1 << BITS)).encoded())
    with pytest.raises(WrongModel, match="format 9"):
        FirstStage.load(tmp_path / "stage.bin")


# ---------------------------------------------------------------- the shipped one


@pytest.fixture(scope="module")
def shipped() -> FirstStage:
    stage = first_stage_of(load_artefact())
    if stage is None:
        pytest.skip("the shipped artefact has no first stage: vigilia train first-stage")
    return stage


@pytest.mark.usefixtures("shipped")
def test_the_shipped_file_is_small_and_its_hash_is_in_the_manifest() -> None:
    artefact = load_artefact()
    name = str(artefact.manifest.first_stage)
    content = (artefact.folder / name).read_bytes()
    assert len(content) < 200_000
    assert artefact.manifest.files[name] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    "sentence",
    [
        "Acute hepatitis developed two weeks after she started ketoconazole.",
        "Rash after starting amoxicillin, stopped.",
        "Neutropenia was caused by clozapine and resolved when it was stopped.",
        "Pt developed fever 103 and seizure after DTP.",
        "This drug made me so dizzy that I could not work.",
    ],
)
def test_sentences_with_an_adverse_event_get_through(shipped: FirstStage, sentence: str) -> None:
    assert shipped.reading(sentence) is None


ORDINARY = (
    "She lives with her husband and two children.",
    "Follow up in two weeks.",
    "The lungs are clear to auscultation bilaterally.",
    "Blood pressure is 128/76, pulse 72.",
    "He works as a teacher and exercises three times a week.",
    "The abdomen is soft and not tender.",
    "We will see her again in three months.",
    "Her mother is 78 and in good health.",
    "He was born in Ohio and moved here in 2004.",
    "Gait and station are normal.",
    "Heart regular, no murmur.",
    "She drinks two cups of coffee a day.",
    "Height 172 cm, weight 80 kg.",
    "The right knee has a full range of motion.",
    "He asked about the result of his last blood test.",
    "An appointment with the cardiologist was made.",
    "Skin warm and dry.",
    "She quit smoking ten years ago.",
    "His brother had a heart attack at the age of 60.",
    "We talked about diet and walking every day.",
    "Pupils are equal and react to light.",
    "An X-ray of the chest was ordered.",
    "Insurance papers were signed and handed over.",
    "He sleeps seven hours a night.",
)


def test_ordinary_sentences_of_a_note_are_often_spared(shipped: FirstStage) -> None:
    """So many of the sentences of real notes are: docs/results/inference.md."""
    spared = [reading for sentence in ORDINARY if (reading := shipped.reading(sentence)) is not None]
    assert len(spared) >= len(ORDINARY) / 6
    for reading in spared:
        assert reading._replace(conformity=None) == Reading(shipped.header.probability)
        assert reading.conformity is not None
        assert reading.conformity.verdict(0.05) == NOT
        assert 0 < reading.probability < load_artefact().manifest.threshold / 5


# ---------------------------------------------------------------- in an artefact


def staged(tmp_path: Path, *, hashed: bool = True) -> Path:
    """A copy of the shipped artefact with a random first stage; `hashed`: as the manifest has to say it."""
    folder, shipped = tmp_path / "artefact", load_artefact()
    for name in (MANIFEST, *shipped.manifest.files):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((shipped_folder() / name).read_bytes())
    (folder / FILE).write_bytes(random_stage().encoded())
    files = {name: stated for name, stated in shipped.manifest.files.items() if name != FILE}
    if hashed:
        files[FILE] = hashlib.sha256(random_stage().encoded()).hexdigest()
    manifest = msgspec.structs.replace(shipped.manifest, files=files, first_stage=FILE)
    (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    return folder


def test_an_artefact_brings_its_first_stage_and_is_named_by_it_too(tmp_path: Path) -> None:
    artefact = load_artefact(staged(tmp_path))
    stage = first_stage_of(artefact)
    assert stage is not None
    assert stage.encoded() == random_stage().encoded()
    assert artefact.model != load_artefact().model


def test_an_artefact_may_lack_one(tmp_path: Path) -> None:
    folder = staged(tmp_path)
    manifest = load_artefact(folder).manifest
    (folder / MANIFEST).write_bytes(msgspec.json.encode(msgspec.structs.replace(manifest, first_stage=None)))
    assert first_stage_of(load_artefact(folder)) is None


def test_an_altered_file_is_refused_with_the_artefact(tmp_path: Path) -> None:
    folder = staged(tmp_path)
    content = bytearray((folder / FILE).read_bytes())
    content[-1] ^= 1
    (folder / FILE).write_bytes(content)
    with pytest.raises(WrongModel, match=r"first_stage\.bin"):
        load_artefact(folder)


def test_a_first_stage_without_a_hash_in_the_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongModel, match=r"no hash for first_stage\.bin"):
        load_artefact(staged(tmp_path, hashed=False))
