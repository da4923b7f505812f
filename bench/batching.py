"""`python -m bench.batching`: the micro-batcher beside bare onnxruntime, in process and through Triton; 2 minutes.

Sentences of VAERS narratives (1999 and 2000), split as the product splits them, as many texts waiting at once as in the
worker; no first stage, no cache. The limit is `InferenceSession.run` alone on the very batches that the batcher made,
as arrays made beforehand, with as many threads as the classifier has. The machine's speed drifts, so the two take
turns: bare, batcher, bare, ... and a ratio is the median over the rounds of the batcher's rate to the mean of the bare
ones before and after it. Rates are taken between 15% and 90% of a round.

Queue time: texts come at random moments (exponential gaps, a fixed seed) with half the sentences a second that the
batcher was measured to read in the same way; seconds from `classify` to the start of the sentence's batch.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.firststage import narratives
from bench.throughput import BareModel
from inference.artefact import load_artefact
from inference.batching import SERVER_LINGER, Adaptive, Fixed, MicroBatcher
from inference.batching.limit import Limit
from inference.classifier import Classifier, Reading
from inference.onnx import OnnxClassifier
from inference.triton import TritonClassifier, address_of
from streams.assess.reading import MOST_TEXTS
from streams.assess.sentences import sentences_of
from streams.commands.output import print_table
from streams.worker.work import SWITCH_SECONDS
from tests.lab import load_tool

DATA = Path("../shared/data")
YEARS = (1999, 2000)
SENTENCES = 1500  # a round
ROUNDS = 3
HALF_LOAD_SECONDS = 20.0
SERVER_THREADS = 2  # configs/cpu.pbtxt


@dataclass(frozen=True)
class Way:
    """A way to the model: its classifier, how many threads compute in it, and what the worker gives its batcher."""

    name: str
    classifier: Classifier
    threads: int
    limit: Callable[[], Limit]
    linger: float = 0.0


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

    def __init__(self, classifier: Classifier) -> None:
        self.classifier, self.batches = classifier, list[list[str]]()
        self.padding = classifier.padding  # type: ignore[attr-defined]  # both kinds count it
        self.model = classifier.model

    def classify(self, sentences: Sequence[str]) -> list[Reading]:
        self.batches.append(list(sentences))
        return self.classifier.classify(sentences)

    def close(self) -> None: ...


def measured(way: Way, texts: Sequence[list[str]], rounds: int = ROUNDS, seconds: float = HALF_LOAD_SECONDS) -> Found:
    """Ratio, padding and queue time of one way to the model."""
    tapped, limit = Tapped(way.classifier), way.limit()
    asyncio.run(saturated(tapped, limit, way.linger, texts))  # warm, and the batches for the bare runs
    bare = BareModel(tapped.batches, way.threads)
    bares, rates, fills, wastes = [bare.rate()], [], [], []
    for _ in range(rounds):
        rate, batcher = asyncio.run(saturated(tapped, limit, way.linger, texts))
        rates.append(rate)
        fills.append(batcher.figures.fill.mean)
        wastes.append(batcher.figures.padding_waste or 0.0)
        bares.append(bare.rate())
    ratio = median(rate / ((bares[n] + bares[n + 1]) / 2) for n, rate in enumerate(rates))
    in_flight = limit.now
    queue, answers = asyncio.run(half_load(tapped, limit, way.linger, texts, median(rates) / 2, seconds))
    return Found(
        way.name,
        median(rates),
        median(bares),
        ratio,
        median(wastes),
        median(fills),
        in_flight,
        queue.figures.queue_seconds.quantile(0.50) * 1000,
        queue.figures.queue_seconds.quantile(0.99) * 1000,
        sorted(answers)[int(len(answers) * 0.99)] * 1000,
    )


async def saturated(
    classifier: Classifier, limit: Limit, linger: float, texts: Sequence[list[str]]
) -> tuple[float, MicroBatcher]:
    """Sentences a second between 15% and 90% of the texts' sentences, everything waiting."""
    turns, total = asyncio.Semaphore(MOST_TEXTS), sum(map(len, texts))
    done: list[tuple[float, int]] = []
    async with MicroBatcher(classifier, limit=limit, linger=linger) as batcher:

        async def read(text: list[str]) -> None:
            async with turns:
                await batcher.classify(text)
            done.append((time.monotonic(), batcher.sentences))

        await asyncio.gather(*(read(text) for text in texts))
    begin, end = (next(d for d in done if d[1] >= share * total) for share in (0.15, 0.90))
    return (end[1] - begin[1]) / (end[0] - begin[0]), batcher


async def half_load(
    classifier: Classifier, limit: Limit, linger: float, texts: Sequence[list[str]], rate: float, seconds: float
) -> tuple[MicroBatcher, list[float]]:
    """Texts at random moments, `rate` sentences a second; the batcher, and how long each text's answer took."""
    chance = random.Random(7)
    gap = sum(map(len, texts)) / len(texts) / rate  # seconds between texts, on average
    answers: list[float] = []
    async with MicroBatcher(classifier, limit=limit, linger=linger) as batcher:

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
    tool = load_tool("triton")
    try:
        tool.environment()
    except tool.Missing as error:
        raise SystemExit(f"no Triton: {error}") from error


@contextmanager
def triton() -> Iterator[TritonClassifier]:
    """The client, on a server that serves the shipped model with `configs/cpu.pbtxt`."""
    with load_tool("triton").Server() as server:
        client = TritonClassifier(load_artefact(None), [address_of(server.grpc)])
        try:
            client.check()
            yield client
        finally:
            client.close()


def table(rounds: int = ROUNDS, seconds: float = HALF_LOAD_SECONDS, sentences: int = SENTENCES) -> list[Found]:
    """All ways, in the order of the rows: in process with one thread and with two, through Triton."""
    sys.setswitchinterval(SWITCH_SECONDS)  # as in the worker: with 5 ms the model waits for the interpreter
    texts = vaers(sentences)
    found = []
    for threads in (1, SERVER_THREADS):
        name = f"in process, {threads} thread" + ("s" if threads > 1 else "")
        way = Way(name, OnnxClassifier(load_artefact(None), threads), threads, Fixed)
        found.append(measured(way, texts, rounds, seconds))
    with triton() as client:
        way = Way(f"Triton, {SERVER_THREADS} threads", client, SERVER_THREADS, Adaptive, SERVER_LINGER)
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
