"""`python -m bench.firststage`: what the first stage lets through and spares, what the cache holds, what lengths cost.

On text that neither the stage nor the model was trained on: the development fold of ADE-Corpus, PsyTAR's development
posts, the test notes of MTS-Dialog and ACI-Bench, VAERS narratives of 1999 and 2000. Takes some four minutes on two
cores. Speeds are sentences a CPU second, with one thread of onnxruntime: they do not depend on the neighbours.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import io
import random
import time
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.corpora import sections, visits
from bench.throughput import formed
from inference.artefact import Artefact, load_artefact
from inference.batching import MicroBatcher, estimated_pieces
from inference.cache import SentenceCache
from inference.classifier import Reading
from inference.first_stage import FirstStage, first_stage_of
from inference.onnx import OnnxClassifier
from streams.assess.sentences import sentences_of
from streams.commands.output import print_table
from training.data import Sentence, load_ade, split_ade, split_psytar

CACHE = 16_384  # as `Settings.sentence_cache`
BUDGET = 2048  # padded pieces of a batch, the batcher's default
TIMED = 1500  # sentences a source, for speeds
NARRATIVES = 900  # reports a year


class Source(NamedTuple):
    """Texts as lists of sentences; `gold` says of each sentence whether it asserts an adverse event, where known."""

    name: str
    texts: list[list[str]]
    gold: list[bool] | None = None

    @property
    def sentences(self) -> list[str]:
        return [sentence for text in self.texts for sentence in text]


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m bench.firststage", description=__doc__)
    options.add_argument("--data", type=Path, default=Path("../shared/data"))
    options.add_argument("--artefact", type=Path)
    options.add_argument("--quick", action="store_true", help="a tenth of the texts")
    given = options.parse_args()
    artefact = load_artefact(given.artefact)
    stage = first_stage_of(artefact)
    if stage is None:
        raise SystemExit(f"{artefact.model} has no first stage; `vigilia train first-stage` makes one")
    found = sources(given.data)
    if given.quick:
        found = [Source(s.name, s.texts[::10], s.gold and [g for t in _gold(s)[::10] for g in t]) for s in found]
    classifier = OnnxClassifier(artefact)
    print(f"{artefact.model}, first stage trained with {stage.header.trained}\n")
    columns = (
        "text",
        ">sentences",
        ">positive",
        ">let through",
        ">spared",
        ">read as ADE",
        ">of them let through",
        ">pairs",
        ">of them let through",
    )
    print_table(columns, [losses(source, classifier, stage, artefact) for source in found])
    columns = (
        "text",
        ">bare",
        ">first stage",
        ">and cache",
        ">cache hits",
        ">padding",
        ">rows a run, in order",
        ">by length",
        ">us a sentence, first stage",
    )
    print_table(columns, [speeds(source, classifier, stage) for source in found])


def losses(source: Source, classifier: OnnxClassifier, stage: FirstStage, artefact: Artefact) -> tuple[object, ...]:
    """What gets through: of the labelled positives, of what the model alone calls positive, of sentences with pairs."""
    texts = source.sentences
    through = [stage.reading(text) is None for text in texts]
    distinct = sorted(set(texts), key=len)
    readings = dict(zip(distinct, classifier.classify(distinct), strict=True))

    def share(chosen: Iterable[bool]) -> tuple[str, str]:
        kept = [passed for passed, wanted in zip(through, chosen, strict=True) if wanted]
        return f"{len(kept):,}", f"{sum(kept) / len(kept):.2%}" if kept else ""

    gold = share(source.gold) if source.gold else ("", "")
    threshold, least = artefact.manifest.threshold, artefact.manifest.pair_threshold
    said = share(readings[text].probability >= threshold for text in texts)
    paired = share(_best(readings[text]) >= least for text in texts)
    spared = f"{1 - sum(through) / len(through):.1%}"
    return (source.name, f"{len(texts):,}", *gold, spared, *said, *paired)


def speeds(source: Source, classifier: OnnxClassifier, stage: FirstStage) -> tuple[object, ...]:
    """Sentences a CPU second in three ways, on the same texts; the share the cache answers; padding; rows a run."""
    chosen: list[list[str]] = []
    for text in source.texts:
        if sum(map(len, chosen)) < TIMED:
            chosen.append(text)
    sentences = [s for text in chosen for s in text]
    bare = rate(chosen, classifier, None, None)
    staged = rate(chosen, classifier, stage, None)
    both = rate(chosen, classifier, stage, SentenceCache(CACHE))
    cache = SentenceCache(CACHE)
    for sentence in source.sentences:
        if cache.get(sentence) is None:
            cache.put(sentence, Reading(0.0))
    hits = cache.hits / (cache.hits + cache.misses)
    begun = time.process_time()
    for sentence in sentences:
        stage.reading(sentence)
    microseconds = (time.process_time() - begun) / len(sentences) * 1e6
    as_they_come, padding = shape(in_order(sentences), classifier)
    by_length, _ = shape(formed(chosen), classifier)
    return (
        source.name,
        f"{bare:,.0f}",
        f"{staged:,.0f} ({staged / bare:.2f}x)",
        f"{both:,.0f} ({both / bare:.2f}x)",
        f"{hits:.1%}",
        f"{padding:.1%}",
        f"{as_they_come:.1f}",
        f"{by_length:.1f}",
        f"{microseconds:.0f}",
    )


def rate(
    texts: Sequence[list[str]], classifier: OnnxClassifier, stage: FirstStage | None, cache: SentenceCache | None
) -> float:
    """Sentences a CPU second through the micro-batcher, all texts waiting at once."""

    async def read() -> None:
        async with MicroBatcher(classifier, cache=cache, first_stage=stage) as batcher:
            await asyncio.gather(*(batcher.classify(text) for text in texts))

    begun = time.process_time()
    asyncio.run(read())
    return sum(map(len, texts)) / (time.process_time() - begun)


def in_order(sentences: Sequence[str]) -> Iterator[list[str]]:
    """Batches of the same budget that take sentences as they come."""
    group: list[str] = []
    pieces = 0
    for sentence in sentences:
        size = estimated_pieces(sentence)
        if group and pieces + size > BUDGET:
            yield group
            group, pieces = [], 0
        group.append(sentence)
        pieces += size
    if group:
        yield group


def shape(found: Iterable[Sequence[str]], classifier: OnnxClassifier) -> tuple[float, float]:
    """(rows a run, share of the pieces that is padding) of batches; a run holds one padded length."""
    runs = rows = padded = real = 0
    step = classifier.artefact.manifest.length_step
    for batch in found:
        lengths: dict[int, int] = defaultdict(int)
        for window in classifier.windows(batch):
            length = -(-len(window.ids) // step) * step
            lengths[length] += 1
            padded, real = padded + length, real + len(window.ids)
        runs, rows = runs + len(lengths), rows + sum(lengths.values())
    return rows / runs, 1 - real / padded


# ---------------------------------------------------------------- texts


def sources(data: Path) -> list[Source]:
    """The texts, in the order of the table."""
    patients = [s for s in split_psytar(data / "psytar").development if not s.withdrawal_only]
    return [
        labelled("ADE-Corpus abstracts", split_ade(load_ade(data / "ade_corpus_v2")).development),
        labelled("PsyTAR posts", patients),
        Source("MTS-Dialog notes", [sentences_of(n.text) for n in sections(data) if "TestSet" in n.case_id]),
        Source("ACI-Bench notes", [sentences_of(n.text) for n in visits(data) if "test" in n.case_id]),
        Source("VAERS narratives", [sentences_of(t) for year in (1999, 2000) for t in narratives(data, year)]),
    ]


def labelled(name: str, sentences: Sequence[Sentence]) -> Source:
    """Sentences grouped by document."""
    documents: dict[str, list[Sentence]] = defaultdict(list)
    for sentence in sentences:
        documents[sentence.document].append(sentence)
    texts = [[s.text for s in document] for document in documents.values()]
    return Source(name, texts, [s.positive for document in documents.values() for s in document])


def narratives(data: Path, year: int) -> list[str]:
    """Some narratives of a year, drawn with a fixed seed."""
    with zipfile.ZipFile(data / "vaers_1990_2006" / f"{year}VAERSData.zip") as archive:
        (name,) = [n for n in archive.namelist() if n.upper().endswith("DATA.CSV")]
        with archive.open(name) as raw:
            rows = csv.DictReader(io.TextIOWrapper(raw, encoding="latin-1", newline=""))
            texts = [row["SYMPTOM_TEXT"] for row in rows if row.get("SYMPTOM_TEXT")]
    return random.Random(year).sample(texts, min(NARRATIVES, len(texts)))


def _gold(source: Source) -> list[list[bool]]:
    assert source.gold is not None
    rest = iter(source.gold)
    return [[next(rest) for _ in text] for text in source.texts]


def _best(reading: Reading) -> float:
    return max((pair.probability for pair in reading.pairs), default=0.0)


if __name__ == "__main__":
    main()
