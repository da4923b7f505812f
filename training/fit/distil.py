"""Soft labels: what one or several teachers think of sentences, averaged, kept in a file beside the run.

Words carry opinions from one tokenizer to another: each has its characters in the text as key. Logits are averaged over
teachers, for the sentence as for the words. A teacher that ended on a share r of the negatives has its sentence logit
shifted by log r (if asked): its odds are 1/r too high.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from inference.decoding import words_of
from training.bases import sha256_of
from training.batches import SoftLabel, read_tokenizer
from training.data import Sentence
from training.fit.log import Log
from training.fit.recipe import RecipeError
from training.model import AdverseEventModel, load

BATCH = 64
SHARD = 4096  # sentences between two writes of the cache

Place = tuple[int, int]
Scores = tuple[float, dict[Place, NDArray[np.float32]], dict[Place, NDArray[np.float32]]]


@dataclass(frozen=True)
class Teacher:
    """A run's folder, its SHA-256 over weights and tokenizer, and the shift that corrects its prior."""

    folder: Path
    sha256: str
    prior_shift: float
    max_length: int


def read_teacher(folder: Path, correct_prior: bool = True) -> Teacher:
    """A teacher from a run's folder. Raises RecipeError if it is no run."""
    missing = [n for n in ("model.safetensors", "tokenizer.json", "recipe.json") if not (folder / n).is_file()]
    if missing:
        raise RecipeError(f"{folder}: no run (no {', '.join(missing)}); `make teacher` and `make train` make one")
    recipe = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
    share = float(recipe["stages"][-1]["negatives"])
    hashes = sha256_of(folder / "model.safetensors") + sha256_of(folder / "tokenizer.json")
    shift = math.log(share) if correct_prior and share > 0 else 0.0
    return Teacher(folder, hashlib.sha256(hashes.encode()).hexdigest(), shift, int(recipe["max_length"]))


def same_fold(folder: Path, fold: int) -> None:
    """Raise RecipeError if a teacher or start had another development fold: it has seen this one's sentences."""
    theirs = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))["fold"]
    if theirs != fold:
        raise RecipeError(f"{folder}: that run held out fold {theirs}, so it was trained on fold {fold}")


def knows_patients(folder: Path) -> bool:
    """Whether a teacher was trained on patients' own language."""
    stages = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))["stages"]
    return any(stage["psytar"] for stage in stages)


def opinions(teacher: Teacher, texts: Sequence[str], precision: str = "fp32") -> Iterator[tuple[int, Scores]]:
    """(index, logits) of each text, in batches of about equal length."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model: AdverseEventModel = load(teacher.folder).to(device).eval()
    tokenizer = read_tokenizer(teacher.folder / "tokenizer.json", teacher.max_length)
    encodings = tokenizer.encode_batch(list(texts))
    order = sorted(range(len(texts)), key=lambda i: len(encodings[i].ids))
    kind = torch.float16 if precision == "fp16" else torch.bfloat16
    for start in range(0, len(order), BATCH):
        members = order[start : start + BATCH]
        longest = max(len(encodings[i].ids) for i in members)
        ids = torch.full((len(members), longest), model.pad_id, dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for row, i in enumerate(members):
            ids[row, : len(encodings[i].ids)] = torch.tensor(encodings[i].ids)
            mask[row, : len(encodings[i].ids)] = 1
        with torch.inference_mode(), torch.autocast(device.type, dtype=kind, enabled=precision != "fp32"):
            sentence, drug, effect, _ = model(ids.to(device), mask.to(device))
        logits = (sentence.float().squeeze(-1) + teacher.prior_shift).tolist()
        heads = drug.float().cpu().numpy(), effect.float().cpu().numpy()
        for row, i in enumerate(members):
            words = words_of(encodings[i].word_ids, encodings[i].offsets)
            drugs, effects = (dict(zip(words.ranges, head[row, words.first_piece], strict=True)) for head in heads)
            yield i, (logits[row], drugs, effects)


def averaged(views: Sequence[Scores]) -> SoftLabel:
    """One opinion out of several: the mean logit, as probabilities. Words that not every teacher has are left out."""
    logit = sum(sentence for sentence, _, _ in views) / len(views)
    drug = _distributions([drug for _, drug, _ in views])
    return SoftLabel(1 / (1 + math.exp(-logit)), drug, _distributions([effect for _, _, effect in views]))


def _distributions(rows: Sequence[dict[Place, NDArray[np.float32]]]) -> dict[Place, NDArray[np.float32]]:
    """The softmax of each place's mean logits."""
    found = {}
    for place in rows[0]:
        if all(place in row for row in rows):
            logits = np.mean([row[place] for row in rows], axis=0)
            exponentials = np.exp(logits - logits.max())
            found[place] = np.asarray(exponentials / exponentials.sum(), dtype=np.float32)
    return found


def teach(
    teachers: Sequence[Path],
    sentences: Sequence[Sentence],
    cache: Path | None = None,
    precision: str = "fp32",
    correct_prior: bool = True,
    log: Log | None = None,
) -> dict[str, SoftLabel]:
    """Opinions of the teachers on sentences, by text; those that the cache folder has are not asked for again."""
    known = [read_teacher(folder, correct_prior) for folder in teachers]
    name = hashlib.sha256("".join(f"{t.sha256}{t.prior_shift}" for t in known).encode()).hexdigest()[:12]
    path = cache / f"soft-{name}.npz" if cache else None
    labels = read_soft(path) if path and path.exists() else {}
    texts = list(dict.fromkeys(s.text for s in sentences))
    wanted = [text for text in texts if _key(text) not in labels]
    if log and wanted:
        log("teach", teachers=len(known), sentences=len(texts), to_label=len(wanted))
    for start in range(0, len(wanted), SHARD):
        part = wanted[start : start + SHARD]
        views: list[list[Scores]] = [[] for _ in part]
        for teacher in known:
            for i, scores in opinions(teacher, part, precision):
                views[i].append(scores)
        labels |= {_key(text): averaged(view) for text, view in zip(part, views, strict=True)}
        if path:
            write_soft(path, labels)
        if log:
            log("taught", sentences=start + len(part))
    return {text: labels[_key(text)] for text in texts}


# ---------------------------------------------------------------- the cache: hashes of texts, never texts


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def write_soft(path: Path, labels: Mapping[bytes, SoftLabel]) -> None:
    """Write opinions; half-written files are never read."""
    rows = [(label.drug[place], label.effect[place]) for label in labels.values() for place in label.drug]
    part = path.with_suffix(".part.npz")
    np.savez_compressed(
        part,
        keys=np.frombuffer(b"".join(labels), dtype=np.uint8).reshape(-1, 32),
        positive=np.array([label.positive for label in labels.values()], dtype=np.float64),
        words=np.array([len(label.drug) for label in labels.values()], dtype=np.int32),
        places=np.array([p for label in labels.values() for p in label.drug], dtype=np.int32).reshape(-1, 2),
        drug=np.array([d for d, _ in rows], dtype=np.float16).reshape(-1, 3),
        effect=np.array([e for _, e in rows], dtype=np.float16).reshape(-1, 3),
    )
    part.replace(path)


def read_soft(path: Path) -> dict[bytes, SoftLabel]:
    """Opinions as `write_soft` wrote them, by the SHA-256 of the text."""
    with np.load(path) as file:
        ends = np.cumsum(file["words"]).tolist()
        places = [(int(a), int(b)) for a, b in file["places"].tolist()]
        drug, effect = file["drug"].astype(np.float32), file["effect"].astype(np.float32)
        labels = {}
        for i, (key, positive) in enumerate(zip(file["keys"], file["positive"].tolist(), strict=True)):
            rows = range(ends[i - 1] if i else 0, ends[i])
            labels[key.tobytes()] = SoftLabel(
                positive, {places[r]: drug[r] for r in rows}, {places[r]: effect[r] for r in rows}
            )
    return labels
