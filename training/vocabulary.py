"""Cut a WordPiece vocabulary to the pieces that text of this field uses: two thirds of the base model is that table.

Kept, in this order: special tokens and single characters (so that every word can still be spelled), every piece that
the training sentences use at least twice, then the most frequent pieces of unlabelled narratives up to the wanted size.
Ids keep their order. A word whose piece went is split into smaller pieces, as WordPiece always does.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import Tokenizer


def narratives(folder: Path, limit: int = 40_000) -> Iterator[str]:
    """SYMPTOM_TEXT of VAERS reports from the yearly zips of a folder, oldest first; none if there are no zips."""
    for path in sorted(folder.glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                if not member.upper().endswith("DATA.CSV"):
                    continue
                with archive.open(member) as raw:
                    for row in csv.DictReader(io.TextIOWrapper(raw, encoding="latin-1", newline="")):
                        if limit <= 0:
                            return
                        limit -= 1
                        yield row.get("SYMPTOM_TEXT") or ""


def count_pieces(tokenizer: Tokenizer, texts: Iterable[str], chunk: int = 1000) -> Counter[int]:
    """How often each piece occurs."""
    counts: Counter[int] = Counter()
    batch: list[str] = []

    def flush() -> None:
        for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
            counts.update(encoding.ids)
        batch.clear()

    for text in texts:
        batch.append(text)
        if len(batch) == chunk:
            flush()
    flush()
    return counts


def choose(vocabulary: dict[str, int], needed: Counter[int], useful: Counter[int], size: int) -> list[int]:
    """Old ids to keep, ascending. Where `useful` runs out the lowest ids follow: BERT's are in order of frequency."""
    kept = {i for piece, i in vocabulary.items() if piece.startswith("[") and piece.endswith("]") and len(piece) > 2}
    kept -= {i for piece, i in vocabulary.items() if piece.startswith("[unused")}
    kept |= {i for piece, i in vocabulary.items() if len(piece.removeprefix("##")) == 1 and piece.isascii()}
    kept |= set(needed)
    candidates = [i for i, _ in sorted(useful.items(), key=lambda item: (-item[1], item[0]))]
    candidates += sorted(i for piece, i in vocabulary.items() if not piece.startswith("[unused"))
    for candidate in candidates:
        if len(kept) >= size:
            break
        kept.add(candidate)
    return sorted(kept)


def cut_tokenizer(source: str, kept: list[int]) -> str:
    """A tokenizer.json whose ids are the places in `kept`. Padding and truncation are left to the reader."""
    document = json.loads(source)
    place = {old: new for new, old in enumerate(kept)}
    pieces = document["model"]["vocab"]
    document["model"]["vocab"] = {piece: place[i] for piece, i in pieces.items() if i in place}
    for token in document["added_tokens"]:
        token["id"] = place[token["id"]]
    special = document["post_processor"].get("special_tokens", {})
    for token in special.values():
        token["ids"] = [place[i] for i in token["ids"]]
    for key in ("sep", "cls"):
        if key in document["post_processor"]:
            piece, old = document["post_processor"][key]
            document["post_processor"][key] = [piece, place[old]]
    document["padding"] = document["truncation"] = None
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"


def choose_for(tokenizer: Tokenizer, texts: Iterable[str], useful: Iterable[str], size: int) -> list[int]:
    """The pieces to keep of a tokenizer: those `texts` use twice or more, then the most frequent of `useful`."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    needed = Counter({piece: n for piece, n in count_pieces(tokenizer, texts).items() if n > 1})
    return choose(tokenizer.get_vocab(), needed, count_pieces(tokenizer, useful), size)
