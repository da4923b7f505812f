"""Export: the graph is the model, in every precision, for both kinds of encoder; what is not is not exported."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from inference.artefact import load_artefact
from inference.graph import OUTPUTS
from inference.onnx import OnnxClassifier
from streams.errors import ConfigurationError, WrongModel
from tests.training import tiny
from training.data import Sentence

torch = pytest.importorskip("torch", reason="no torch: training needs the extra `train`")
transformers = pytest.importorskip("transformers", reason="no transformers: training needs the extra `train`")
onnx = pytest.importorskip("onnx", reason="no onnx: training needs the extra `train`")

WORDS = ["aspirin", "rash", "gave", "him", "a", "he", "took", "severe", "after", "the", "daily", "."]
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
LONGEST = 96


def tokenizer_json(special: list[str]) -> str:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    begin, end = special[0], special[2]
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = list(dict.fromkeys([*special, *WORDS, *letters, *(f"##{c}" for c in letters)]))  # "a" is a word, too
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token=special[3]))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [(begin, pieces.index(begin)), (end, pieces.index(end))]
    tokenizer.post_processor = processors.TemplateProcessing(f"{begin} $A {end}", special_tokens=ends)
    tokenizer.add_special_tokens(special)
    tokenizer.enable_truncation(LONGEST)
    return str(tokenizer.to_str())


def random_run(kind: str, folder: Path) -> Path:
    """A run's folder of a model that nobody trained: large random weights, so that every part of the graph counts."""
    from training.model import AdverseEventModel, save

    torch.manual_seed(4)
    mpnet = kind == "mpnet"
    text = tokenizer_json(["<s>", "<pad>", "</s>", "[UNK]"] if mpnet else ["[CLS]", "[PAD]", "[SEP]", "[UNK]"])
    config: Any = (transformers.MPNetConfig if mpnet else transformers.BertConfig)(
        vocab_size=len(json.loads(text)["model"]["vocab"]), max_position_embeddings=LONGEST + 2, pad_token_id=1,
        initializer_range=0.2, **SIZES,
    )  # fmt: skip
    encoder = (transformers.MPNetModel if mpnet else transformers.BertModel)(config, add_pooling_layer=False)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            parameter += torch.randn_like(parameter) * (1.0 if "relative" in name else 0.1)
    model = AdverseEventModel(encoder, SIZES["hidden_size"])
    torch.nn.init.normal_(model.pair_bias)
    save(model, folder)
    (folder / "tokenizer.json").write_text(text)
    recipe = {"base": kind, "max_length": LONGEST, "fold": 0, "seed": 3}
    (folder / "recipe.json").write_text(json.dumps(recipe))
    return folder


@pytest.fixture(scope="module", params=["bert", "mpnet"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_run(request.param, tmp_path_factory.mktemp(request.param))


def texts(count: int) -> list[str]:
    rng = random.Random(2)
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, 120))) for _ in range(count)]


def corpus() -> list[Sentence]:
    """Sentences with labels by halves, and a drug with an effect in the positive ones."""
    pair = {"drugs": ((0, 7),), "effects": ((16, 20),), "pairs": frozenset({(0, 0)})}
    positive = [Sentence(f"aspirin gave a rash{'.' * i}", f"p{i}", "test", True, **pair) for i in range(6)]  # type: ignore[arg-type]
    return positive + [Sentence(f"he took {text}", f"n{i}", "test", False) for i, text in enumerate(texts(6))]


@pytest.mark.parametrize(("precision", "allowed"), [("fp32", 2e-4), ("fp16", 0.1), ("int8", 3.0)])
def test_the_graph_gives_what_torch_gives_in_a_padded_batch(
    run: Path, tmp_path: Path, precision: str, allowed: float
) -> None:
    import onnxruntime as ort

    from training.export import read_run, write_artefact
    from training.model import load

    ids = np.random.default_rng(1).integers(3, 50, (5, LONGEST))
    ids[:, 0] = 0
    mask = (np.arange(LONGEST) < np.array([[96], [50], [3], [33], [96]])).astype(np.int64)
    with torch.no_grad():
        expected = [o.numpy() for o in load(run).eval()(torch.tensor(ids), torch.tensor(mask))]
    artefact = write_artefact(tmp_path, read_run(run), precision)
    session = ort.InferenceSession(artefact.onnx, providers=["CPUExecutionProvider"])
    found = session.run(OUTPUTS, {"input_ids": ids, "attention_mask": mask})
    real = mask.astype(bool)
    for got, want, where in zip(
        found, expected, [np.ones((5, 1), bool), real, real, real[:, :, None] & real[:, None, :]], strict=True
    ):
        assert np.abs(want[where]).max() > 0.1
        assert np.abs(got - want)[where].max() < allowed


def test_half_precision_halves_the_file_and_keeps_float32_at_the_edges(run: Path, tmp_path: Path) -> None:
    from training.export import read_run, write_artefact

    whole = write_artefact(tmp_path / "fp32", read_run(run), "fp32").onnx
    half = write_artefact(tmp_path / "fp16", read_run(run), "fp16").onnx
    tables = [t for t in onnx.load(half).graph.initializer if t.name.endswith(("inner.weight", "words.table"))]
    assert {t.data_type for t in tables} == {onnx.TensorProto.FLOAT16}
    assert half.stat().st_size < 0.85 * whole.stat().st_size  # at this size the nodes' names weigh as well
    assert {o.type.tensor_type.elem_type for o in onnx.load(half).graph.output} == {onnx.TensorProto.FLOAT}


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_sentences_scores_have_the_same_bits_in_any_batch_pairs_too(
    run: Path, tmp_path: Path, precision: str
) -> None:
    from training.export import read_run, write_artefact

    artefact = write_artefact(tmp_path, read_run(run), precision)
    sentences = texts(40)
    classifier = OnnxClassifier(artefact)
    together = classifier.raw(sentences)
    assert sum(len({logit for *_, logit in raw.pairs}) > 1 for raw in together) > 10
    assert [classifier.raw([sentence])[0] for sentence in sentences] == together
    assert classifier.raw(sentences[::-1]) == together[::-1]
    classifier.close()


def test_parity_is_measured_and_left_beside_the_artefact(run: Path) -> None:
    from training.export import HeldOut, export_run, read_run
    from training.export.run import read_parity

    made = export_run(read_run(run), HeldOut(corpus(), []), ("fp32", "fp16"), threads=1)
    exact, half = read_parity(run, "fp32"), read_parity(run, "fp16")
    assert exact is not None
    assert half is not None
    assert set(exact.outputs) == set(OUTPUTS)
    assert all(exact.outputs[name].largest < half.outputs[name].largest < 0.1 for name in OUTPUTS)
    assert made["fp16"].manifest.trained["precision"] == "fp16"
    assert made["fp32"].manifest.sentence != made["fp16"].manifest.sentence
    assert read_parity(run, "int8") is None


def test_a_graph_of_other_weights_is_not_exported(run: Path) -> None:
    from training.export import ParityError, read_run, write_artefact
    from training.export.parity import check, measure

    trained = read_run(run)
    weights = dict(trained.weights)
    weights["layer1.inner.bias"] = weights["layer1.inner.bias"] + 0.05
    artefact = write_artefact(run / "wrong", replace(trained, weights=weights), "fp32")
    parity = measure(trained, artefact, texts(4))
    with pytest.raises(ParityError, match="the fp32 graph is not the model that was trained: sentence: logits differ"):
        check(parity, "fp32")


def test_a_difference_that_is_no_number_fails() -> None:
    from training.export.parity import Difference, Parity, ParityError, check

    outputs = {name: Difference(0.0, 0.0) for name in OUTPUTS}
    check(Parity(1, 1.0, outputs), "fp32")
    with pytest.raises(ParityError, match="pair: logits differ by up to nan"):
        check(Parity(1, 1.0, outputs | {"pair": Difference(float("nan"), 0.0)}), "fp32")


def test_an_encoder_that_no_graph_is_known_of_is_refused_by_name(run: Path, tmp_path: Path) -> None:
    from training.export import ExportError, read_run

    for name in ("model.safetensors", "tokenizer.json", "recipe.json"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    config = json.loads((run / "config.json").read_text())
    for change in ({"model_type": "roberta"}, {"hidden_act": "relu"}):
        (tmp_path / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(ExportError, match=r"config\.json: .*known are bert, mpnet with gelu"):
            read_run(tmp_path)


def test_distances_fall_into_the_buckets_that_transformers_gives_them() -> None:
    from transformers.models.mpnet.modeling_mpnet import MPNetEncoder

    from training.export.weights import distance_buckets

    places = torch.arange(512)
    expected = MPNetEncoder.relative_position_bucket(places[None, :] - places[:, None], num_buckets=32)
    assert np.array_equal(distance_buckets(512, 32), expected.numpy())


def test_what_is_shipped_replaces_what_was_there_and_is_verified(run: Path, tmp_path: Path) -> None:
    from training.export import read_run, ship, write_artefact

    artefact = write_artefact(tmp_path / "made", read_run(run), "int8")
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    (shipped / "stale").touch()
    assert ship(artefact, shipped).model == artefact.model
    assert not (shipped / "stale").exists()
    (artefact.onnx).write_bytes(b"another")
    with pytest.raises(WrongModel, match="SHA-256"):
        ship(artefact, shipped)


def test_a_new_artefact_keeps_the_first_stage_that_was_there(run: Path, tmp_path: Path) -> None:
    from training.export import read_run, ship, with_first_stage, write_artefact

    shipped = tmp_path / "shipped"
    old = with_first_stage(write_artefact(shipped, read_run(run), "int8"), "first.bin", b"one")
    assert load_artefact(shipped).model == old.model
    made = write_artefact(tmp_path / "made", read_run(run), "fp32")
    new = ship(made, shipped)
    assert (new.manifest.first_stage, (shipped / "first.bin").read_bytes()) == ("first.bin", b"one")
    assert "first.bin" in new.manifest.files
    assert new.model not in (old.model, made.model)
    ship(with_first_stage(made, "first.bin", b"two"), shipped)
    assert (shipped / "first.bin").read_bytes() == b"two"


def test_calibration_leaves_the_rest_of_the_manifest_as_it_is(run: Path, tmp_path: Path) -> None:
    from training.export import calibrated, read_run, write_artefact

    before = write_artefact(tmp_path, read_run(run), "int8").manifest
    after = calibrated(load_artefact(tmp_path), corpus(), threads=1).manifest
    fitted = {"sentence", "pair", "threshold", "pair_threshold", "conformal"}
    old, new = msgspec.structs.asdict(before), msgspec.structs.asdict(after)
    assert {key for key in old if old[key] != new[key]} <= fitted
    assert before.sentence != after.sentence


def exported(run: Path, data: Path, shipped: Path, *options: str) -> str:
    from training.export.command import command

    given = ["--run", str(run), "--data", str(data), "--shipped", str(shipped), "--threads", "1", *options]
    result = CliRunner().invoke(command, given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_ships_int8_and_leaves_every_precision_in_the_run(run: Path, tmp_path: Path) -> None:
    data, shipped = tiny.data_folder(tmp_path / "data", 400), tmp_path / "shipped"
    said = exported(run, data, shipped)
    made = load_artefact(shipped)
    assert made.model in said.splitlines()[-1]
    assert made.model == load_artefact(run / "int8" / "adverse_event").model
    assert made.manifest.conformal is not None
    assert load_artefact(run / "fp32" / "adverse_event").manifest.trained["precision"] == "fp32"
    exported(run, data, tmp_path / "none", "--precision", "fp16", "--no-ship")
    assert load_artefact(run / "fp16" / "adverse_event")
    assert not (tmp_path / "none").exists()


def test_an_export_that_fails_leaves_what_is_shipped_alone(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.export import parity

    data, shipped = tiny.data_folder(tmp_path / "data", 400), tmp_path / "shipped"
    (shipped / "1").mkdir(parents=True)
    monkeypatch.setitem(parity.TOLERANCES, "int8", parity.Tolerance(0.0, 0.0, 1.0))
    with pytest.raises(ConfigurationError, match="the int8 graph is not the model that was trained"):
        exported(run, data, shipped)
    with pytest.raises(ConfigurationError, match="add --precision int8, or --no-ship"):
        exported(run, data, shipped, "--precision", "fp16")
    assert [path.name for path in shipped.iterdir()] == ["1"]
