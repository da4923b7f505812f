"""Figures on a user's own held-out documents: those of their files that fall into the artefact's development fold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.data import CorpusError, load_jsonlines, split_corpora
from training.evaluate.development import CrossFit, Measured, sentence_figures, span_figures
from training.evaluate.measure import Bench

__all__ = ["own_figures"]


def own_figures(bench: Bench, paths: Sequence[Path]) -> dict[str, Any]:
    """What `development` has, of own documents that the run held out.

    Calibration and threshold are cross-fitted over these documents and, where the corpus is there, ADE-Corpus's, as
    export fits them over both. Raises CorpusError if too little is held out to measure.
    """
    held = split_corpora([load_jsonlines(path) for path in paths], bench.fold).development
    raws = bench.read([s.text for s in held])
    beside = bench.development if (bench.data / "ade_corpus_v2").is_dir() else None
    sentences = [*held, *(beside.sentences if beside else ())]
    try:
        judged = Measured.of(held, raws, CrossFit.of(sentences, [*raws, *(beside.raws if beside else ())]))
        figures = sentence_figures(judged)
    except ValueError as error:
        raise CorpusError(
            f"{', '.join(map(str, paths))}: {len(held)} sentences of documents in fold {bench.fold} are held out, "
            f"{sum(s.positive for s in held)} of them positive: too few to measure ({error})"
        ) from error
    marked = span_figures(judged) if any(s.positive and s.spans_known for s in held) else {}
    counts = {"sentences": len(held), "positives": sum(s.positive for s in held)}
    return {**figures, **marked, "counts": counts | {"documents": len({s.document for s in held})}}
