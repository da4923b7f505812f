"""A tiny model is trained for real, exported and read back: the whole path in seconds."""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.data import Sentence

torch = pytest.importorskip("torch", reason="no torch: training needs the extra `train`")
pytest.importorskip("transformers", reason="no transformers: training needs the extra `train`")
pytest.importorskip("onnx", reason="no onnx: training needs the extra `train`")

DRUGS = ["aspirin", "lithium", "warfarin", "naproxen"]
EFFECTS = ["rash", "tremor", "liver failure", "fever"]
WORDS = [*DRUGS, "rash", "tremor", "liver", "failure", "fever", "after", "gave", "him", "a", "he", "took", "daily", "."]


def corpus(size: int) -> list[Sentence]:
    rng = random.Random(1)
    sentences = []
    for i in range(size):
        drug, effect = rng.choice(DRUGS), rng.choice(EFFECTS)
        if i % 2:
            text = f"{drug} gave him a {effect}."
            at = text.index(effect)
            spans = ((0, len(drug)),), ((at, at + len(effect)),)
            sentences.append(Sentence(text, str(i), "test", True, *spans, frozenset({(0, 0)})))
        else:
            sentences.append(Sentence(f"he took {drug} daily.", str(i), "test", False))
    return sentences


@pytest.fixture(scope="module")
def tokenizer_json() -> str:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *"abcdefghijklmnopqrstuvwxyz", "##s"]
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    return str(tokenizer.to_str())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tokenizer_json: str) -> tuple[Path, list[float], Any]:
    """A run's folder as `training.fit` leaves it, the losses, and the torch model."""
    from training.batches import encode, read_tokenizer
    from training.fit import Log, Recipe, Stage, Trainer
    from training.model import from_config, save

    folder = tmp_path_factory.mktemp("run")
    (folder / "tokenizer.json").write_text(tokenizer_json)
    torch.manual_seed(0)
    model = from_config(
        vocab_size=len(json.loads(tokenizer_json)["model"]["vocab"]), hidden_size=32, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=64, max_position_embeddings=96,
    )  # fmt: skip
    recipe = Recipe(stages=(Stage("all", 1.0, False, 6, 3e-3, 1e-2),), batch=8)
    items = encode(corpus(160), read_tokenizer(folder / "tokenizer.json", recipe.max_length))
    trainer = Trainer(model, recipe, Log(None, quiet=True))
    losses = trainer.run_stage(items, recipe.stages[0])
    save(model, folder)
    (folder / "recipe.json").write_text(json.dumps(asdict(recipe)))
    return folder, losses, model.eval()


def test_the_loss_falls(run: tuple[Path, list[float], Any]) -> None:
    _, losses, _ = run
    assert sum(losses[-10:]) < 0.2 * sum(losses[:10])


def test_saved_weights_are_the_trained_ones(run: tuple[Path, list[float], Any]) -> None:
    from training.model import load

    folder, _, model = run
    ids = torch.tensor([[2, 5, 14, 15, 16, 9, 3]])
    with torch.no_grad():
        for a, b in zip(load(folder).eval()(ids, torch.ones_like(ids)), model(ids, torch.ones_like(ids)), strict=True):
            assert torch.equal(a, b)


def scores(folder: Path, ids: Any, mask: Any) -> list[Any]:
    import onnxruntime as ort

    session = ort.InferenceSession(folder / "1" / "model.onnx", providers=["CPUExecutionProvider"])
    return list(session.run(["sentence", "drug", "effect", "pair"], {"input_ids": ids, "attention_mask": mask}))


def test_the_graph_gives_what_torch_gives(run: tuple[Path, list[float], Any], tmp_path: Path) -> None:
    from training.export import read_run, write_artefact

    folder, _, model = run
    ids = np.array([[2, 5, 14, 15, 16, 9, 3, 0], [2, 18, 19, 6, 20, 21, 22, 3]])
    mask = (ids != 0).astype(np.int64)
    with torch.no_grad():
        expected = [output.numpy() for output in model(torch.tensor(ids), torch.tensor(mask))]
    real = mask.astype(bool)
    inside = [np.ones((2, 1), bool), real, real, real[:, :, None] & real[:, None, :]]
    for precision, allowed in (("fp32", 1e-4), ("fp16", 0.05), ("int8", 0.5)):
        write_artefact(tmp_path / precision, read_run(folder), precision)
        for got, want, where in zip(scores(tmp_path / precision, ids, mask), expected, inside, strict=True):
            assert np.abs(got - want)[where].max() < allowed


def test_a_trained_artefact_reads_what_it_was_taught(run: tuple[Path, list[float], Any], tmp_path: Path) -> None:
    from inference.onnx import OnnxClassifier
    from training.export import calibrated, read_run, write_artefact

    folder, _, _ = run
    artefact = calibrated(write_artefact(tmp_path, read_run(folder), "int8"), corpus(60))
    classifier = OnnxClassifier(artefact)
    good, bad = classifier.classify(["lithium gave him a liver failure.", "he took lithium daily."])
    assert good.probability > artefact.manifest.threshold > bad.probability
    assert [span.text for span in (*good.drugs, *good.effects)] == ["lithium", "liver failure"]
    classifier.close()


def test_a_cut_vocabulary_keeps_the_pieces_that_stay(tokenizer_json: str) -> None:
    from tokenizers import Tokenizer

    from training.vocabulary import choose, count_pieces, cut_tokenizer

    whole = Tokenizer.from_str(tokenizer_json)
    needed = count_pieces(whole, ["lithium gave him a rash."])
    kept = choose(whole.get_vocab(), needed, count_pieces(whole, ["tremor tremor fever"]), 5 + 27 + 5 + 1)
    small = Tokenizer.from_str(cut_tokenizer(tokenizer_json, kept))
    assert small.get_vocab_size() == len(kept)
    assert small.encode("lithium gave him a rash.").tokens == whole.encode("lithium gave him a rash.").tokens
    assert "[UNK]" not in small.encode("lithium tremor").tokens
    assert small.encode("warfarin").tokens == ["[CLS]", "[UNK]", "[SEP]"]
    assert small.encode("rash").ids == [kept.index(i) for i in whole.encode("rash").ids]
