"""Several corpora in one split: which label stands where they contradict each other, counted by rule.

A sentence that several corpora hold is kept once. In training, annotated harm wins: somebody marked a drug and what it
did there, while a negative may be an omission. The development fold keeps the label of the corpus that comes first
(ADE-Corpus), so that figures stay comparable with published ones. Documents decide the fold, by the same hash in every
corpus: ADE-Corpus and PHEE share PubMed ids and so fall into the same fold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from training.data import ncbi, phee
from training.data.ade import load_ade
from training.data.jsonlines import load_jsonlines
from training.data.sentence import SEED, CorpusError, Sentence, fold_of, normal_form
from training.data.split import Split

FURTHER: Mapping[str, tuple[str, ...]] = {  # corpora that may stand beside ADE-Corpus, and their files
    "phee": tuple(f"phee_v2/{name}" for name in phee.FILES),
    "ncbi": tuple(f"ncbi_disease/{name}" for name in ncbi.FILES),
}
RULES = {
    "relation_over_phee": "ADE-Corpus relates a drug to an effect, PHEE sees no adverse event: positive",
    "event_over_negative": "PHEE sees an adverse event, ADE-Corpus calls the sentence negative: positive in training",
    "harm_over_negative": "any other two labels that differ: positive in training",
    "first_label_in_development": "labels differ in the development fold: the label of the corpus named first",
}


def load_corpora(data: Path, further: Iterable[str] = (), own: Iterable[Path] = ()) -> list[list[Sentence]]:
    """ADE-Corpus, then the corpora named, then a user's own files, each as its loader gives it."""
    corpora = [load_ade(data / "ade_corpus_v2")]
    for name in further:
        if name not in FURTHER:
            raise CorpusError(f"unknown corpus {name!r}; there are {', '.join(FURTHER)}")
        corpora.append(phee.load_phee(data / "phee_v2") if name == "phee" else ncbi.load_ncbi(data / "ncbi_disease"))
    return corpora + [load_jsonlines(path) for path in own]


def split_corpora(corpora: Sequence[Sequence[Sentence]], fold: int = 0, seed: int = SEED) -> Split:
    """Development = the documents of one fold; training = the others, without any sentence development also has.

    `removed` counts what went: `<part>_duplicate`, `<part>_<rule>` for each rule that settled a contradiction, and
    `training_also_in_development`. With ADE-Corpus alone the split is that of `split_ade`.
    """
    ranked = [(rank, sentence) for rank, corpus in enumerate(corpora) for sentence in corpus]
    held = [(rank, s) for rank, s in ranked if fold_of(s.document, seed) == fold]
    rest = [(rank, s) for rank, s in ranked if fold_of(s.document, seed) != fold]
    known = {normal_form(s.text) for _, s in held}
    clean = [(rank, s) for rank, s in rest if normal_form(s.text) not in known]
    development, removed = _merged(held, development=True)
    training, removed_training = _merged(clean, development=False)
    counts = {f"development_{reason}": n for reason, n in sorted(removed.items())}
    counts |= {f"training_{reason}": n for reason, n in sorted(removed_training.items())}
    counts["training_also_in_development"] = len(rest) - len(clean)
    return Split(training, development, counts)


def _merged(ranked: Iterable[tuple[int, Sentence]], development: bool) -> tuple[list[Sentence], Counter[str]]:
    groups: dict[str, list[tuple[int, Sentence]]] = {}
    for rank, sentence in ranked:
        groups.setdefault(normal_form(sentence.text), []).append((rank, sentence))
    removed: Counter[str] = Counter()
    kept = []
    for group in groups.values():
        best = min(group, key=_first_corpus if development else _harm_first)
        kept.append(best[1])
        for other in group:
            if other is not best:
                removed[_reason(best, other, development)] += 1
    return kept, removed


def _harm_first(ranked: tuple[int, Sentence]) -> tuple[bool, bool, int, str]:
    """Positive, then with marked pairs, then by corpus, then by document: what stays of copies in training."""
    rank, sentence = ranked
    return not sentence.positive, not sentence.pairs, rank, sentence.document


def _first_corpus(ranked: tuple[int, Sentence]) -> tuple[int, bool, str]:
    rank, sentence = ranked
    return rank, not sentence.positive, sentence.document


def _reason(best: tuple[int, Sentence], other: tuple[int, Sentence], development: bool) -> str:
    if best[1].positive == other[1].positive:
        return "duplicate"
    if development and best[0] != other[0]:
        return "first_label_in_development"
    corpora = {best[1].corpus, other[1].corpus}
    if corpora == {"ade", "phee"}:
        return "relation_over_phee" if best[1].corpus == "ade" else "event_over_negative"
    return "harm_over_negative"
