"""A real tritonserver (CPU) on this machine, for tests, benchmarks and trying things. Never for production.

In Python: `with Server() as server: server.grpc`. Where its environment can't be made, `Missing` says what is missing.
Plain standard library. Linux on x86-64, Python 3.11 or 3.12.
"""

from tools.processes import Missing
from tools.triton.environment import environment
from tools.triton.server import Server

__all__ = ["Missing", "Server", "environment"]
