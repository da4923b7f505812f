"""A real tritonserver (CPU) on this machine, for tests, benchmarks and trying things.

    python -m tools.triton run [--models FOLDER] [--port 8001]      until Ctrl+C
    python -m tools.triton start [--models FOLDER] [--port 8001]    in the background; prints the address
    python -m tools.triton stop
    python -m tools.triton fetch                                    the environment; prints its folder

The server is the one inside the wheel of nvidia-pytriton, without Docker and GPU. It has a virtual environment of its
own, made once from requirements/triton.lock in `.cache/triton` (110 MB from PyPI); `VIGILIA_TEST_TRITON` names the
folder of one that is made already. That wheel carries Triton's Python backend only; `backend/onnxruntime` stands in for
the ONNX Runtime backend, so that the production model folder is served unchanged, with its `configs/cpu.pbtxt`.
Linux on x86-64, Python 3.11 or 3.12. Without a port a free one is taken.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from tools.running import make_parser, obey
from tools.triton.environment import environment
from tools.triton.server import MODELS, Server

OTHERS = {"fetch": environment}


def main(arguments: list[str]) -> int:
    """The command line. Returns the exit status."""
    parser = make_parser("python -m tools.triton", __doc__, OTHERS)
    parser.add_argument("--models", type=Path, default=MODELS)
    options = parser.parse_args(arguments)
    return obey(options.command, Server, partial(Server, options.models, options.port), OTHERS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
