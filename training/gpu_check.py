"""Whether a Triton server on a GPU gives the answers of the model: `python -m training.gpu_check` (`make gpu-check`).

1. Builds the model in float32 and in float16 (from the shipped int8 artefact, or from a run's folder).
2. Starts the pinned container with the float16 model and the production configuration, and waits until it is ready:
   TensorRT builds its engine meanwhile, which takes minutes.
3. Sends sentences of every length, in batches of 1 to 64 rows, and compares every logit with onnxruntime in float32 on
   this CPU, within the tolerances of a float16 export (`training.export.parity`).
4. Looks whether there is an engine: without TensorRT the answers would be right and the check worth nothing.

Exit status: 0 within the tolerances, 1 beyond them, 2 if it can't be run. Needs Docker with NVIDIA's container toolkit;
`--server HOST:PORT` compares with a server that runs already instead.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

from inference.artefact import MODEL, Artefact, load_artefact, shipped_folder
from inference.graph import MAX_ROWS, OUTPUTS, Batch
from inference.triton.connection import Address, Connection, Question, Tls, address_of
from streams.errors import ClassifierError, VigiliaError
from training.export.artefacts import rebuilt
from training.export.nodes import Precision
from training.export.parity import Difference, Parity, ParityError, check

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["IMAGE", "batches", "compare", "main"]

IMAGE = "nvcr.io/nvidia/tritonserver:24.10-py3"
NAME = "adverse_event"
CACHE = Path(".cache/gpu-check")
ENGINES = "/var/cache/vigilia/tensorrt"  # as in config.pbtxt
READY_SECONDS = 1800.0
ANSWER_SECONDS = 120.0
ROWS = (1, 3, 16, MAX_ROWS)
SEED = 20261122


def batches(artefact: Artefact, seed: int = SEED) -> Iterator[Batch]:
    """Batches of every padded length that is sent and of several numbers of rows, of random pieces.

    Random pieces are harder than sentences: nothing in them is like what the model was trained on. The rows of a batch
    have different numbers of pieces, so that padding counts.
    """
    chance = random.Random(seed)
    manifest = artefact.manifest
    words = _vocabulary(artefact)
    for length in range(manifest.length_step, manifest.max_length + 1, manifest.length_step):
        for rows in ROWS:
            ids = np.zeros((rows, length), dtype=np.int64)
            mask = np.zeros_like(ids)
            for row in range(rows):
                pieces = chance.randint(max(3, length - manifest.length_step + 1), length)
                ids[row, :pieces] = [chance.randrange(words) for _ in range(pieces)]
                mask[row, :pieces] = 1
            yield Batch(ids, mask, single=False)


def _vocabulary(artefact: Artefact) -> int:
    from tokenizers import Tokenizer

    return int(Tokenizer.from_file(str(artefact.tokenizer)).get_vocab_size())


async def compare(reference: Artefact, address: Address, version: str = "") -> Parity:
    """What a server answers beside `reference` on onnxruntime's CPU provider here. Raises a ClassifierError."""
    session: Any = ort.InferenceSession(reference.onnx, providers=["CPUExecutionProvider"])
    connection = Connection(address, NAME, Tls())
    gaps: dict[str, list[NDArray[np.float32]]] = {name: [] for name in OUTPUTS}
    same: list[NDArray[np.bool_]] = []
    rows = 0
    try:
        for batch in batches(reference):
            found = await connection.infer(Question(batch), version, ANSWER_SECONDS)
            wanted = session.run(list(OUTPUTS), {"input_ids": batch.ids, "attention_mask": batch.mask})
            rows += len(batch.ids)
            for row, pieces in enumerate(batch.mask.sum(axis=1)):
                got, want = _real(found, row, pieces), _real(wanted, row, pieces)
                for name, g, w in zip(OUTPUTS, got, want, strict=True):
                    gaps[name].append(np.abs(g - w).ravel())
                same += [g.argmax(-1) == w.argmax(-1) for g, w in zip(got[1:3], want[1:3], strict=True)]
    finally:
        await connection.close()
    joined = {name: np.concatenate(parts) for name, parts in gaps.items()}
    differences = {name: Difference(float(gap.max()), float(gap.mean())) for name, gap in joined.items()}
    return Parity(rows, float(np.concatenate([s.ravel() for s in same]).mean()), differences)


def _real(outputs: Sequence[NDArray[np.float32]], row: int, pieces: int) -> list[NDArray[np.float32]]:
    """One row's outputs without what belongs to padding."""
    sentence, drug, effect, pair = outputs
    return [sentence[row], drug[row, :pieces], effect[row, :pieces], pair[row, :pieces, :pieces]]


def report(parity: Parity, precision: Precision) -> int:
    """Print what was found; the exit status."""
    for name, found in parity.outputs.items():
        print(f"{name:<9} logits differ by up to {found.largest:.4f}, {found.mean:.6f} on average")
    print(f"{parity.same_labels:.4%} of the pieces have the same label; {parity.sentences} rows")
    try:
        check(parity, precision)
    except ParityError as error:
        print(f"FAIL: {error}")
        return 1
    print(f"ok: within the tolerances of {precision}")
    return 0


@contextmanager
def container(models: Path, engines: Path, port: int, image: str = IMAGE) -> Iterator[Address]:
    """The pinned server on all GPUs; it is removed at the end. Raises RuntimeError with its last words."""
    name = f"vigilia-gpu-check-{os.getpid()}"
    command = ["docker", "run", "--rm", "--detach", "--name", name, "--gpus", "all", "--shm-size", "1g"]
    command += ["-v", f"{models.resolve()}:/models:ro", "-v", f"{engines.resolve()}:{ENGINES}"]
    command += ["-p", f"127.0.0.1:{port}:8001", image, "tritonserver", "--model-repository=/models"]
    command += ["--model-control-mode=explicit", f"--load-model={NAME}", "--disable-auto-complete-config"]
    started = subprocess.run(command, capture_output=True, text=True, check=False)
    if started.returncode != 0:
        raise RuntimeError(f"docker could not start {image}: {started.stderr.strip()[-800:]}")
    try:
        yield address_of(f"127.0.0.1:{port}")
    except BaseException:
        said = subprocess.run(["docker", "logs", "--tail", "40", name], capture_output=True, text=True, check=False)
        print(said.stdout + said.stderr, file=sys.stderr)
        raise
    finally:
        subprocess.run(["docker", "stop", name], capture_output=True, check=False)


async def ready(address: Address, seconds: float) -> None:
    """Wait until the model answers. Raises the last ClassifierError after `seconds`."""
    connection = Connection(address, NAME, Tls())
    one = np.ones((1, 8), dtype=np.int64)
    deadline = time.monotonic() + seconds
    try:
        while True:
            try:
                await connection.infer(Question(Batch(one, one, single=True)), "", ANSWER_SECONDS)
            except ClassifierError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(2)
            else:
                return
    finally:
        await connection.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artefact", type=Path, default=shipped_folder(), help="int8 artefact to make the model of")
    parser.add_argument("--run", type=Path, help="run's folder that has fp32 and fp16 (vigilia train export) instead")
    parser.add_argument("--server", help="HOST:PORT of a server that serves the model already")
    parser.add_argument("--precision", choices=("fp32", "fp16", "int8"), default="fp16", help="whose tolerances hold")
    parser.add_argument("--port", type=int, default=8901)
    options = parser.parse_args(arguments)
    folder = options.run or CACHE
    try:
        if options.run is None:
            made = load_artefact(options.artefact)
            for precision in ("fp32", "fp16"):
                shutil.rmtree(CACHE / precision, ignore_errors=True)
                print(f"{rebuilt(made, CACHE / precision / NAME, precision).model}  {CACHE / precision}")
        reference = load_artefact(folder / "fp32" / NAME)
        if options.server:
            return report(asyncio.run(compare(reference, address_of(options.server))), options.precision)
        return _on_gpu(reference, folder / "fp16", options.port)
    except (VigiliaError, RuntimeError, FileNotFoundError) as error:
        print(f"gpu-check: {error}", file=sys.stderr)
        return 2


def _on_gpu(reference: Artefact, models: Path, port: int) -> int:
    engines = CACHE / "engines"
    shutil.rmtree(engines, ignore_errors=True)  # an engine of before would prove nothing of this one
    engines.mkdir(parents=True)
    with container(models, engines, port) as address:
        began = time.monotonic()
        asyncio.run(ready(address, READY_SECONDS))
        print(f"ready after {time.monotonic() - began:.0f} s; {load_artefact(models / NAME).folder / MODEL}")
        status = report(asyncio.run(compare(reference, address)), "fp16")
    built = list(engines.glob("*.engine"))
    print(f"{len(built)} TensorRT engines: {', '.join(path.name for path in built) or 'none was built'}")
    return status if built else 1


if __name__ == "__main__":
    sys.exit(main())
