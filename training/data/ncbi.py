"""NCBI Disease: abstracts on diseases with every mention marked. No harm by a drug is annotated.

Its sentences are negatives in which diseases are named: mentions are kept as effects without a pair. Sentences in which
a treatment may have done harm (their words say so) are left out, since nobody has labelled them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from streams.assess.sentences import sentence_ranges
from training.data.sentence import CorpusError, Range, Sentence, span_at

FILES = ("NCBI_train.txt", "NCBI_devel.txt", "NCBI_test.txt")
_UNCLEAR = re.compile(r"(?i)\b\w*(?:induced|toxic\w*|adverse|side effects?|treat\w+|therap\w+|drugs?|medications?)\b")


def load_ncbi(folder: Path) -> list[Sentence]:
    """Sentences of all three files, an abstract that is there twice once. Document = "ncbi:" and the PubMed id.

    Raises CorpusError with file and line for a line that does not read or a mention that is not where it says.
    """
    sentences: list[Sentence] = []
    seen: set[str] = set()
    for name in FILES:
        for document, text, mentions in read_abstracts(folder / name):
            if document not in seen:
                sentences += _sentences(document, text, mentions)
            seen.add(document)
    return sentences


def read_abstracts(path: Path) -> Iterator[tuple[str, str, list[Range]]]:
    """PubMed id, title and abstract in one text, and the ranges of the mentions (PubTator format)."""
    document, text, mentions = "", "", list[Range]()
    for number, line in enumerate([*path.read_text(encoding="utf-8").splitlines(), ""], 1):
        where = f"{path.name}, line {number}"
        if not line.strip():
            if document:
                yield document, text, mentions
            document, text, mentions = "", "", []
        elif match := re.match(r"(\d+)\|([ta])\|(.*)", line):
            document = match[1]
            text = match[3] if match[2] == "t" else f"{text} {match[3]}"
        else:
            columns = line.split("\t")
            if len(columns) != 6 or columns[0] != document or not (columns[1] + columns[2]).isdigit():
                raise CorpusError(f"{where}: neither title, abstract nor a mention of document {document or '?'}")
            span = span_at(text, int(columns[1]), columns[3])
            if span is None:
                raise CorpusError(f"{where}: {columns[3]!r} is not at {columns[1]}")
            mentions.append(span)


def _sentences(document: str, text: str, mentions: list[Range]) -> Iterator[Sentence]:
    for start, end in sentence_ranges(text):
        sentence = text[start:end]
        if not _UNCLEAR.search(sentence):
            inside = sorted({(a - start, b - start) for a, b in mentions if start <= a and b <= end})
            yield Sentence(sentence, f"ncbi:{document}", "ncbi", False, effects=tuple(inside))
