"""Distillation: opinions carry over between tokenizers, are asked for once, and pull the student to the teacher."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.decoding import words_of
from tests.training.tiny import SPECIAL, WORDS, corpus, encoded, model, tokenizer_json, trainer
from training.data import Sentence

torch = pytest.importorskip("torch", reason="no torch: training needs the extra `train`")
pytest.importorskip("transformers", reason="no transformers: training needs the extra `train`")


def teacher_folder(folder: Path, negatives: float = 1.0, tokenizer: str | None = None, network: Any = None) -> Path:
    from training.model import save

    source = tokenizer or tokenizer_json()
    save(network or model(seed=3, pieces=len(json.loads(source)["model"]["vocab"])), folder)
    (folder / "tokenizer.json").write_text(source)
    record = {"stages": [{"negatives": negatives, "psytar": True}], "fold": 0, "max_length": 96}
    (folder / "recipe.json").write_text(json.dumps(record))
    return folder


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher that learnt the corpus."""
    training = trainer(model(), seed=1)
    training.run_stage(encoded(corpus(160)), training.recipe.stages[0])
    return teacher_folder(tmp_path_factory.mktemp("teacher"), network=training.finish())


def unlabelled(size: int) -> list[Sentence]:
    return [Sentence(s.text, s.document, "unlabelled:test", False) for s in corpus(size, seed=4)]


def test_a_student_that_sees_no_label_comes_to_agree_with_its_teacher(taught: Path) -> None:
    from training.fit.distil import teach

    texts = unlabelled(160)
    soft = teach([taught], texts)
    student = trainer(model(seed=8), seed=2)
    items = encoded(texts, soft)
    student.run_stage(items, student.recipe.stages[0])
    fresh = unlabelled(40)
    expected = teach([taught], fresh)
    from training.batches import collate

    batch = collate(encoded(fresh, expected))
    with torch.no_grad():
        sentence, drug, _, _ = student.finish()(batch.input_ids, batch.attention_mask)
    theirs = torch.tensor([expected[s.text].positive for s in fresh])
    ours = sentence.sigmoid().squeeze(-1)
    assert float((ours - theirs).abs().max()) < 0.2
    believed = batch.drug_weight > 0
    assert bool(believed.any())
    assert float((drug.softmax(-1) - batch.drug)[believed].abs().mean()) < 0.1


def test_opinions_of_two_teachers_are_the_mean_of_their_logits(tmp_path: Path) -> None:
    from training.fit.distil import opinions, read_teacher, teach

    folders = [teacher_folder(tmp_path / name, network=model(seed=seed)) for name, seed in (("a", 1), ("b", 2))]
    sentence = corpus(2)[1]
    views = [next(opinions(read_teacher(folder), [sentence.text]))[1] for folder in folders]
    soft = teach(folders, [sentence])[sentence.text]
    assert soft.positive == pytest.approx(1 / (1 + math.exp(-(views[0][0] + views[1][0]) / 2)))
    for place, distribution in soft.effect.items():
        exponentials = np.exp((views[0][2][place] + views[1][2][place]) / 2)
        assert distribution == pytest.approx(exponentials / exponentials.sum(), abs=1e-5)


def test_a_teacher_of_half_the_negatives_is_corrected_for_its_odds(tmp_path: Path) -> None:
    from training.fit.distil import teach

    folder = teacher_folder(tmp_path / "half", negatives=0.5)
    sentence = corpus(1)[0]
    corrected, raw = (teach([folder], [sentence], correct_prior=on)[sentence.text].positive for on in (True, False))
    assert corrected / (1 - corrected) == pytest.approx(0.5 * raw / (1 - raw))


def test_words_carry_opinions_from_one_tokenizer_to_another(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    from training.fit.distil import teach

    spelled = [*SPECIAL, *(w for w in WORDS if w != "aspirin"), *"abcdefghijklmnopqrstuvwxyz", "as", "##pirin", "##s"]
    folder = teacher_folder(tmp_path / "other", tokenizer=tokenizer_json(spelled))
    sentence = next(s for s in corpus(40) if "aspirin" in s.text and s.positive)
    encoding = Tokenizer.from_str(tokenizer_json()).encode(sentence.text)
    words = words_of(encoding.word_ids, encoding.offsets)
    assert list(teach([folder], [sentence])[sentence.text].drug) == words.ranges


def test_opinions_are_asked_for_once(taught: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from training.fit import distil

    first = distil.teach([taught], unlabelled(12), tmp_path)
    (cache,) = tmp_path.glob("soft-*.npz")
    assert not any(word in cache.read_bytes() for word in (b"aspirin", b"gave him"))  # hashes of texts, never texts
    asked: list[str] = []
    real = distil.opinions
    monkeypatch.setattr(distil, "opinions", lambda t, texts, p: asked.extend(texts) or real(t, texts, p))
    again = distil.teach([taught], unlabelled(16), tmp_path)
    known = {s.text for s in unlabelled(12)}
    assert sorted(asked) == sorted({s.text for s in unlabelled(16)} - known)
    for text in known:
        assert again[text].positive == first[text].positive
        for place, row in first[text].drug.items():
            assert again[text].drug[place] == pytest.approx(row, abs=1e-3)


def test_a_teacher_of_another_fold_or_no_teacher_at_all_is_refused(taught: Path, tmp_path: Path) -> None:
    from training.fit import RecipeError
    from training.fit.distil import read_teacher, same_fold

    with pytest.raises(RecipeError, match="held out fold 0, so it was trained on fold 3"):
        same_fold(taught, 3)
    with pytest.raises(RecipeError, match=r"no model\.safetensors, tokenizer\.json, recipe\.json"):
        read_teacher(tmp_path)


def test_no_unlabelled_sentence_is_of_the_development_fold(shared_data: Path) -> None:
    import random

    from training.data import fold_of, load_ade, normal_form, split_ade
    from training.fit.unlabelled import SOURCES, unlabelled

    development = {normal_form(s.text) for s in split_ade(load_ade(shared_data / "ade_corpus_v2")).development}
    found = unlabelled(shared_data, 400, 0, set(development), random.Random(1))
    assert len(found) == 400
    assert {s.corpus.partition(":")[2] for s in found} == set(SOURCES)
    assert not [s for s in found if s.document.isdigit() and fold_of(s.document) == 0]
    assert not development & {normal_form(s.text) for s in found}


def test_variants_hold_words_of_the_corpus_alone_and_have_no_label_of_their_own() -> None:
    import random

    from training.batches import is_unlabelled
    from training.data import normal_form
    from training.fit.varied import varied

    sentences = corpus(200, seed=5)
    taken = {normal_form(s.text) for s in sentences}
    made = varied(sentences, 0.5, taken, random.Random(3))
    assert 50 < len(made) <= 100  # the tiny corpus repeats itself: what comes twice is left out
    assert all(is_unlabelled(s) for s in made)
    assert {word for s in made for word in s.text.split()} <= {word for s in sentences for word in s.text.split()}
    assert not taken & {normal_form(s.text) for s in made}
    assert made == varied(sentences, 0.5, taken, random.Random(3))
    positive = {s.document for s in sentences if s.positive}
    assert 0.3 < sum(s.document in positive for s in made) / len(made) < 0.7
