"""A fit from beginning to end: base, vocabulary, teachers, stages, and the folder that is left behind.

The folder holds `model.safetensors`, `config.json`, `tokenizer.json` (cut if the recipe cuts it), `recipe.json` (the
recipe, the SHA-256 of every file it read and of its teachers, versions), `fit.jsonl` and `tensorboard/`, and while it
runs `checkpoint.pt`, and `soft-*.npz` with the teachers' opinions.
"""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from training.bases import base_folder, sha256_of
from training.batches import Encoded, encode, is_unlabelled, read_tokenizer
from training.data import Sentence
from training.fit.distil import knows_patients, read_teacher, same_fold, teach
from training.fit.log import Log
from training.fit.loop import CHECKPOINT, Trainer
from training.fit.material import Material, for_stage, gather
from training.fit.optimise import add_adapters, freeze, merge_adapters
from training.fit.recipe import Recipe, RecipeError, as_record
from training.model import AdverseEventModel, cut_tables, from_base, load, save
from training.provenance import commit
from training.vocabulary import choose_for, cut_tokenizer, narratives


@dataclass(frozen=True)
class Settings:
    """How a fit is run; of it, `teachers`, `own`, `start` and `limit` decide the weights."""

    teachers: tuple[Path, ...] = ()
    own: tuple[Path, ...] = ()  # a user's own labelled sentences, as JSON lines
    start: Path | None = None  # an earlier run whose weights and vocabulary this one starts from, in place of a base
    resume: bool = False
    checkpoint_every: int = 200  # steps; 0 = never
    limit: int | None = None  # so many sentences of each corpus: to try the machinery
    quiet: bool = False


def fit(data: Path, out: Path, recipe: Recipe, settings: Settings | None = None) -> Path:
    """Train by the recipe and write weights, tokenizer and recipe to `out`. Returns `out`.

    Raises RecipeError if recipe, data or teachers don't fit together, and BaseModelError if the base is missing.
    """
    settings = settings or Settings()
    _check(recipe, settings)
    material = gather(data, recipe, settings.limit, settings.own)
    base = settings.start or base_folder(recipe.base)
    record = _record(recipe, material, base, settings)
    out.mkdir(parents=True, exist_ok=True)
    log = Log(out, quiet=settings.quiet, append=settings.resume)
    try:
        log("data", **material.counts)
        started = settings.start is not None
        trainer, tokenizer = _prepared(base, out, recipe, material, record["identity"], log, started=started)
        if settings.resume:
            trainer.restore(out)
            log("resumed", stage=trainer.position.stage, step=trainer.position.step)
        _run(trainer, tokenizer, material, out, settings)
        _write(trainer.finish(), tokenizer, out, recipe, record)
        log("saved", folder=str(out))
    finally:
        log.close()
    return out


def _check(recipe: Recipe, settings: Settings) -> None:
    for name in ("unlabelled", "varied"):
        if getattr(recipe, name) and not settings.teachers:
            raise RecipeError(f"{name} = {getattr(recipe, name)}, but no teacher to label them: name one (--teacher)")
    if recipe.precision == "fp16" and not torch.cuda.is_available():
        raise RecipeError("precision fp16 needs a GPU (its gradients are scaled there); use bf16 or fp32")
    for folder in (*settings.teachers, *([settings.start] if settings.start else [])):
        read_teacher(folder)
        same_fold(folder, recipe.fold)


def _record(recipe: Recipe, material: Material, base: Path, settings: Settings) -> dict[str, Any]:
    """What `recipe.json` says beside the recipe: everything else that the weights depend on."""
    record: dict[str, Any] = {
        **as_record(recipe),
        "data": material.hashes,
        "own": [str(path) for path in settings.own],
        "sentences": dict(material.counts),
        "base_sha256": sha256_of(base / "model.safetensors") if (base / "model.safetensors").exists() else None,
        "teachers": {str(folder): read_teacher(folder).sha256 for folder in settings.teachers},
        "start": str(settings.start) if settings.start else None,
        "limit": settings.limit,
    }
    identity = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    versions = {"vigilia": commit(), "python": platform.python_version(), "torch": torch.__version__}
    return {**record, "versions": versions, "identity": identity}


def _prepared(
    base: Path, out: Path, recipe: Recipe, material: Material, identity: str, log: Log, *, started: bool
) -> tuple[Trainer, Tokenizer]:
    """The model to train, with its vocabulary cut, its layers frozen or its adapters laid on; and the tokenizer.

    `started`: `base` is an earlier run, whose vocabulary stays as it is.
    """
    torch.manual_seed(recipe.seed)
    model = load(base) if started else from_base(base)
    path = base / "tokenizer.json"
    if recipe.vocabulary and not started:
        path = out / "tokenizer.json"
        path.write_text(_cut(model, base / "tokenizer.json", recipe, material), encoding="utf-8")
        log("vocabulary", pieces=Tokenizer.from_file(str(path)).get_vocab_size())
    freeze(model, recipe.freeze_layers)
    if recipe.lora_rank:
        add_adapters(model, recipe.lora_rank)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    return Trainer(model, recipe, log, identity), read_tokenizer(path, recipe.max_length)


def _cut(model: AdverseEventModel, path: Path, recipe: Recipe, material: Material) -> str:
    """Cut a model's tables to the recipe's size by what the stages will read; returns the cut tokenizer.json."""
    whole = path.read_text(encoding="utf-8")
    tokenizer = Tokenizer.from_str(whole)
    size = recipe.vocabulary or 0
    if "[CLS]" not in tokenizer.get_vocab() or json.loads(whole)["model"]["type"] != "WordPiece":
        raise RecipeError(f"{path}: only BERT's WordPiece vocabularies can be cut; leave `vocabulary` out")
    if size >= tokenizer.get_vocab_size():
        raise RecipeError(f"vocabulary = {size}, but the base has {tokenizer.get_vocab_size()} pieces")
    read: list[Sentence] = []
    for index, stage in enumerate(recipe.stages):
        read += for_stage(material, stage, index, recipe)[0]
    texts = {s.text for s in (*material.corpus, *material.patients, *read) if not is_unlabelled(s)}
    kept = choose_for(tokenizer, sorted(texts), narratives(material.data / "vaers_1990_2006"), size)
    cut_tables(model, kept, recipe.max_length)
    return cut_tokenizer(whole, kept)


def _run(trainer: Trainer, tokenizer: Tokenizer, material: Material, out: Path, settings: Settings) -> None:
    """Every stage that is left."""
    recipe, log, every = trainer.recipe, trainer.log, settings.checkpoint_every
    soft = _soft(material, out, recipe, settings, log)
    held = encode(material.held, tokenizer) if recipe.patience else []

    def after_step() -> None:
        if every and trainer.position.step % every == 0:
            trainer.save(out)

    for index, stage in enumerate(recipe.stages):
        if index < trainer.position.stage:
            continue
        chosen, counts = for_stage(material, stage, index, recipe)
        log("stage", stage=stage.name, **counts)
        items: list[Encoded] = encode(chosen, tokenizer, soft, recipe.distil_weight, recipe.negative_spans)
        trainer.run_stage(items, stage, held, after_step)
        if every and index + 1 < len(recipe.stages):
            trainer.save(out)


def _soft(material: Material, out: Path, recipe: Recipe, settings: Settings, log: Log) -> dict[str, Any] | None:
    """Teachers' opinions on corpus and unlabelled sentences. Made sentences keep their labels: no teacher knows better.

    Patients' posts too, unless a teacher never learnt to read them.
    """
    if not settings.teachers:
        return None
    patients = material.patients if all(knows_patients(folder) for folder in settings.teachers) else []
    asked = [*material.corpus, *patients, *material.unlabelled]
    return teach(settings.teachers, asked, out, recipe.precision, recipe.correct_prior, log)


def _write(model: AdverseEventModel, tokenizer: Tokenizer, out: Path, recipe: Recipe, record: dict[str, Any]) -> None:
    """Leave the folder that `training.export` reads."""
    if recipe.lora_rank:
        merge_adapters(model)
    tokenizer.save(str(out / "tokenizer.json"))
    save(model.cpu(), out)
    (out / "recipe.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (out / CHECKPOINT).unlink(missing_ok=True)


def chosen_precision(asked: str) -> str:
    """`auto` resolved for this machine: bfloat16 where it is faster, on GPUs and on CPUs with AMX."""
    if asked != "auto":
        return asked
    cpuinfo = Path("/proc/cpuinfo")
    amx = cpuinfo.exists() and " amx_bf16" in cpuinfo.read_text(encoding="utf-8")
    return "bf16" if torch.cuda.is_available() or amx else "fp32"
