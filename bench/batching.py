"""`python -m bench.batching`: the micro-batcher beside bare onnxruntime, in process and through Triton; 9 minutes.

Sentences of VAERS narratives (1999 and 2000), split as the product splits them, as many texts waiting at once as in the
worker; no first stage, no cache. The limit is `InferenceSession.run` alone on the very runs that the batcher made, as
arrays made beforehand, as many side by side as the classifier or the server makes. The machine's speed drifts by a
quarter within seconds, so the two take turns in short rounds: bare, batcher, bare, ... and a ratio is that of the
seconds of all rounds, each of the batcher's beside the mean of the bare ones before and after it. A round is the whole
of it, from the first sentence that is asked to the last that is answered: so the batcher pays for a beginning and an
end, when there is nothing to do side by side, which the bare runtime does not have.

Queue time: texts come at random moments (exponential gaps, a fixed seed) with half the sentences a second that the
batcher was measured to read in the same way; seconds from `classify` to the start of the sentence's batch.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import harmonic_mean, median

from bench.firststage import narratives
from bench.throughput import BareModel
from inference.artefact import load_artefact
from inference.batching import AHEAD, PIECES, SERVER_LINGER, SERVER_PIECES, Adaptive, Fixed, MicroBatcher
from inference.batching.limit import Limit
from inference.classifier import Classifier, Reading
from inference.graph import GraphClassifier
from inference.onnx import OnnxClassifier
from inference.triton import TritonClassifier, address_of
from streams.assess.reading import MOST_TEXTS
from streams.assess.sentences import sentences_of
from streams.commands.output import print_table
from streams.worker.work import share_cores
from tools.triton import Missing, Server, environment

DATA = Path("../shared/data")
YEARS = (1999, 2000)
SENTENCES = 1000  # a round
ROUNDS = 30
HALF_LOAD_SECONDS = 30.0
SERVER_INSTANCES = 2  # configs/cpu.pbtxt


@dataclass(frozen=True)
class Way:
    """A way to the model: its classifier, its runs side by side, and what the worker gives its batcher."""

    name: str
    classifier: GraphClassifier
    threads: int
    limit: Callable[[], Limit]
    tokens: int  # bounds a run
    linger: float = 0.0
    pieces: int = PIECES

    def batcher(self, classifier: Classifier, limit: Limit) -> MicroBatcher:
        """As the worker opens it."""
        return MicroBatcher(classifier, self.pieces, limit=limit, linger=self.linger)


@dataclass(frozen=True)
class Found:
    """Sentences a second, the ratio to the bare runtime, padding; queue and answer times at half load, in ms."""

    way: str
    rate: float
    bare: float
    ratio: float
    padding_waste: float
    fill: float
    in_flight: int
    queue_p50_ms: float
    queue_p99_ms: float
    answer_p99_ms: float


class Tapped:
    """The classifier, with a note of every batch."""

    def __init__(self, classifier: GraphClassifier) -> None:
        self.classifier, self.batches = classifier, list[list[str]]()
        self.padding = classifier.padding
        self.model = classifier.model

    def classify(self, sentences: Sequence[str]) -> list[Reading]:
        self.batches.append(list(sentences))
        return self.classifier.classify(sentences)

    def close(self) -> None: ...


def measured(way: Way, texts: Sequence[list[str]], rounds: int = ROUNDS, seconds: float = HALF_LOAD_SECONDS) -> Found:
    """Ratio, padding and queue time of one way to the model."""
    tapped, limit = Tapped(way.classifier), way.limit()
    asyncio.run(saturated(way, tapped, limit, texts))  # warm
    tapped.batches.clear()
    asyncio.run(saturated(way, tapped, limit, texts))  # the batches for the bare runs
    shared = way.classifier if isinstance(way.classifier, OnnxClassifier) else None
    bare = BareModel(tapped.batches, way.threads, way.tokens, shared=shared)
    bares, rates, fills, wastes = [bare.rate()], list[float](), list[float](), list[float]()
    for _ in range(rounds):
        rate, batcher = asyncio.run(saturated(way, tapped, limit, texts))
        rates.append(rate)
        fills.append(batcher.figures.fill.mean)
        wastes.append(batcher.figures.padding_waste or 0.0)
        bares.append(bare.rate())
    in_flight = limit.now
    queue, answers = asyncio.run(half_load(way, tapped, limit, texts, harmonic_mean(rates) / 2, seconds))
    alone = harmonic_mean([harmonic_mean(pair) for pair in pairwise(bares)])
    return Found(
        way.name,
        harmonic_mean(rates),
        alone,
        harmonic_mean(rates) / alone,
        median(wastes),
        median(fills),
        in_flight,
        queue.figures.queue_seconds.quantile(0.50) * 1000,
        queue.figures.queue_seconds.quantile(0.99) * 1000,
        sorted(answers)[int(len(answers) * 0.99)] * 1000,
    )


async def saturated(
    way: Way, classifier: Classifier, limit: Limit, texts: Sequence[list[str]]
) -> tuple[float, MicroBatcher]:
    """Sentences a second, everything waiting."""
    turns = asyncio.Semaphore(MOST_TEXTS)
    async with way.batcher(classifier, limit) as batcher:

        async def read(text: list[str]) -> None:
            async with turns:
                await batcher.classify(text)

        begun = time.monotonic()
        await asyncio.gather(*(read(text) for text in texts))
        return sum(map(len, texts)) / (time.monotonic() - begun), batcher


async def half_load(
    way: Way, classifier: Classifier, limit: Limit, texts: Sequence[list[str]], rate: float, seconds: float
) -> tuple[MicroBatcher, list[float]]:
    """Texts at random moments, `rate` sentences a second; the batcher, and how long each text's answer took."""
    chance = random.Random(7)
    gap = sum(map(len, texts)) / len(texts) / rate  # seconds between texts, on average
    answers: list[float] = []
    async with way.batcher(classifier, limit) as batcher:

        async def read(text: list[str]) -> None:
            begun = time.monotonic()
            await batcher.classify(text)
            answers.append(time.monotonic() - begun)

        loop, at = asyncio.get_running_loop(), 0.0
        tasks: list[asyncio.Task[None]] = []
        begun = loop.time()
        while at < seconds:
            at += chance.expovariate(1 / gap)
            await asyncio.sleep(max(0.0, begun + at - loop.time()))
            tasks.append(asyncio.create_task(read(texts[len(tasks) % len(texts)])))
        await asyncio.gather(*tasks)
    return batcher, answers


def vaers(sentences: int = SENTENCES, data: Path = DATA) -> list[list[str]]:
    """Narratives as lists of sentences, so many sentences in all."""
    texts: list[list[str]] = []
    drawn = [text for year in YEARS for text in narratives(data, year)]
    random.Random(1).shuffle(drawn)
    for text in drawn:
        if sum(map(len, texts)) >= sentences:
            break
        if split := sentences_of(text):
            texts.append(split)
    return texts


def make_server_ready() -> None:
    """Make the server's environment if it is not there. Raises SystemExit where it can't be had."""
    try:
        environment()
    except Missing as error:
        raise SystemExit(f"no Triton: {error}") from error


@contextmanager
def triton() -> Iterator[TritonClassifier]:
    """The client, on a server that serves the shipped model with `configs/cpu.pbtxt`."""
    with Server() as server:
        client = TritonClassifier(load_artefact(None), [address_of(server.grpc)])
        try:
            client.check()
            yield client
        finally:
            client.close()


def table(rounds: int = ROUNDS, seconds: float = HALF_LOAD_SECONDS, sentences: int = SENTENCES) -> list[Found]:
    """All ways, in the order of the rows: in process with one thread and with two, through Triton."""
    share_cores()
    texts = vaers(sentences)
    found = []
    for threads in (1, 2):
        name = f"in process, {threads} thread" + ("s" if threads > 1 else "")
        classifier = OnnxClassifier(load_artefact(None), threads)
        way = Way(name, classifier, threads, partial(Fixed, threads + AHEAD), classifier.tokens)
        found.append(measured(way, texts, rounds, seconds))
    with triton() as client:
        name = f"Triton, {SERVER_INSTANCES} instances"
        way = Way(name, client, SERVER_INSTANCES, Adaptive, client.tokens, SERVER_LINGER, SERVER_PIECES)
        found.append(measured(way, texts, rounds, seconds))
    return found


def show(found: Sequence[Found]) -> None:
    """Print the rows."""
    columns = (
        "VAERS sentences",
        ">a second",
        ">bare",
        ">ratio",
        ">padding",
        ">fill",
        ">in flight",
        ">queue p50 ms",
        ">p99 ms, half load",
        ">answer p99 ms",
    )
    rows = [
        (
            f.way,
            f"{f.rate:,.0f}",
            f"{f.bare:,.0f}",
            f"{f.ratio:.3f}",
            f"{f.padding_waste:.1%}",
            f"{f.fill:.0%}",
            f"{f.in_flight}",
            f"{f.queue_p50_ms:.1f}",
            f"{f.queue_p99_ms:.1f}",
            f"{f.answer_p99_ms:.0f}",
        )
        for f in found
    ]
    print_table(columns, rows)


def figures(found: Sequence[Found]) -> dict[str, float]:
    """For bench/latest.json. One thread in process is what the worker has unless told otherwise."""
    one, two, server = found
    return {
        "inprocess_ratio": round(one.ratio, 4),
        "inprocess_two_threads_ratio": round(two.ratio, 4),
        "triton_ratio": round(server.ratio, 4),
        "padding_waste": round(max(f.padding_waste for f in found), 4),
        "queue_p99_ms": round(one.queue_p99_ms, 1),
        "queue_two_threads_p99_ms": round(two.queue_p99_ms, 1),
        "queue_triton_p99_ms": round(server.queue_p99_ms, 1),
    }


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m bench.batching", description=__doc__)
    options.add_argument("--quick", action="store_true", help="one round, short: to see that it runs")
    quick = options.parse_args().quick
    make_server_ready()
    found = table(1, 5.0, 600) if quick else table()
    show(found)
    print(figures(found))


if __name__ == "__main__":
    main()
