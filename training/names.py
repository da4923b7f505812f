"""Drug names that no training may see, so that "a drug the model never read" can be tested.

Augmentation fills drug names from the same public vocabularies that the robustness test replaces drugs from. A tenth of
all names, chosen by a hash, is kept from the first and is all that the second uses.
"""

from __future__ import annotations

import hashlib

SHARE = 10  # one name in ten is kept back


def kept_for_testing(name: str) -> bool:
    """Whether a drug name is kept from augmentation, for the robustness test. Case does not count.

    >>> [name for name in ("aspirin", "Lithium", "warfarin", "naproxen", "Eteplirsen") if kept_for_testing(name)]
    ['aspirin']
    """
    digest = hashlib.sha256(f"robustness:{name.casefold()}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % SHARE == 0
