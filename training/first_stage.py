"""Train the first stage (`inference.first_stage`): a logistic regression over hashed words, in signed bytes.

Positives and negatives: the training documents of ADE-Corpus-V2 and PsyTAR with their labels; unlabelled narratives,
notes and abstracts (`training.fit.unlabelled`), positive where an artefact finds an adverse event: without them the
stage would take the style of a note for a reason to spare it. Nothing of the development fold is read.

The threshold is the largest at which `RECALL` of the positive sentences of *each* corpus get through, each
sentence being scored by a model that did not see its document (`FOLDS` parts, a hash of the document deciding). A
spared sentence's probability is the share of positives among the ADE-Corpus sentences spared so.

A new transformer makes no new stage necessary: `vigilia train export` takes over the one that it finds, and
`python -m bench.firststage` says what share of the new one's own findings it lets through.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize

from inference.artefact import Artefact
from inference.first_stage import FORMAT, FirstStage, Header, buckets
from inference.onnx import OnnxClassifier
from training.data import SEED, fold_of, load_ade, normal_form, split_ade, split_psytar
from training.fit.unlabelled import unlabelled

BITS = 18  # 262,144 weights of a byte
RECALL = 0.9995  # on training documents; .995 is promised, and .998 here gave .993 of 546 sentences nobody had seen
FOLDS = 3
FOLDS_SEED = 3
UNLABELLED = 12_000
RIDGE = 1.0
STEPS = 60

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Example:
    """A sentence with the corpus that its label comes from."""

    text: str
    document: str
    corpus: str
    positive: bool


@dataclass(frozen=True)
class Fitted:
    """A stage and what was seen on its own training documents, out of fold: (let through, positives) by corpus."""

    stage: FirstStage
    through: dict[str, tuple[int, int]]


def examples(data: Path, teacher: Artefact, fold: int = 0, count: int = UNLABELLED, threads: int = 1) -> list[Example]:
    """Labelled sentences of the training documents, and `count` others that `teacher` labels."""
    split, patients = split_ade(load_ade(data / "ade_corpus_v2"), fold), split_psytar(data / "psytar")
    labelled = [*split.training, *patients.training]
    known = {normal_form(s.text) for s in (*labelled, *split.development, *patients.development)}
    others = unlabelled(data, count, fold, known, random.Random(SEED))
    classifier = OnnxClassifier(teacher, threads=threads)
    readings = classifier.classify([s.text for s in others])
    classifier.close()
    found = [reading.probability >= teacher.manifest.threshold for reading in readings]
    return [Example(s.text, s.document, s.corpus, s.positive) for s in labelled] + [
        Example(s.text, s.document, s.corpus, positive) for s, positive in zip(others, found, strict=True)
    ]


def fit_first_stage(
    given: Sequence[Example], described: dict[str, str], bits: int = BITS, folds: int = FOLDS, say: Progress = print
) -> Fitted:
    """Train, cross-fit the threshold, put both into one stage. Raises ValueError without positives of a corpus."""
    counts = _counts([e.text for e in given], bits)
    labels = np.array([e.positive for e in given])
    part = np.array([fold_of(e.document, FOLDS_SEED, folds) for e in given])
    logits = np.zeros(len(given))
    weights, intercept = _fit(counts, labels)
    unit = float(np.quantile(np.abs(weights[weights != 0]), 0.9999)) / 127  # a handful of weights are cut
    for held in range(folds):
        others, constant = _fit(counts[part != held], labels[part != held])
        judge = FirstStage(Header(FORMAT, bits, 0, 0.0, {}), _bytes(others, unit))
        for index in np.flatnonzero(part == held).tolist():
            logits[index] = _root(judge.score(given[index].text)) * unit + constant
        say(f"part {held + 1} of {folds}")
    corpora = np.array([e.corpus for e in given])
    least = min(_threshold(logits[(corpora == name) & labels]) for name in ("ade", "psytar"))
    spared = (corpora == "ade") & (logits < least)
    probability = (int(labels[spared].sum()) + 0.5) / (int(spared.sum()) + 1)
    root = (least - intercept) / unit
    header = Header(FORMAT, bits, math.floor(root * abs(root)), round(probability, 6), described)
    through = {
        name: (int((logits[rows] >= least).sum()), int(rows.sum()))
        for name in sorted({e.corpus for e in given})
        if (rows := (corpora == name) & labels).any()
    }
    return Fitted(FirstStage(header, _bytes(weights, unit)), through)


def _threshold(positives: NDArray[np.float64]) -> float:
    """The largest threshold that lets `RECALL` of these logits through."""
    if not len(positives):
        raise ValueError("no positive sentence to choose the threshold by")
    return float(np.sort(positives)[int(len(positives) * (1 - RECALL))])


def _root(score: int) -> float:
    """What was squared to make a score."""
    return math.copysign(math.sqrt(abs(score)), score)


def _counts(texts: Iterable[str], bits: int) -> Any:
    """Sentences by buckets, each row divided by the root of its number of features."""
    rows = [np.array(buckets(text, bits)) for text in texts]
    sizes = np.array([len(row) for row in rows])
    starts = np.concatenate([[0], np.cumsum(sizes)])
    values = np.repeat(sizes**-0.5, sizes)
    matrix = sparse.csr_matrix((values, np.concatenate(rows), starts), shape=(len(rows), 1 << bits))
    matrix.sum_duplicates()
    return matrix


def _fit(counts: Any, labels: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """(weights, intercept) of a ridge logistic regression on counts times rarity (idf), which the weights take in."""
    seen = np.bincount(counts.indices, minlength=counts.shape[1])
    rarity = np.where(seen > 0, np.log((1 + counts.shape[0]) / (1 + seen)) + 1, 0.0)
    features = (counts @ sparse.diags(rarity)).tocsr()
    transposed = features.T.tocsr()
    truth = labels.astype(float)

    def loss(beta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = features @ beta[:-1] + beta[-1]
        error = 1 / (1 + np.exp(-np.clip(z, -35, 35))) - truth
        value = (np.logaddexp(0, z) - truth * z).sum() + RIDGE / 2 * (beta[:-1] @ beta[:-1])
        return float(value), np.append(transposed @ error + RIDGE * beta[:-1], error.sum())

    found = minimize(loss, np.zeros(counts.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    return found.x[:-1] * rarity, float(found.x[-1])


def _bytes(weights: NDArray[np.float64], unit: float) -> bytes:
    return np.clip(np.rint(weights / unit), -127, 127).astype(np.int8).tobytes()
