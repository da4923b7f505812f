"""`python -m training.augment`: look at made sentences, or write those of the held-out skeletons to a file."""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

from training.augment.generate import augmented, counts_of
from training.augment.names import Names, names_of
from training.augment.templates import grow, skeletons
from training.data import SEED, Sentence, dump_jsonlines, fold_of, load_ade, split_ade


def main(arguments: Sequence[str] | None = None) -> None:
    """Print counts by kind and label, and some sentences; with --held write a test set instead of training text."""
    parser = argparse.ArgumentParser(prog="python -m training.augment", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the corpora")
    parser.add_argument("--share", type=float, default=0.25, help="made sentences per training sentence")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--show", type=int, default=20, metavar="N", help="print so many sentences")
    parser.add_argument("--held", type=Path, metavar="FILE", help="JSON lines from skeletons that no training uses")
    given = parser.parse_args(arguments)
    training = split_ade(load_ade(given.data / "ade_corpus_v2")).training
    names = names_of(training, given.data)
    rng = random.Random(given.seed)
    if given.held:
        made = held_out(names, rng)
        dump_jsonlines(made, given.held)
    else:
        made = augmented(training, rng, share=given.share, names=names)
    print("| kind | positive | negative |\n|---|---:|---:|")
    for kind, (positive, negative) in counts_of(made).items():
        print(f"| {kind.removeprefix('augmented:')} | {positive:,} | {negative:,} |")
    for sentence in rng.sample(made, min(given.show, len(made))):
        print(f"{'+' if sentence.positive else '-'} {sentence.corpus.removeprefix('augmented:')}: {sentence.text}")


def held_out(names: Names, rng: random.Random, each: int = 5, fold: int = 0) -> list[Sentence]:
    """So many sentences from each skeleton of the development fold: their wording is in no training set."""
    held = [skeleton for skeleton in skeletons() if fold_of(skeleton.document) == fold]
    return [grow(skeleton, names, rng) for skeleton in held for _ in range(each)]


if __name__ == "__main__":
    main()
