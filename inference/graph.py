"""What the exported graph is asked and how its answer is read, whatever runs it: in this process or in Triton.

Every sentence is padded to the next multiple of the artefact's `length_step`, and a run holds sentences of one padded
length only. The graph sums nothing across rows. So a sentence gives the same bits alone and in any company, as long as
the same kind of runtime on the same kind of machine is asked: a replay with other batch sizes raises the same alerts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from tokenizers import Tokenizer

from inference.artefact import Artefact
from inference.classifier import Pair, Reading, TextSpan
from inference.decoding import DecodedSpan, Range, Words, decode_spans, span_pair_logit, words_of
from inference.padding import Padding
from streams.errors import PoisonInput, WrongModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

INPUTS = ("input_ids", "attention_mask")
OUTPUTS = ("sentence", "drug", "effect", "pair")
OVERLAP = 16  # pieces that two windows of a sentence longer than the model's limit share
MAX_ROWS = 64
UNRELATED = 0.0  # pair logit of two spans that no window holds together: nothing was said for or against


class Window(NamedTuple):
    """What the model sees at once: a sentence, or one of the overlapping parts of a very long one.

    `hidden` lists pieces that are kept out of attention, as if they were padding (`inference.explain`).
    """

    sentence: int
    ids: list[int]
    words: Words
    hidden: Sequence[int] = ()


class Batch(NamedTuple):
    """One run of the graph: windows as rows of one padded length. `ids` and `mask` are int64 [rows, length].

    `single`: all its rows are windows of one sentence.
    """

    ids: NDArray[np.int64]
    mask: NDArray[np.int64]
    single: bool


class Outputs(NamedTuple):
    """What a run gives, float32: [rows, 1], [rows, length, 3] twice, [rows, length, length]."""

    sentence: NDArray[np.float32]
    drug: NDArray[np.float32]
    effect: NDArray[np.float32]
    pair: NDArray[np.float32]


class Scores(NamedTuple):
    """The model's answer for one window: logit of the sentence, word rows of logits for each head, pieces by pieces."""

    logit: float
    drug: NDArray[np.float32]
    effect: NDArray[np.float32]
    pair: NDArray[np.float32]


class Raw(NamedTuple):
    """A sentence's logit, spans and pairs (index of the drug, of the effect, logit), not calibrated."""

    logit: float
    drugs: list[DecodedSpan]
    effects: list[DecodedSpan]
    pairs: list[tuple[int, int, float]]


class GraphClassifier(ABC):
    """A `Classifier` on the artefact's graph, but for running it.

    `tokens` bounds the padded pieces of one run, and with it the memory.
    """

    def __init__(self, artefact: Artefact, tokens: int = 2048) -> None:
        self.artefact = artefact
        self.padding = Padding()
        self._step = artefact.manifest.length_step
        self.tokens = max(tokens, artefact.manifest.max_length)
        self._tokenizer = _tokenizer(artefact)

    @abstractmethod
    def run(self, batches: Sequence[Batch]) -> Iterator[Outputs]:
        """The graph's outputs for each batch, in order. Raises a ClassifierError; PoisonInput as `classify`."""

    @abstractmethod
    def close(self) -> None:
        """Release what the runtime holds. Later calls raise Unavailable."""

    @property
    def model(self) -> str:
        """`name@prefix` of the artefact."""
        return self.artefact.model

    def classify(self, sentences: Sequence[str]) -> list[Reading]:
        """One reading a sentence, in order. Raises PoisonInput for what can't be encoded or scored."""
        return [self._reading(text, raw) for text, raw in zip(sentences, self.raw(sentences), strict=True)]

    def raw(self, sentences: Sequence[str]) -> list[Raw]:
        """What the model says before calibration: for training and evaluation. Raises as `classify`."""
        windows = self.windows(sentences)
        parts: list[list[tuple[Window, Scores]]] = [[] for _ in sentences]
        for window, scores in zip(windows, self.scores(windows), strict=True):
            parts[window.sentence].append((window, scores))
        return [_joined(part) for part in parts]

    def windows(self, sentences: Sequence[str]) -> list[Window]:
        """The sentences as the model sees them, in order. Raises PoisonInput for what can't be encoded."""
        try:
            encodings = self._tokenizer.encode_batch(list(sentences))
        except (TypeError, UnicodeError) as error:
            raise PoisonInput(f"a sentence can't be encoded: {type(error).__name__}") from error
        return [
            Window(index, part.ids, words_of(part.word_ids, part.offsets))
            for index, whole in enumerate(encodings)
            for part in (whole, *whole.overflowing)
        ]

    def scores(self, windows: Sequence[Window]) -> list[Scores]:
        """The model's answers, in order. Raises as `classify`."""
        runs = list(self._runs(windows))
        batches = [self.batch([windows[i] for i in members]) for members in runs]
        for members, batch in zip(runs, batches, strict=True):
            self.padding.add(sum(len(windows[i].ids) for i in members), batch.ids.size)
        found: list[Scores | None] = [None] * len(windows)
        for members, outputs in zip(runs, self.run(batches), strict=True):
            if not all(np.isfinite(output).all() for output in outputs):
                raise PoisonInput("the model gave a score that is not a number")
            sentence, drug, effect, pair = outputs
            for row, index in enumerate(members):
                first = windows[index].words.first_piece
                found[index] = Scores(float(sentence[row, 0]), drug[row, first], effect[row, first], pair[row])
        return [score for score in found if score is not None]

    def _runs(self, windows: Sequence[Window]) -> Iterator[list[int]]:
        """Which windows, by their indices, go through the graph together: they have one padded length."""
        by_length: dict[int, list[int]] = defaultdict(list)
        for index, window in enumerate(windows):
            by_length[self._padded(window)].append(index)
        for length, members in sorted(by_length.items()):
            rows = max(1, min(MAX_ROWS, self.tokens // length))
            for start in range(0, len(members), rows):
                yield members[start : start + rows]

    def _padded(self, window: Window) -> int:
        return -(-len(window.ids) // self._step) * self._step

    def batch(self, windows: Sequence[Window]) -> Batch:
        """Windows of one padded length as a run of the graph."""
        ids = np.zeros((len(windows), self._padded(windows[0])), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, window in enumerate(windows):
            ids[row, : len(window.ids)] = window.ids
            mask[row, : len(window.ids)] = 1
            if window.hidden:
                mask[row, list(window.hidden)] = 0
        return Batch(ids, mask, len({window.sentence for window in windows}) == 1)

    def _reading(self, text: str, raw: Raw) -> Reading:
        manifest = self.artefact.manifest
        probability = manifest.sentence.probability(raw.logit)
        pairs = tuple(
            Pair(d, e, min(probability, manifest.pair.probability(raw.logit, *confidences(raw, d, e), pair_logit)))
            for d, e, pair_logit in raw.pairs
        )
        conformity = manifest.conformal.conformity(probability) if manifest.conformal else None
        return Reading(probability, _texts(text, raw.drugs), _texts(text, raw.effects), pairs, conformity)


def _tokenizer(artefact: Artefact) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(artefact.tokenizer))
    except Exception as error:
        raise WrongModel(f"{artefact.tokenizer}: {error}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(artefact.manifest.max_length, stride=OVERLAP)
    return tokenizer


def confidences(raw: Raw, drug: int, effect: int) -> tuple[float, float]:
    """Confidence of the drug's and of the effect's span, by their indices."""
    return raw.drugs[drug].confidence, raw.effects[effect].confidence


def _joined(parts: Sequence[tuple[Window, Scores]]) -> Raw:
    """One sentence from its windows: the largest logit, the spans of all, every drug with every effect."""
    drugs = _merged(decode_spans(scores.drug, window.words.ranges) for window, scores in parts)
    effects = _merged(decode_spans(scores.effect, window.words.ranges) for window, scores in parts)
    pairs = [
        (d, e, _pair_logit(parts, (drug.start, drug.end), (effect.start, effect.end)))
        for d, drug in enumerate(drugs)
        for e, effect in enumerate(effects)
    ]
    return Raw(max(scores.logit for _, scores in parts), drugs, effects, pairs)


def _pair_logit(parts: Sequence[tuple[Window, Scores]], drug: Range, effect: Range) -> float:
    """The largest over the windows that hold both spans; UNRELATED where there is none."""
    found = (span_pair_logit(scores.pair, window.words, drug, effect) for window, scores in parts)
    return max((logit for logit in found if logit is not None), default=UNRELATED)


def _merged(parts: Iterator[list[DecodedSpan]]) -> list[DecodedSpan]:
    """Spans of all windows in order; of two that overlap, the earlier window's stays."""
    kept: list[DecodedSpan] = []
    for spans in parts:
        kept += [span for span in spans if all(span.start >= k.end or span.end <= k.start for k in kept)]
    return sorted(kept)


def _texts(text: str, spans: Sequence[DecodedSpan]) -> tuple[TextSpan, ...]:
    return tuple(TextSpan(span.start, span.end, text[span.start : span.end]) for span in spans)
