"""What simpler models reach on the same split under the same rules.

- TF-IDF of words and word pairs, logistic regression.
- The base model as it comes, frozen: the mean of its last layer over a sentence's pieces, logistic regression.

Both are trained on all training sentences of both corpora, as the model's last stage is, and judged as the model is:
Platt scaling and the threshold of largest expected F1, cross-fitted on the halves of the development fold; for PsyTAR
both from the whole fold. They mark no spans.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from inference.graph import Raw
from training.data import Sentence
from training.evaluate.calibration import brier_interval, ece_interval
from training.evaluate.development import Figures, Measured, curve, sentence_figures
from training.evaluate.metrics import Resampling, auroc, documents_of, f1s, sentence_hits
from training.export.calibrate import calibrate

if TYPE_CHECKING:
    from numpy.typing import NDArray

CACHE = Path(".cache/evaluate")
BATCH = 64
MAX_LENGTH = 96

Scorer = Callable[[Sequence[str]], "NDArray[np.float64]"]


def _regression() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=1.0, max_iter=2000)


def tfidf(training: Sequence[Sentence]) -> Scorer:
    """Log-odds by logistic regression on TF-IDF of words and word pairs that two sentences share."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    regression = _regression().set_params(C=10.0)
    regression.fit(vectorizer.fit_transform([s.text for s in training]), [s.positive for s in training])
    return lambda texts: np.asarray(regression.decision_function(vectorizer.transform(texts)), dtype=np.float64)


def frozen(training: Sequence[Sentence], base: str = "minilm", cache: Path = CACHE) -> Scorer:
    """Log-odds by logistic regression on the base model's mean embedding, each dimension standardised."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    regression = make_pipeline(StandardScaler(), _regression().set_params(C=0.01))
    regression.fit(embeddings([s.text for s in training], base, cache), [s.positive for s in training])
    return lambda texts: np.asarray(regression.decision_function(embeddings(texts, base, cache)), dtype=np.float64)


def embeddings(texts: Sequence[str], base: str, cache: Path) -> NDArray[np.float32]:
    """Mean of the base model's last layer over the pieces of each text; kept in `cache`, as they never change."""
    digest = hashlib.sha256("\0".join((base, *texts)).encode()).hexdigest()
    path = cache / f"{base}-{digest[:16]}.npy"
    if path.exists():
        kept: NDArray[np.float32] = np.load(path)
        return kept
    found = _embedded(texts, base)
    cache.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npy")
    np.save(partial, found)
    partial.replace(path)
    return found


def _embedded(texts: Sequence[str], base: str) -> NDArray[np.float32]:
    import torch
    from tokenizers import Tokenizer

    from training.bases import base_folder
    from training.model import from_base

    folder = base_folder(base)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_LENGTH)
    encoder = from_base(folder).encoder.eval()
    ids = [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    rows: dict[int, NDArray[np.float32]] = {}
    with torch.inference_mode():
        for start in range(0, len(order), BATCH):
            members = order[start : start + BATCH]
            longest = max(len(ids[i]) for i in members)
            mask = torch.tensor([[1] * len(ids[i]) + [0] * (longest - len(ids[i])) for i in members])
            padded = torch.tensor([ids[i] + [0] * (longest - len(ids[i])) for i in members])
            hidden = encoder(input_ids=padded, attention_mask=mask).last_hidden_state.float()
            mean = (hidden * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
            rows |= dict(zip(members, mean.numpy(), strict=True))
    return np.array([rows[i] for i in range(len(texts))], dtype=np.float32)


def judged(scorer: Scorer, development: Sequence[Sentence], patients: Sequence[Sentence]) -> dict[str, Any]:
    """The sentence figures of a baseline, by the model's own rules."""
    raws = [Raw(float(score), [], [], []) for score in scorer([s.text for s in development])]
    measured = Measured.of(development, raws)
    documents = documents_of(development)
    figures: Figures = sentence_figures(measured)
    figures["ECE"] = ece_interval(documents, measured.probabilities, measured.labels)
    figures["Brier"] = brier_interval(documents, measured.probabilities, measured.labels)
    whole = calibrate(development, raws)
    scores = scorer([s.text for s in patients])
    probabilities = np.array([whole.sentence.probability(float(score)) for score in scores])
    labels = np.array([s.positive for s in patients])
    resampling = Resampling(documents_of(patients))
    hits = sentence_hits(probabilities, labels, np.full(len(labels), whole.threshold))
    figures["PsyTAR F1"] = resampling.of_counts(hits, f1s)
    figures["PsyTAR AUROC"] = resampling.of_ranking(probabilities, labels, auroc)
    return {**figures, "curve": curve(measured)}


def baseline_figures(
    training: Sequence[Sentence], development: Sequence[Sentence], patients: Sequence[Sentence]
) -> dict[str, dict[str, Any]]:
    """{baseline: figures}."""
    return {
        "TF-IDF + logistic regression": judged(tfidf(training), development, patients),
        "base model, frozen": judged(frozen(training), development, patients),
    }
