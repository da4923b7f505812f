"""The virtual environment that the server comes from."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tools.processes import ROOT, Missing

CACHE = ROOT / ".cache" / "triton"
LOCK = ROOT / "requirements" / "triton.lock"


def environment() -> Path:
    """Folder of the virtual environment with the server, made once when it is not there. Raises Missing."""
    given = os.environ.get("VIGILIA_TEST_TRITON")
    if given:
        packages_of(Path(given))
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
            packages_of(folder)
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


def packages_of(folder: Path) -> Path:
    """The environment's site-packages. Raises Missing if there is no server in it."""
    for packages in folder.glob("lib/python3.*/site-packages"):
        if (packages / "pytriton" / "tritonserver" / "bin" / "tritonserver").exists():
            return packages
    raise Missing(f"{folder}: no virtual environment with nvidia-pytriton in it")


def library_folder(python: Path) -> str:
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
