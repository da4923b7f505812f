"""The first stage: a linear model over hashed words that spares the classifier sentences without an adverse event.

A sentence's features are its words, the pairs of neighbouring words, and each word's strings of 3 to 5 characters; the
weight of each is one signed byte, found by a hash. The score is integer arithmetic from start to end, so it is the same
to the bit on every machine, in any batch and order. It costs some 20 microseconds a sentence; the classifier costs two
thousand.

**What a spared sentence's reading is**: the share of adverse-event sentences among those that training spared, as its
probability, with the p-values of that probability (so its verdict is "not" at any usual error rate; ADEs that are
spared come on top of that rate); no spans, no pairs. What it spares and what it loses on
which kind of text is in docs/results/inference.md. It knows English words alone: a sentence of words it has never seen
scores about zero, which lets it through.

The file is one line of JSON (`Header`) and the weights, deflated. It is made by `vigilia train first-stage`, needs no
model to be used, and its hash stands in the artefact's manifest.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from inference.artefact import Artefact
from inference.classifier import Classifier, Reading
from streams.errors import WrongModel

__all__ = ["FILE", "FirstStage", "Header", "Screened", "buckets", "first_stage_of"]

FILE = "first_stage.bin"  # its name in an artefact
FORMAT = 2  # 1 had the weights as they are
MOST_WORDS = 50_000  # whose sums are remembered
LONGEST_WORD = 40  # characters of it that are looked at
_WORD = re.compile(r"[^\W\d_]+|\d+|[^\w\s]|_")
_START, _END = 1, 2  # stand for a word's hash at the ends of a sentence
_MIX = 0x9E3779B1


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line of the file. `probability` is that of a spared sentence, `trained` says on what."""

    format: int
    bits: int
    threshold: int
    probability: float
    trained: dict[str, str]


def words(sentence: str) -> list[str]:
    """Runs of letters, runs of digits (all alike), and single marks; lower case.

    >>> words("Fever 103.5 after DTP")
    ['fever', '0', '.', '0', 'after', 'dtp']
    """
    return ["0" if word.isdigit() else word[:LONGEST_WORD] for word in _WORD.findall(sentence.lower())]


def own_buckets(word: str, mask: int) -> tuple[int, list[int]]:
    """(the word's hash, the buckets of the word itself and of its strings of 3 to 5 characters)."""
    hashed = zlib.crc32(word.encode("utf-8", "surrogatepass"))
    found = [hashed & mask]
    if len(word) > 2:
        edged = f"<{word}>"
        for size in (3, 4, 5):
            for start in range(len(edged) - size + 1):
                found.append(zlib.crc32(edged[start : start + size].encode("utf-8", "surrogatepass"), size) & mask)
    return hashed, found


def _joint(first: int, second: int, mask: int) -> int:
    return (first * _MIX + second) >> 7 & mask


def buckets(sentence: str, bits: int) -> list[int]:
    """The buckets of all features of a sentence, as often as each occurs; at least one. What training sees."""
    mask = (1 << bits) - 1
    found: list[int] = []
    previous = _START
    for word in words(sentence):
        hashed, own = own_buckets(word, mask)
        found += own
        found.append(_joint(previous, hashed, mask))
        previous = hashed
    found.append(_joint(previous, _END, mask))
    return found


def _inflated(deflated: bytes, size: int) -> bytes:
    """The weights. Raises ValueError or zlib.error if they are not `size` bytes and nothing else."""
    inflater = zlib.decompressobj()
    weights = inflater.decompress(deflated, size + 1)
    if not inflater.eof or inflater.unused_data:
        raise ValueError(f"the weights are cut short, or there are more than {size}")
    return weights


class FirstStage:
    """Scores sentences. Safe to use from several threads. Raises ValueError if the weights don't fit the header."""

    def __init__(self, header: Header, weights: bytes) -> None:
        if len(weights) != 1 << header.bits:
            raise ValueError(f"{len(weights)} weights instead of {1 << header.bits}")
        self.header = header
        self.spared = Reading(header.probability)
        self._mask = (1 << header.bits) - 1
        self._weights = memoryview(weights).cast("b")
        self._known: dict[str, tuple[int, int, int]] = {}  # word: its hash, the sum of its own weights, their number

    @classmethod
    def load(cls, path: Path) -> FirstStage:
        """Read a file. Raises WrongModel."""
        try:
            line, _, deflated = path.read_bytes().partition(b"\n")
            header = msgspec.json.decode(line, type=Header)
            if header.format != FORMAT:
                raise WrongModel(f"{path}: format {header.format}, this vigilia reads {FORMAT}")
            return cls(header, _inflated(deflated, 1 << header.bits))
        except OSError as error:
            raise WrongModel(f"{path}: {error.strerror}") from error
        except (msgspec.MsgspecError, ValueError, zlib.error) as error:
            raise WrongModel(f"{path}: {error}") from error

    def encoded(self) -> bytes:
        """The file that `load` reads."""
        return msgspec.json.encode(self.header) + b"\n" + zlib.compress(self._weights.tobytes(), 9)

    def score(self, sentence: str) -> int:
        """The larger, the more like an adverse event: the weights' sum over the root of their number, squared.

        The square keeps its sign and is rounded down: integers throughout.
        """
        total, number, previous = 0, 1, _START
        weights, mask, known = self._weights, self._mask, self._known
        for word in words(sentence):
            hashed, own, size = known.get(word) or self._learn(word)
            total += own + weights[(previous * _MIX + hashed) >> 7 & mask]
            number += size + 1
            previous = hashed
        total += weights[_joint(previous, _END, mask)]
        return total * abs(total) // number

    def reading(self, sentence: str) -> Reading | None:
        """The reading of a sentence that is spared; None for one that the classifier has to read."""
        return self.spared if self.score(sentence) < self.header.threshold else None

    def _learn(self, word: str) -> tuple[int, int, int]:
        hashed, own = own_buckets(word, self._mask)
        found = (hashed, sum(self._weights[bucket] for bucket in own), len(own))
        if len(self._known) >= MOST_WORDS:
            self._known.clear()
        self._known[word] = found
        return found


def first_stage_of(artefact: Artefact) -> FirstStage | None:
    """The first stage of a verified artefact; None if it has none. Raises WrongModel."""
    name = artefact.manifest.first_stage
    if name is None:
        return None
    stage, conformal = FirstStage.load(artefact.folder / name), artefact.manifest.conformal
    if conformal is not None:
        stage.spared = stage.spared._replace(conformity=conformal.conformity(stage.spared.probability))
    return stage


class Screened:
    """A `Classifier` behind a first stage, for whoever has no micro-batcher. `close` closes the classifier."""

    def __init__(self, classifier: Classifier, stage: FirstStage) -> None:
        self._classifier, self._stage = classifier, stage

    @property
    def model(self) -> str:
        """The classifier's."""
        return self._classifier.model

    def classify(self, sentences: Sequence[str]) -> list[Reading]:
        """One reading a sentence, in order. Raises what the classifier raises."""
        found = [self._stage.reading(sentence) for sentence in sentences]
        rest = iter(self._classifier.classify([s for s, r in zip(sentences, found, strict=True) if r is None]))
        return [next(rest) if reading is None else reading for reading in found]

    def close(self) -> None:
        """Close the classifier."""
        self._classifier.close()
