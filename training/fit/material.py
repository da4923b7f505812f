"""What a fit reads: labelled sentences of the training documents, made ones, and sentences for the teachers."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from training.augment import augmented, counts_of, names_of
from training.bases import sha256_of
from training.data import (
    FURTHER,
    Sentence,
    Split,
    load_corpora,
    load_jsonlines,
    normal_form,
    split_corpora,
    split_psytar,
)
from training.fit.recipe import Recipe, RecipeError, Stage
from training.fit.unlabelled import unlabelled
from training.fit.varied import varied

FILES = (
    "ade_corpus_v2/DRUG-AE.rel",
    "ade_corpus_v2/ADE-NEG.txt",
    "psytar/binary/train.csv",
    "psytar/binary/dev.csv",
)
VOCABULARIES = ("vocab_drugsfda", "vocab_drugbank_open", "vocab_ctcae")


@dataclass(frozen=True)
class Material:
    """Training sentences by origin, the held ones for early stopping, and what is to be said of them."""

    corpus: list[Sentence]
    patients: list[Sentence]
    unlabelled: list[Sentence]
    held: list[Sentence]
    data: Path
    counts: Mapping[str, int]
    hashes: dict[str, str] = field(default_factory=dict)  # SHA-256 of each file that was read


def is_held(document: str, share: float, seed: int) -> bool:
    """Whether a training document is held out for early stopping: a hash, so the same in every stage.

    >>> is_held("10048291", 0.0, 1)
    False
    """
    digest = hashlib.sha256(f"held:{seed}:{document}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def gather(data: Path, recipe: Recipe, limit: int | None = None, own: Sequence[Path] = ()) -> Material:
    """Read the corpora and a user's own files. No document of the development fold is among what is trained on.

    With own files the public corpora may be absent. `limit` keeps so many sentences of each, to try the machinery.
    Raises RecipeError if there is nothing to read, CorpusError (file and line) for what does not read.
    """
    needed = (*FILES, *(file for name in recipe.corpora for file in FURTHER[name]))
    found = [name for name in needed if (data / name).is_file()]
    missing = [name for name in needed if name not in found]
    if missing and not (own and set(missing) <= set(FILES)):
        raise RecipeError(f"{data}: no {', '.join(missing)}; see docs/training.md for what goes where")
    whole = [folder for folder in ("ade_corpus_v2", "psytar") if not any(m.startswith(folder) for m in missing)]
    public = "ade_corpus_v2" in whole
    corpora = load_corpora(data, recipe.corpora, own) if public else [load_jsonlines(path) for path in own]
    split = split_corpora(corpora, recipe.fold)
    patients = split_psytar(data / "psytar") if "psytar" in whole else Split([], [])
    labelled = [s for s in split.training if not is_held(s.document, recipe.held, recipe.seed)]
    held = [s for s in split.training if is_held(s.document, recipe.held, recipe.seed)]
    everything = (*split.training, *split.development, *patients.training, *patients.development)
    raw: list[Sentence] = []
    taken = {normal_form(s.text) for s in everything}
    if recipe.unlabelled:
        raw += unlabelled(data, recipe.unlabelled, recipe.fold, taken, random.Random(f"{recipe.seed}:unlabelled"))
    if recipe.varied:
        raw += varied(labelled, recipe.varied, taken, random.Random(f"{recipe.seed}:varied"))
    counts = {
        "training": len(labelled),
        "held": len(held),
        "development": len(split.development),
        "psytar": len(patients.training),
        "unlabelled": len(raw),
        **split.removed,
    }
    read = [*found, *files_beside(data, recipe)]
    hashes = {name: sha256_of(data / name) for name in read} | {str(path): sha256_of(path) for path in own}
    return Material(
        _some(labelled, limit), _some(patients.training, limit), _some(raw, limit), held, data, counts, hashes
    )


def files_beside(data: Path, recipe: Recipe) -> list[str]:
    """What is read beside labelled corpora: narratives for the vocabulary, lists of names, sentences for teachers."""
    folders = ["vaers_1990_2006"] if recipe.vocabulary or recipe.unlabelled else []
    folders += VOCABULARIES if any(stage.augmented for stage in recipe.stages) and has_vocabularies(data) else ()
    folders += ["notes_aci_bench", "notes_mts_dialog", "phee_v2", "ncbi_disease"] if recipe.unlabelled else []
    files = (path for folder in folders for path in sorted((data / folder).rglob("*")) if path.is_file())
    return [str(path.relative_to(data)) for path in files]


def _some(sentences: list[Sentence], limit: int | None) -> list[Sentence]:
    """An even sample of a list, so that both labels are in it."""
    if limit is None or len(sentences) <= limit:
        return sentences
    return sentences[:: len(sentences) // limit][:limit]


def for_stage(material: Material, stage: Stage, index: int, recipe: Recipe) -> tuple[list[Sentence], dict[str, int]]:
    """The sentences of a stage, and how many came from where: a function of seed and stage, the same at a resume."""
    rng = random.Random(f"{recipe.seed}:{index}:sentences")
    corpus = stage_sentences(material.corpus, stage.negatives, rng)
    made = []
    if stage.augmented:
        names = names_of(material.corpus, material.data if has_vocabularies(material.data) else None)
        made = augmented(corpus, rng, share=stage.augmented, names=names, fold=recipe.fold)
    raw = material.unlabelled if stage.unlabelled else []
    chosen = [*corpus, *(material.patients if stage.psytar else ()), *made, *raw]
    counts = {"sentences": len(chosen), "positives": sum(s.positive for s in chosen)}
    counts |= {kind: sum(numbers) for kind, numbers in counts_of(made).items()}
    return chosen, counts


def has_vocabularies(data: Path) -> bool:
    """Whether the lists of drug and effect names are there; without them names come from training documents alone."""
    return all((data / name).is_dir() for name in VOCABULARIES)


def stage_sentences(sentences: Sequence[Sentence], share: float, rng: random.Random) -> list[Sentence]:
    """All positives and a random share of the negatives."""
    return [s for s in sentences if s.positive or share >= 1 or rng.random() < share]
