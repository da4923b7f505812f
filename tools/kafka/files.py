"""What a broker is made of: the java command, Kafka's jars, and an archive of their classes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tools.processes import ROOT, Missing

POM = Path(__file__).resolve().parent / "pom.xml"
CACHE = ROOT / ".cache" / "kafka"


def java() -> str:
    """Path of the java command. Raises Missing."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else None
    found = found or shutil.which("java")
    if found is None:
        raise Missing(
            "no java on the path: a JRE 17 or newer is needed (Debian: apt-get install openjdk-17-jre-headless)"
        )
    return found


def jars() -> Path:
    """Folder with Kafka's jars, fetched once when it is not there. Raises Missing."""
    given = os.environ.get("VIGILIA_KAFKA_JARS")
    if given:
        if not list(Path(given).glob("kafka_*.jar")):
            raise Missing(f"VIGILIA_KAFKA_JARS={given}: no kafka_*.jar in there")
        return Path(given)
    folder = CACHE / "jars"
    if list(folder.glob("kafka_*.jar")):
        return folder
    maven = shutil.which("mvn")
    if maven is None:
        raise Missing(
            "no Kafka jars: set VIGILIA_KAFKA_JARS to a folder of them, or install Maven (apt-get install maven)"
        )
    CACHE.mkdir(parents=True, exist_ok=True)
    # Into a folder of our own, then renamed: a second process never sees half of them.
    fetched = Path(tempfile.mkdtemp(prefix="jars-", dir=CACHE))
    command = [maven, "-B", "-q", "-f", str(POM), f"-Djars={fetched}", "dependency:copy-dependencies"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        shutil.rmtree(fetched)
        raise Missing(f"Maven could not fetch Kafka: {(result.stdout + result.stderr).strip()[-500:]}")
    try:
        fetched.rename(folder)
    except OSError:  # another process was first
        shutil.rmtree(fetched)
    return folder


def fingerprint(runtime: str, classes: Path) -> str:
    """What a file made by this java from these jars depends on, for its name."""
    names = " ".join(sorted(path.name for path in classes.glob("*.jar")))
    return hashlib.sha256(f"{Path(runtime).resolve()} {classes} {names}".encode()).hexdigest()[:12]


def class_archive(runtime: str, classes: Path) -> Path:
    """Where the class archive is, if one was made (`python -m tools.kafka archive`)."""
    return CACHE / f"classes-{fingerprint(runtime, classes)}.jsa"


def shared_classes(runtime: str, classes: Path) -> list[str]:
    """JVM options for the class archive, if one was made: it halves the start."""
    archive = class_archive(runtime, classes)
    return [f"-XX:SharedArchiveFile={archive}", "-Xshare:auto", "-Xlog:disable"] if archive.exists() else []
