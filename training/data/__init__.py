"""Labelled sentences: public corpora and a user's own, read into one form, deduplicated, split by document.

Rules, written down so that they can be argued with:

- A document (PubMed id) is never divided: every sentence of it lies in one fold. `fold_of` is a hash of the published
  seed and the id, so a fold does not depend on what else is loaded. Development = fold 0.
- A sentence counts once. Two sentences are the same when they agree after case folding and collapsing whitespace. The
  copy of the smallest document id stays; a copy in development is never also in training ("Case report." is both).
- Label conflicts: annotated harm makes a sentence positive in training wherever else it is called negative; development
  keeps ADE-Corpus's label (`merge`, which names and counts the rules).
- PsyTAR: positive = an adverse drug reaction (ADR) is marked. A sentence that only marks withdrawal symptoms (WD) is an
  adverse event to a pharmacologist and not one to the corpus: it is left out of training and of the headline figure.
- ADE-Corpus offsets count from the abstract's start. One shift a relation maps both of its spans into the sentence.
"""

from __future__ import annotations

from training.data.ade import load_ade
from training.data.jsonlines import dump_jsonlines, load_jsonlines
from training.data.merge import FURTHER, load_corpora, split_corpora
from training.data.ncbi import load_ncbi
from training.data.phee import load_phee
from training.data.psytar import load_psytar
from training.data.sentence import FOLDS, SEED, CorpusError, Range, Sentence, fold_of, normal_form
from training.data.split import Split, deduplicate, split_ade, split_psytar

__all__ = [
    "FOLDS",
    "FURTHER",
    "SEED",
    "CorpusError",
    "Range",
    "Sentence",
    "Split",
    "deduplicate",
    "dump_jsonlines",
    "fold_of",
    "load_ade",
    "load_corpora",
    "load_jsonlines",
    "load_ncbi",
    "load_phee",
    "load_psytar",
    "normal_form",
    "split_ade",
    "split_corpora",
    "split_psytar",
]
