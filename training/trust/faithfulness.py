"""Whether explanations name what the model goes by: `python -m training.trust.faithfulness --run RUN`.

Deletion test (Samek et al. 2017, "Evaluating the visualization of what a deep neural network has learned"; DeYoung et
al. 2020, "ERASER"): words are cut out of the *text*, those with the largest attribution first, and what is left is read
anew. The faster the logit falls, the smaller the area under its curve, the more faithful the order. The text is cut,
while explanations hide pieces from attention: so the test does not repeat what it tests. Development positives that the
model calls ADEs, in an order given by a hash of their documents.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from inference.artefact import load_artefact, shipped_folder
from inference.decoding import Range, words_inside
from inference.explain import ORDERS, decisive_window, explain, values_of
from inference.onnx import OnnxClassifier
from training.data import Sentence, fold_of, load_ade, split_ade
from training.evaluate.metrics import Interval, interval
from training.provenance import command_line, stamp
from training.trust.gradients import Gradients

GRID = tuple(share / 10 for share in range(11))
SENTENCES = 100
AGREEMENT = 20  # of them for the comparison with many orders
MOST_WORDS = 45
CLOSE = 32  # orders that stand for all
RANDOM_ORDERS = 3
RANDOM = "random"

Attributor = Callable[[str], tuple[Sequence[Range], Sequence[float]]]


def shapley(classifier: OnnxClassifier, orders: int = ORDERS) -> Attributor:
    """What the product shows."""

    def attribute(sentence: str) -> tuple[list[Range], list[float]]:
        found = explain(classifier, sentence, orders).words
        return [(word.start, word.end) for word in found], [word.attribution for word in found]

    return attribute


def occlusion(classifier: OnnxClassifier) -> Attributor:
    """What the logit loses when one word alone is hidden."""

    def attribute(sentence: str) -> tuple[list[Range], list[float]]:
        window = decisive_window(classifier, sentence)
        everything = frozenset(range(len(window.words.ranges)))
        whole, *others = values_of(classifier, window, [everything, *(everything - {word} for word in everything)])
        return window.words.ranges, [whole - other for other in others]

    return attribute


def at_random(classifier: OnnxClassifier, seed: int) -> Attributor:
    """No explanation: the referee of a deletion curve."""

    def attribute(sentence: str) -> tuple[list[Range], list[float]]:
        ranges = decisive_window(classifier, sentence).words.ranges
        rng = random.Random(f"{seed}:{sentence}")
        return ranges, [rng.random() for _ in ranges]

    return attribute


def without(sentence: str, ranges: Sequence[Range], deleted: set[int]) -> str:
    """The sentence with some words cut out.

    >>> without("Severe rash, after all.", [(0, 6), (7, 11), (11, 12), (13, 18), (19, 22), (22, 23)], {1, 3})
    'Severe , all.'
    """
    kept, at = [], 0
    for word in sorted(deleted):
        kept.append(sentence[at : ranges[word][0]])
        at = ranges[word][1]
    return " ".join("".join([*kept, sentence[at:]]).split())


def deletion_curve(
    classifier: OnnxClassifier, sentence: str, ranges: Sequence[Range], attributions: Sequence[float]
) -> list[float]:
    """The logit after each share of the words in `GRID` is cut out, largest attribution first."""
    ranked = sorted(range(len(ranges)), key=lambda word: -attributions[word])
    texts = [without(sentence, ranges, set(ranked[: round(share * len(ranked))])) for share in GRID]
    return [raw.logit for raw in classifier.raw(texts)]


def area(curve: Sequence[float]) -> float:
    """Mean of a curve over the shares deleted, by the trapezium rule.

    >>> area([4.0, 2.0, 0.0])
    2.0
    """
    return float(np.trapezoid(curve, dx=1 / (len(curve) - 1)))


@dataclass
class Found:
    """What one method gives: for each sentence its words' attributions, and its deletion curve."""

    attributions: list[Sequence[float]] = field(default_factory=list)
    curves: list[list[float]] = field(default_factory=list)

    @property
    def areas(self) -> np.ndarray[Any, Any]:
        """Area under each sentence's curve."""
        return np.array([area(curve) for curve in self.curves])


def sample(classifier: OnnxClassifier, data: Path, number: int) -> list[Sentence]:
    """Development positives that the model calls ADEs and that fit the window, each from a document of its own."""
    manifest = classifier.artefact.manifest
    development = split_ade(load_ade(data / "ade_corpus_v2"), int(manifest.trained["development_fold"])).development
    ranked = sorted((s for s in development if s.positive), key=lambda s: (fold_of(s.document, 5, 10**9), s.text))
    first = list({s.document: s for s in reversed(ranked)}.values())[::-1]
    readings = classifier.classify([s.text for s in first])
    called = [s for s, r in zip(first, readings, strict=True) if r.probability >= manifest.threshold]
    return [s for s in called if len(decisive_window(classifier, s.text).words.ranges) <= MOST_WORDS][:number]


def measured(classifier: OnnxClassifier, sentences: Sequence[Sentence], method: Attributor) -> Found:
    """A method on all sentences."""
    found = Found()
    for sentence in sentences:
        ranges, attributions = method(sentence.text)
        found.attributions.append(attributions)
        found.curves.append(deletion_curve(classifier, sentence.text, ranges, attributions))
    return found


# ---------------------------------------------------------------- agreement


def agreement(one: Found, other: Found) -> float:
    """Mean over sentences of Spearman's rank correlation of their words' attributions."""
    pairs = zip(one.attributions, other.attributions, strict=False)
    return float(np.mean([spearmanr(a, b).statistic for a, b in pairs if len(a) > 2]))


def in_spans(
    classifier: OnnxClassifier, sentences: Sequence[Sentence], found: Found, top: int = 2
) -> tuple[float, float]:
    """Share of the `top` words of each sentence that lie in its annotated spans, and the share of all words that do."""
    hits, words, expected = 0, 0, 0.0
    for sentence, attributions in zip(sentences, found.attributions, strict=False):
        ranges = decisive_window(classifier, sentence.text).words.ranges
        inside = {word for span in (*sentence.drugs, *sentence.effects) for word in words_inside(ranges, span)}
        ranked = sorted(range(len(ranges)), key=lambda word: -attributions[word])[:top]
        hits += sum(word in inside for word in ranked)
        words += len(ranked)
        expected += len(ranked) * len(inside) / len(ranges)
    return hits / words, expected / words


def resampled(values: np.ndarray[Any, Any], replicates: int = 1000) -> Interval:
    """Mean with its 95% interval over sentences (each is of a document of its own)."""
    rng = np.random.default_rng(1)
    draws = rng.integers(0, len(values), (replicates, len(values)))
    return interval(float(values.mean()), values[draws].mean(axis=1))


# ---------------------------------------------------------------- the page


def compare(classifier: OnnxClassifier, sentences: Sequence[Sentence], run: Path | None) -> dict[str, Found]:
    """Every method on every sentence; integrated gradients if the run's weights are there."""
    methods: dict[str, Attributor] = {
        f"Shapley values, {ORDERS} orders (shown)": shapley(classifier),
        "one word hidden at a time": occlusion(classifier),
        **{f"random {seed}": at_random(classifier, seed) for seed in range(RANDOM_ORDERS)},
    }
    if run is not None:
        gradients = Gradients(run)

        def integrated(sentence: str) -> tuple[Sequence[Range], Sequence[float]]:
            words, attributions, _ = gradients.attributions(sentence)
            return words.ranges, attributions

        methods["integrated gradients (float32, torch)"] = integrated
    found = {name: measured(classifier, sentences, method) for name, method in methods.items()}
    chance = [found.pop(f"random {seed}") for seed in range(RANDOM_ORDERS)]
    curves = np.mean([one.curves for one in chance], axis=0).tolist()
    return {**found, RANDOM: Found(chance[0].attributions, curves)}


def deletion_lines(classifier: OnnxClassifier, sentences: Sequence[Sentence], found: dict[str, Found]) -> list[str]:
    """The deletion test as a table."""
    chance = found[RANDOM].areas
    lines = [
        "| order of deletion | area | less than random | logit after 10% / 20% / 30% | top two in spans |",
        "|---|---|---|---|---|",
    ]
    for name, one in found.items():
        after = np.mean(one.curves, axis=0)[1:4]
        inside, expected = in_spans(classifier, sentences, one)
        cells = [
            _cell(resampled(one.areas)),
            "" if name == RANDOM else _cell(resampled(chance - one.areas)),
            " / ".join(f"{value:.2f}" for value in after),
            f"{expected if name == RANDOM else inside:.2f}",
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _cell(value: Interval) -> str:
    return f"{value.value:.2f} [{value.low:.2f}, {value.high:.2f}]"


def agreement_lines(classifier: OnnxClassifier, sentences: Sequence[Sentence], found: dict[str, Found]) -> list[str]:
    """Rank correlation of each method with Shapley values over many orders."""
    close = Found([shapley(classifier, CLOSE)(s.text)[1] for s in sentences[:AGREEMENT]])
    lines = ["| method | rank correlation |", "|---|---|"]
    return lines + [f"| {name} | {agreement(close, one):.2f} |" for name, one in found.items() if name != RANDOM]


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line entry."""
    options = argparse.ArgumentParser(prog="python -m training.trust.faithfulness", description=__doc__)
    options.add_argument("--artefact", type=Path, default=shipped_folder())
    options.add_argument("--run", type=Path, help="run folder with the artefact's float32 weights, for the referee")
    options.add_argument("--data", type=Path, default=Path("../shared/data"))
    options.add_argument("--sentences", type=int, default=SENTENCES)
    options.add_argument("--page", type=Path, default=Path("docs/results/explain.md"))
    given = options.parse_args(arguments)
    classifier = OnnxClassifier(load_artefact(given.artefact))
    origin = stamp(command_line(arguments, "python -m training.trust.faithfulness"))
    sentences = sample(classifier, given.data, given.sentences)
    found = compare(classifier, sentences, given.run)
    words = [len(one) for one in found[RANDOM].attributions]
    passes = [ORDERS * (n - 1) + 2 for n in words]
    lines = [
        "# What an explanation is worth",
        "",
        f"`{classifier.model}`, measured on {origin['date']} at commit {origin['commit']} on {origin['machine']}.",
        "",
        f"Command: `{origin['command']}`. {len(sentences)} sentences of the development fold that are ADEs and that the"
        f" model calls so, of different documents, {np.mean(words):.0f} words on average (at most {MOST_WORDS}).",
        "",
        f"**Cost**: {np.mean(passes):.0f} forward passes a sentence on average, {max(passes)} at most"
        f" (`{ORDERS} * (words - 1) + 2`); the reading itself takes one.",
        "",
        "## Deletion test",
        "",
        "Words are cut out of the text in the order of their attribution, the largest first, and what is left is read"
        " anew at each tenth of the words. Area: under the curve of the logit; smaller is better. Random: mean of"
        f" {RANDOM_ORDERS} orders. Intervals: 95%, bootstrap of sentences. Last column: share of the two words with the"
        " largest attribution that lie in annotated drug and effect spans (random: what chance gives); a model may go"
        " by other words with reason.",
        "",
        *deletion_lines(classifier, sentences, found),
        "",
        f"## Agreement with Shapley values over {CLOSE} orders",
        "",
        f"Spearman's correlation over the words of a sentence, mean of {min(AGREEMENT, len(sentences))} sentences.",
        "",
        *agreement_lines(classifier, sentences, found),
        "",
    ]
    given.page.write_text("\n".join(lines), encoding="utf-8")
    classifier.close()


if __name__ == "__main__":
    main()
