"""Labelled sentences that no corpus holds: assertion templates in several registers, and exchanged names.

Why: corpora of abstracts say little of what a note denies, remembers, warns of or treats. Each register holds reports
and non-reports in about equal number, so the way of writing tells nothing about the label.
"""

from __future__ import annotations

from training.augment.generate import DEFAULT_KINDS, augmented, counts_of, unseen
from training.augment.names import Names, names_of
from training.augment.substitution import apply_edits, substituted
from training.augment.templates import TEMPLATE_KINDS, Skeleton, SkeletonError, grow, read_skeletons, skeletons

__all__ = [
    "DEFAULT_KINDS",
    "TEMPLATE_KINDS",
    "Names",
    "Skeleton",
    "SkeletonError",
    "apply_edits",
    "augmented",
    "counts_of",
    "grow",
    "names_of",
    "read_skeletons",
    "skeletons",
    "substituted",
    "unseen",
]
