"""A real tritonserver (CPU) on this machine, for tests, benchmarks and trying things. Never for production.

    python tools/triton/triton.py run [--models FOLDER] [--port 8001]      until Ctrl+C
    python tools/triton/triton.py start [--models FOLDER] [--port 8001]    in the background; prints the address
    python tools/triton/triton.py stop

The server is the one inside the wheel of nvidia-pytriton, without Docker and GPU. It has a virtual environment of its
own, made once from requirements/triton.lock in `.cache/triton` (110 MB from PyPI); `VIGILIA_TEST_TRITON` names the
folder of one that is made already. That wheel carries Triton's Python backend only; `backend/onnxruntime` stands in for
the ONNX Runtime backend, so that the production model folder is served unchanged, with its `configs/cpu.pbtxt`.

In Python: `with Server() as server: server.grpc`. Where the environment can't be made, `Missing` says what is missing.
Plain standard library. Linux on x86-64, Python 3.11 or 3.12.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CACHE = ROOT / ".cache" / "triton"
LOCK = ROOT / "requirements" / "triton.lock"
MODELS = ROOT / "inference" / "model_repository"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  where the Python backend makes its regions
STUB = "triton_python_backend_stub"
READY_SECONDS = 60


class Missing(Exception):
    """The environment of the server can't be had; the message says why."""


def environment() -> Path:
    """Folder of the virtual environment with the server, made once when it is not there. Raises Missing."""
    given = os.environ.get("VIGILIA_TEST_TRITON")
    if given:
        _packages(Path(given))
        return Path(given)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    name = hashlib.sha256(LOCK.read_bytes() + version.encode()).hexdigest()[:12]
    folder = CACHE / f"venv-{name}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "making").open("w") as lock:  # a second process waits until the first one has made it
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _quietly([sys.executable, "-m", "venv", str(folder)])
            # --no-deps: of nvidia-pytriton only the server is wanted, not the 20 packages of its Python side.
            install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r", str(LOCK)]
            _quietly([str(folder / "bin" / "python"), *install])
            _packages(folder)
            (folder / "made").touch()
    return folder


def _quietly(command: list[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        said = (result.stdout + result.stderr).strip()[-800:]
        raise Missing(
            f"`{' '.join(command)}` failed; it needs PyPI, Linux on x86-64 and Python 3.11 or 3.12. A folder that "
            f"was made elsewhere can be named in VIGILIA_TEST_TRITON. It said: {said}"
        )


def _packages(folder: Path) -> Path:
    """The environment's site-packages. Raises Missing if there is no server in it."""
    for packages in folder.glob("lib/python3.*/site-packages"):
        if (packages / "pytriton" / "tritonserver" / "bin" / "tritonserver").exists():
            return packages
    raise Missing(f"{folder}: no virtual environment with nvidia-pytriton in it")


def _library_folder(python: Path) -> str:
    """Folder of the libpython that the backend's process is linked with. Raises Missing."""
    script = (
        "import sysconfig; c = sysconfig.get_config_var; from pathlib import Path;"
        "folders = [Path(c('LIBDIR')), Path(c('LIBDIR')) / (c('MULTIARCH') or '.')];"
        "print(next((f for f in folders if '.so' in c('INSTSONAME') and (f / c('INSTSONAME')).exists()), ''))"
    )
    found = subprocess.run([str(python), "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    if not found:
        raise Missing(f"{python} has no shared libpython, which Triton's Python backend needs (Debian: libpython3.11)")
    return found


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [int(s.getsockname()[1]) for s in sockets]
    finally:
        for s in sockets:
            s.close()


def _die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends, so that a killed test run leaves no server behind."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)


class Server:
    """A tritonserver in a process of its own, on 127.0.0.1. A context manager.

    `models` is the model repository; its models are loaded at the start, and model control is explicit. `configuration`
    names the file in `configs/` that stands for config.pbtxt; "" takes config.pbtxt itself. `stop()` and `kill()` keep
    the ports, so `start()` brings it back at the same address. `options` are added to the command line.
    On Linux the kernel ends it when the *thread* that started it ends.
    """

    def __init__(
        self,
        models: Path = MODELS,
        port: int = 0,
        configuration: str = "cpu",
        options: Sequence[str] = (),
        outlive_parent: bool = False,
    ) -> None:
        self.models = models
        ports = free_ports(3)
        self.grpc_port, self.http_port, self.metrics_port = port or ports[0], ports[1], ports[2]
        self._configuration = configuration
        self._options = options
        self._outlive_parent = outlive_parent
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._backends: list[int] = []

    @property
    def grpc(self) -> str:
        """Where clients connect: host:port."""
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def http(self) -> str:
        """host:port of the HTTP side."""
        return f"127.0.0.1:{self.http_port}"

    @property
    def pid(self) -> int:
        """Process id of the server."""
        assert self._process is not None
        return self._process.pid

    @property
    def folder(self) -> Path:
        """Where the log lies."""
        assert self._folder is not None
        return self._folder

    @property
    def running(self) -> bool:
        """Whether there is a server process."""
        return self._process is not None and self._process.poll() is None

    @property
    def whole(self) -> bool:
        """Whether it runs, answers, and has lost none of its backend's processes since it was ready."""
        return self.running and self.is_ready() and self._backends == self.backend_pids()

    def start(self, ready: bool = True) -> Server:
        """Start and, unless told otherwise, wait until it and its models are ready.

        Raises Missing, or RuntimeError with the end of the server's log.
        """
        packages = _packages(environment())
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="vigilia-triton-"))
            self._lay_out_backends(packages)
        command = [*self._command(packages)]
        if not self._outlive_parent:
            command = [sys.executable, str(Path(__file__)), "exec", *command]
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=self._variables(packages),
            )
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
            "backend-config": f"python,shm-region-prefix-name={self._region}",
            "http-address": "127.0.0.1",
            "http-port": self.http_port,
            "grpc-address": "127.0.0.1",
            "grpc-port": self.grpc_port,
            "metrics-address": "127.0.0.1",
            "metrics-port": self.metrics_port,
            "exit-timeout-secs": 3,
            **({"model-config-name": self._configuration} if self._configuration else {}),
        }
        flags = [f"--{name}={value}" for name, value in shown.items()]
        return [str(binary), "--disable-auto-complete-config", *flags, *self._options]

    @property
    def _region(self) -> str:
        return self.folder.name

    def _variables(self, packages: Path) -> dict[str, str]:
        python = packages.parent.parent.parent / "bin" / "python"
        libraries = [str(packages / "nvidia_pytriton.libs"), _library_folder(python)]
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
        assert self._process is not None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"Triton ended with status {self._process.returncode}: {self.log()[-1500:]}")
            if self.is_ready():
                self._backends = self.backend_pids()
                return
            time.sleep(0.05)
        self.kill()
        raise RuntimeError(f"Triton was not ready on {self.grpc} within {seconds} s: {self.log()[-1500:]}")

    def log(self) -> str:
        """All that the server has said."""
        return (self.folder / "server.log").read_text("utf-8", "replace")

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

    def stop(self, seconds: float = 15) -> None:
        """End it in good order; kill it after `seconds`. Close clients first: an open one delays the end."""
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
            self.kill()

    def kill(self) -> None:
        """kill -9, the backend's processes too; and delete the shared memory that it can't delete any more."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
            for region in SHARED_MEMORY.glob(f"{self._region}*"):
                region.unlink(missing_ok=True)

    def restart(self) -> None:
        """kill -9, then start at the same address."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: it stays connected and answers nothing."""
        os.killpg(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.killpg(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Kill it and delete its folder."""
        self.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


# ---------------------------------------------------------------- command line

STATE = CACHE / "running.json"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _run(models: Path, port: int) -> int:
    with Server(models, port) as server:
        _say(server.grpc)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            signal.pause()
        except KeyboardInterrupt:
            return 0
    return 0


def _start(models: Path, port: int) -> int:
    if STATE.exists():
        known = json.loads(STATE.read_text("utf-8"))
        if _is_ours(known["pid"]):
            _say(known["grpc"])
            return 0
    server = Server(models, port, outlive_parent=True).start()
    STATE.write_text(json.dumps({"pid": server.pid, "grpc": server.grpc, "folder": str(server.folder)}), "utf-8")
    _say(server.grpc)
    return 0


def _stop() -> int:
    if not STATE.exists():
        return 0
    known = json.loads(STATE.read_text("utf-8"))
    for number in (signal.SIGTERM, signal.SIGKILL):
        for _ in range(100):
            if not _is_ours(known["pid"]):
                break
            os.killpg(known["pid"], number)
            time.sleep(0.1)
    for region in SHARED_MEMORY.glob(f"{Path(known['folder']).name}*"):
        region.unlink(missing_ok=True)
    shutil.rmtree(known["folder"], ignore_errors=True)
    STATE.unlink()
    return 0


def _is_ours(pid: int) -> bool:
    """Whether a process id still is a tritonserver: ids are used again."""
    try:
        return b"tritonserver" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def main(arguments: list[str]) -> int:
    """The command line. Returns the exit status."""
    if arguments[:1] == ["exec"]:
        _die_with_parent()
        os.execv(arguments[1], arguments[1:])  # noqa: S606
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["run", "start", "stop", "fetch"])
    parser.add_argument("--models", type=Path, default=MODELS)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        if options.command == "run":
            return _run(options.models, options.port)
        if options.command == "start":
            return _start(options.models, options.port)
        if options.command == "stop":
            return _stop()
        _say(str(environment()))
    except (Missing, RuntimeError) as error:
        sys.stderr.write(f"triton.py: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
