"""The server's process: its command line, its backends, what is left of it when it is killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import urllib.request
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from tools.processes import READY_SECONDS, ROOT, Missing, ServerProcess
from tools.triton.environment import CACHE, environment, library_folder, packages_of

HERE = Path(__file__).resolve().parent
MODELS = ROOT / "inference" / "model_repository"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  where the Python backend makes its regions
STUB = "triton_python_backend_stub"


class Server(ServerProcess):
    """A tritonserver in a process of its own, on 127.0.0.1. A context manager.

    `models` is the model repository; its models are loaded at the start, and model control is explicit. `configuration`
    names the file in `configs/` that stands for config.pbtxt; "" takes config.pbtxt itself. `options` are added to the
    command line. Close clients before `stop()`: an open one delays the end.
    """

    name = "Triton"
    mark = b"tritonserver"
    cache = CACHE

    def __init__(
        self,
        models: Path = MODELS,
        port: int = 0,
        configuration: str = "cpu",
        options: Sequence[str] = (),
        outlive_parent: bool = False,
    ) -> None:
        super().__init__(port, 2, outlive_parent)
        self.models = models
        self.http_port, self.metrics_port = self._more_ports
        self._configuration = configuration
        self._options = options
        self._backends: list[int] = []

    @property
    def grpc(self) -> str:
        """Where clients connect: host:port."""
        return self.address

    @property
    def http(self) -> str:
        """host:port of the HTTP side."""
        return f"127.0.0.1:{self.http_port}"

    @property
    def whole(self) -> bool:
        """Whether it runs, answers, and has lost none of its backend's processes since it was ready."""
        return self.running and self.is_ready() and self._backends == self.backend_pids()

    def start(self, ready: bool = True) -> Self:
        """Start and, unless told otherwise, wait until it and its models are ready.

        Raises Missing, or RuntimeError with the end of the server's log.
        """
        packages = packages_of(environment())
        if self._make_folder():
            self._lay_out_backends(packages)
        self._spawn(self._command(packages), self._variables(packages))
        if ready:
            self.await_ready()
        return self

    def _lay_out_backends(self, packages: Path) -> None:
        """The server looks for all backends in one folder, and for the stub beside the Python backend."""
        backends = self.folder / "backends"
        shutil.copytree(packages / "pytriton" / "tritonserver" / "backends" / "python", backends / "python")
        version = packages.parent.name.removeprefix("python")
        stub = packages / "pytriton" / "tritonserver" / "python_backend_stubs" / version / STUB
        if not stub.exists():
            raise Missing(f"nvidia-pytriton has no backend for Python {version}")
        shutil.copy2(stub, backends / "python")
        (backends / "python" / STUB).chmod(0o755)
        shutil.copytree(HERE / "backend" / "onnxruntime", backends / "onnxruntime")

    def _command(self, packages: Path) -> list[str]:
        server = packages / "pytriton" / "tritonserver"
        binary = server / "bin" / "tritonserver"
        if not os.access(binary, os.X_OK):
            binary.chmod(0o755)
        shown = {
            "model-repository": self.models,
            "model-control-mode": "explicit",
            "load-model": "*",
            "exit-on-error": "false",
            "backend-directory": self.folder / "backends",
            "cache-directory": server / "caches",
            "backend-config": f"python,shm-region-prefix-name={self.folder.name}",
            "http-address": "127.0.0.1",
            "http-port": self.http_port,
            "grpc-address": "127.0.0.1",
            "grpc-port": self.port,
            "metrics-address": "127.0.0.1",
            "metrics-port": self.metrics_port,
            "exit-timeout-secs": 3,
            **({"model-config-name": self._configuration} if self._configuration else {}),
        }
        flags = [f"--{name}={value}" for name, value in shown.items()]
        return [str(binary), "--disable-auto-complete-config", *flags, *self._options]

    def _variables(self, packages: Path) -> dict[str, str]:
        python = packages.parent.parent.parent / "bin" / "python"
        libraries = [str(packages / "nvidia_pytriton.libs"), library_folder(python)]
        path = f"{python.parent}:{os.environ.get('PATH', '')}"
        # The backend's process finds its packages through the first python3 on the path.
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
        return {
            **kept,
            "PATH": path,
            "LD_LIBRARY_PATH": ":".join(libraries),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONNOUSERSITE": "1",
        }

    def is_ready(self) -> bool:
        """What the server says of itself and its models; it still says so after its backend's process has died."""
        try:
            with urllib.request.urlopen(f"http://{self.http}/v2/health/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def await_ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until server and models are ready. Raises RuntimeError with the end of the server's log."""
        super().await_ready(seconds)
        self._backends = self.backend_pids()

    def backend_pids(self) -> list[int]:
        """Process ids of the backend's processes, one for each loaded model version."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                    if parent == self.pid and STUB.encode() in (entry / "cmdline").read_bytes():
                        found.append(int(entry.name))
        return sorted(found)

    def kill_backend(self) -> None:
        """kill -9 the backend's processes; the server lives on, says it is ready, and answers no inference."""
        for pid in self.backend_pids():
            os.kill(pid, signal.SIGKILL)

    @classmethod
    def leftovers(cls, folder: Path) -> Iterable[Path]:
        """The shared memory of the Python backend, which is named after the folder."""
        return SHARED_MEMORY.glob(f"{folder.name}*")
