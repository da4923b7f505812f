"""A whole fit on a tiny data folder: what it leaves, what it refuses, and the command line over it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streams.cli import main
from tests.training.tiny import base_folder, corpus, data_folder
from training.data import fold_of, load_ade

torch = pytest.importorskip("torch", reason="no torch: training needs the extra `train`")
pytest.importorskip("transformers", reason="no transformers: training needs the extra `train`")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `data` and `base`."""
    folder = tmp_path_factory.mktemp("place")
    data_folder(folder / "data")
    base_folder(folder / "base")
    return folder


def options(place: Path, out: Path, *more: str) -> list[str]:
    fixed = ["--data", str(place / "data"), "--base", str(place / "base"), "--out", str(out), "--precision", "fp32"]
    return ["train", "fit", *fixed, "--vocabulary", "100", "--augmented", "0", "--epochs", "2", *more]


@pytest.fixture(scope="module")
def run(place: Path) -> Path:
    """A finished run, through the command line."""
    assert main(options(place, place / "run")) == 0
    return place / "run"


def test_a_run_says_what_it_was_made_of(run: Path, place: Path) -> None:
    from training.bases import sha256_of

    record = json.loads((run / "recipe.json").read_text())
    assert record["vocabulary"] == 100
    assert [stage["epochs"] for stage in record["stages"]] == [2, 2]
    assert record["data"]["ade_corpus_v2/DRUG-AE.rel"] == sha256_of(place / "data" / "ade_corpus_v2" / "DRUG-AE.rel")
    assert record["base_sha256"] == sha256_of(place / "base" / "model.safetensors")
    documents = {s.document for s in load_ade(place / "data" / "ade_corpus_v2")}
    assert record["sentences"]["development"] == sum(fold_of(document) == 0 for document in documents)
    assert record["sentences"]["training"] == sum(fold_of(document) != 0 for document in documents)


def test_a_run_leaves_a_log_for_programs_and_one_for_tensorboard_and_no_checkpoint(run: Path) -> None:
    events = [json.loads(line) for line in (run / "fit.jsonl").read_text().splitlines()]
    assert [e["event"] for e in events if e["event"] != "step"] == ["data", "vocabulary", "stage", "stage", "saved"]
    assert all(e["loss"] > 0 for e in events if e["event"] == "step")
    assert list((run / "tensorboard").glob("events.*"))
    assert not (run / "checkpoint.pt").exists()
    assert "aspirin" not in (run / "fit.jsonl").read_text()


def test_the_run_reads_back_with_the_vocabulary_it_was_trained_with(run: Path) -> None:
    from training.batches import read_tokenizer
    from training.model import load

    network = load(run)
    tokenizer = read_tokenizer(run / "tokenizer.json", 96)
    assert tokenizer.get_vocab_size() == 100 == network.encoder.config.vocab_size
    ids = torch.tensor([tokenizer.encode(corpus(2)[1].text).ids])
    assert network.eval()(ids, torch.ones_like(ids))[3].shape == (1, ids.shape[1], ids.shape[1])


def test_a_cut_model_reads_kept_words_as_the_whole_one_did(place: Path) -> None:
    from tokenizers import Tokenizer

    from training.model import cut_tables, from_base
    from training.vocabulary import choose_for, cut_tokenizer

    source = (place / "base" / "tokenizer.json").read_text()
    torch.manual_seed(0)
    network = from_base(place / "base").eval()
    whole = Tokenizer.from_str(source)
    texts = [s.text for s in corpus(12)]
    kept = choose_for(whole, texts * 2, [], 90)
    before = [network(torch.tensor([ids]), torch.ones(1, len(ids))) for ids in (whole.encode(t).ids for t in texts)]
    small = Tokenizer.from_str(cut_tokenizer(source, kept))
    cut_tables(network, kept, 48)
    for text, expected in zip(texts, before, strict=True):
        ids = small.encode(text).ids
        for got, want in zip(network(torch.tensor([ids]), torch.ones(1, len(ids))), expected, strict=True):
            assert torch.equal(got, want)


def test_a_fit_that_was_interrupted_goes_on_to_the_same_weights(
    place: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.numpy import load_file

    from training.fit import loop

    real, calls = loop.Trainer._step, iter(range(1000))

    def step(self: Any, batches: Any) -> float:
        if next(calls) == 9:
            raise KeyboardInterrupt
        return real(self, batches)

    monkeypatch.setattr(loop.Trainer, "_step", step)
    assert main(options(place, tmp_path / "run", "--checkpoint-every", "4")) == 130
    monkeypatch.setattr(loop.Trainer, "_step", real)
    assert main(options(place, tmp_path / "run", "--checkpoint-every", "4", "--resume")) == 0
    expected = load_file(run / "model.safetensors")
    for name, tensor in load_file(tmp_path / "run" / "model.safetensors").items():
        assert np.array_equal(tensor, expected[name]), name


def test_teachers_label_what_the_student_reads_and_are_named_in_its_record(
    place: Path, run: Path, tmp_path: Path
) -> None:
    assert main(options(place, tmp_path / "student", "--teacher", str(run), "--epochs", "1")) == 0
    record = json.loads((tmp_path / "student" / "recipe.json").read_text())
    assert list(record["teachers"]) == [str(run)]
    assert list((tmp_path / "student").glob("soft-*.npz"))


def test_a_fit_from_an_earlier_run_begins_with_its_weights_and_vocabulary(
    place: Path, run: Path, tmp_path: Path
) -> None:
    from training.bases import sha256_of
    from training.model import load

    slow = tmp_path / "slow.json"  # one step so small that nothing moves far from where it began
    record = json.loads((run / "recipe.json").read_text())
    stage = {**record["stages"][0], "rate": 1e-9, "head_rate": 1e-9, "epochs": 1}
    slow.write_text(json.dumps({**record, "stages": [stage]}))
    fixed = ["--data", str(place / "data"), "--out", str(tmp_path / "next"), "--base", "/nowhere"]
    assert main(["train", "fit", *fixed, "--recipe", str(slow), "--start", str(run)]) == 0
    found = json.loads((tmp_path / "next" / "recipe.json").read_text())
    assert found["start"] == str(run)
    assert found["base_sha256"] == sha256_of(run / "model.safetensors")
    assert (tmp_path / "next" / "tokenizer.json").read_bytes() == (run / "tokenizer.json").read_bytes()
    before, after = load(run).state_dict(), load(tmp_path / "next").state_dict()
    for name, tensor in before.items():
        assert torch.allclose(tensor, after[name], atol=1e-5), name


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--epochs", "0"], "epochs = 0, must be 1 or more"),
        (["--patience", "2"], "patience needs held above 0"),
        (["--unlabelled", "10"], "no teacher to label them"),
        (["--varied", "0.5"], "no teacher to label them"),
        (["--lora-rank", "4", "--freeze-layers", "1"], "choose one"),
        (["--vocabulary", "5000"], "the base has"),
        (["--freeze-layers", "9"], "the encoder has 2 layers"),
        (["--start", "/nowhere"], "'/nowhere' does not exist"),
        (["--base", "/nowhere"], "nor a folder with a config.json"),
        (["--resume"], "no checkpoint.pt to resume from"),
    ],
)
def test_what_cannot_work_is_told_in_one_line_with_status_2(
    more: list[str], said: str, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(options(place, tmp_path / "run", *more)) == 2
    assert said in capsys.readouterr().err


def test_missing_corpora_are_named(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "fit", "--data", str(tmp_path), "--out", str(tmp_path / "run")]) == 2
    assert "ade_corpus_v2/DRUG-AE.rel" in capsys.readouterr().err


def test_a_team_without_any_public_corpus_trains_and_measures_on_its_own_notes(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnx", reason="no onnx: export needs the extra `train`")
    from training.data import dump_jsonlines

    own, nothing, run, artefact = (tmp_path / name for name in ("notes.jsonl", "data", "run", "artefact"))
    nothing.mkdir()
    dump_jsonlines({s.text: s for s in corpus(400)}.values(), own)
    fitted = ["--base", str(place / "base"), "--data", str(nothing), "--own", str(own), "--out", str(run)]
    assert main(["train", "fit", *fitted, "--vocabulary", "100", "--augmented", "0.1", "--precision", "fp32"]) == 0
    record = json.loads((run / "recipe.json").read_text())
    assert record["own"] == [str(own)]
    assert record["sentences"]["psytar"] == 0
    assert main(["train", "export", "--run", str(run), "--data", str(nothing), "--shipped", str(artefact)]) == 0
    measured = ["--artefact", str(artefact), "--data", str(nothing), "--own", str(own), "--parts", ""]
    assert main(["train", "evaluate", *measured, "--out", str(tmp_path / "figures.json")]) == 0
    assert "sentence F1" in capsys.readouterr().out
    figures = json.loads((tmp_path / "figures.json").read_text())["parts"]["own"]["figures"]
    held = [s for s in json.loads(f"[{','.join(own.read_text().splitlines())}]") if fold_of(s["document"]) == 0]
    assert figures["counts"]["sentences"] == len(held)


def test_without_torch_the_group_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "torch" else real(name, *a))
    assert main(["train", "fit"]) == 2
    assert "pip install 'vigilia[train]'" in capsys.readouterr().err


def test_every_command_of_the_group_is_listed_in_its_own_words_and_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    import click

    from training.commands import COMMANDS, command

    for name, entry in COMMANDS.items():
        found = command.get_command(click.Context(command), name)
        assert found is not None
        assert found.get_short_help_str(limit=200) == entry.help
        assert main(["train", name, "--help"]) == 0
        assert f"vigilia train {name}" in capsys.readouterr().out
