"""Masking: one drug with very many cases of an event hides the event's disproportion at all other drugs.

The comparator of a pair is every report without the drug. A dominant drug among them raises the event's share there and
so lowers every measure. Taking its reports out of the comparator shows what it hides; the drug's own reports stay.
Source: Wang, Hochberg, Pearson, Hauben, Drug Saf 2010;33:1117; Maignen, Hauben, Hung, Van Holle, Dogne,
Pharmacoepidemiol Drug Saf 2014;23:195 (masking ratio).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["masking_ratio", "without_masker"]

Floats = NDArray[np.float64]


def without_masker(*, c: ArrayLike, d: ArrayLike, masker_c: ArrayLike, masker_d: ArrayLike) -> tuple[Floats, Floats]:
    """The comparator's cells c and d of a pair's table (`tables`) without a masker's reports.

    `masker_c`, `masker_d`: reports with the masker and without the pair's drug, with and without the event; arrays give
    all candidates at once. Raises ValueError if a masker has more reports than there are.

    >>> [x.tolist() for x in without_masker(c=120, d=9380, masker_c=[100, 5], masker_d=[100, 900])]
    [[20.0, 115.0], [9280.0, 8480.0]]
    """
    left_c = np.asarray(c, float) - np.asarray(masker_c, float)
    left_d = np.asarray(d, float) - np.asarray(masker_d, float)
    if not ((left_c >= 0).all() and (left_d >= 0).all()):
        raise ValueError("a masker has more reports than the comparator")
    return left_c, left_d


def masking_ratio(*, c: ArrayLike, d: ArrayLike, masker_c: ArrayLike, masker_d: ArrayLike) -> Floats:
    """How many times larger the PRR of the event is, at every drug alike, when the masker's reports are left out.

    (c / (c+d)) / (c' / (c'+d')): 1 hides nothing; below 1 the masker itself is rare with the event. NaN where no case
    of the event is left, for then the PRR without the masker is undefined.

    >>> masking_ratio(c=120, d=9380, masker_c=[100, 5], masker_d=[100, 900]).round(4).tolist()
    [5.8737, 0.9441]
    """
    left_c, left_d = without_masker(c=c, d=d, masker_c=masker_c, masker_d=masker_d)
    share = np.asarray(c, float) / (np.asarray(c, float) + np.asarray(d, float))
    return np.asarray(share * (left_c + left_d) / np.where(left_c > 0, left_c, np.nan))
