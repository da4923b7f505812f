"""PsyTAR: patients' posts on psychiatric drugs, labelled by sentence.

Positive = an adverse drug reaction (ADR) is marked. A sentence that only marks withdrawal symptoms (WD) is an adverse
event to a pharmacologist and not one to the corpus: it is left out of training and of the headline figure.
"""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

from training.data.sentence import CorpusError, Sentence, normal_form


def load_psytar(path: Path) -> list[Sentence]:
    """Sentence labels of PsyTAR (tab separated, quoted newlines). Documents are not named in it: each is its own."""
    sentences = []
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t")
        header = next(rows)
        if header[:3] != ["sentences", "ADR", "WD"]:
            raise CorpusError(f"{path.name}, line 1: columns {header[:3]} instead of sentences, ADR, WD")
        for row in rows:
            if len(row) != len(header):
                raise CorpusError(f"{path.name}, line {rows.line_num}: {len(row)} columns instead of {len(header)}")
            reaction, withdrawal = row[1] == "1", row[2] == "1"
            document = "psytar:" + hashlib.sha256(normal_form(row[0]).encode()).hexdigest()[:12]
            sentences.append(
                Sentence(row[0], document, "psytar", reaction, withdrawal_only=withdrawal and not reaction)
            )
    return sentences
