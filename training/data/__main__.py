"""`python -m training.data`: what the corpora hold, and what becomes of it in one split, as tables."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from training.data.merge import FURTHER, RULES, load_corpora, split_corpora
from training.data.psytar import load_psytar
from training.data.sentence import FOLDS, SEED, CorpusError, Sentence, fold_of, normal_form
from training.data.split import split_psytar


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables; exit with 2 and the place of the fault where a file does not read."""
    parser = argparse.ArgumentParser(prog="python -m training.data", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the corpora")
    parser.add_argument("--own", type=Path, action="append", default=[], metavar="FILE", help="your own JSON lines")
    parser.add_argument("--fold", type=int, choices=range(FOLDS), default=0, help="development fold")
    given = parser.parse_args(arguments)
    try:
        print(report(given.data, given.own, given.fold))
    except (CorpusError, OSError) as error:
        sys.exit(f"vigilia: {error}")


def report(data: Path, own: Sequence[Path] = (), fold: int = 0) -> str:
    """The tables as Markdown: each corpus, the folds, duplicates and contradictions by rule, the split."""
    corpora = load_corpora(data, FURTHER, own)
    patients = [s for name in ("train", "dev") for s in load_psytar(data / "psytar" / "binary" / f"{name}.csv")]
    lines = ["| corpus | documents | sentences | distinct | positive | with spans | pairs |", "|---|" + "---:|" * 6]
    for corpus in (*corpora, patients):
        lines.append(_row(corpus[0].corpus, *_numbers(corpus)))
    split = split_corpora(corpora, fold)
    lines += ["", f"| fold (seed {SEED}) | documents | sentences | positive |", "|---|---:|---:|---:|"]
    lines += _folds([s for corpus in corpora for s in corpus])
    lines += ["", f"| development = fold {fold} | sentences | positive |", "|---|---:|---:|"]
    psytar = split_psytar(data / "psytar")
    for name, part in (("training", split.training), ("development", split.development)):
        by_corpus = Counter(s.corpus for s in part)
        positive = Counter(s.corpus for s in part if s.positive)
        lines += [_row(f"{name}: {corpus}", n, positive[corpus]) for corpus, n in by_corpus.items()]
    for name, part in (("training", psytar.training), ("development", psytar.development)):
        lines.append(_row(f"{name}: psytar (its own split)", len(part), sum(s.positive for s in part)))
    lines += ["", "| removed from the split | sentences | rule |", "|---|---:|---|"]
    for reason, count in split.removed.items():
        lines.append(_row(reason, count, RULES.get(reason.partition("_")[2], "")))
    return "\n".join(lines)


def _numbers(corpus: Sequence[Sentence]) -> tuple[int, ...]:
    return (
        len({s.document for s in corpus}),
        len(corpus),
        len({normal_form(s.text) for s in corpus}),
        sum(s.positive for s in corpus),
        sum(s.spans_known for s in corpus),
        sum(len(s.pairs) for s in corpus),
    )


def _folds(sentences: Sequence[Sentence]) -> list[str]:
    fold = {document: fold_of(document) for document in {s.document for s in sentences}}
    documents = Counter(fold.values())
    every = Counter(fold[s.document] for s in sentences)
    positive = Counter(fold[s.document] for s in sentences if s.positive)
    return [_row(str(n), documents[n], every[n], positive[n]) for n in range(FOLDS)]


def _row(*cells: object) -> str:
    return "| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells) + " |"


if __name__ == "__main__":
    main()
