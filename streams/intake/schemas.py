"""JSON Schemas (2020-12) of what travels, generated from the types: `python -m streams.intake.schemas [FOLDER]`.

A schema says what a message must look like. What no schema can say stays with intake: that control characters in names
and terms are refused, that of a key given twice the last counts, that 1.0 is no integer, and that a received_at lies at
most 24 h after its record's timestamp.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from streams.errors import ConfigurationError
from streams.events import SCHEMA_VERSION, AdverseEvent, Alert, AssessmentRecord, ClinicalNote
from streams.intake.canonical import EARLIEST_MS

__all__ = ["FOLDER", "SCHEMAS", "rendered", "schema", "write"]

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "schemas"

SCHEMAS: Final[dict[str, tuple[Any, str]]] = {
    "adverse-event": (AdverseEvent, "A report on a source topic"),
    "clinical-note": (ClinicalNote, "A clinical note on a source topic"),
    "assessment-record": (AssessmentRecord, "A record on <monitor>.assessments"),
    "alert": (Alert, "One revision of an alert on the alerts topic"),
}
_FROM_OUTSIDE: Final = (AdverseEvent, ClinicalNote)


def schema(name: str) -> dict[str, Any]:
    """The schema of one kind of message, by its name in `SCHEMAS`."""
    kind, title = SCHEMAS[name]
    content = msgspec.json.schema(kind)
    for definition in content["$defs"].values():
        definition["description"] = inspect.cleandoc(definition["description"])
    if kind in _FROM_OUTSIDE:
        _tighten(content)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:vigilia:{name}:{SCHEMA_VERSION}",
        "title": title,
        **content,
    }


def rendered(name: str) -> bytes:
    """The file of one schema: the same bytes for the same types."""
    return msgspec.json.format(msgspec.json.encode(schema(name), order="deterministic"), indent=2) + b"\n"


def write(folder: Path = FOLDER) -> list[Path]:
    """Write every schema to `folder` and return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.json" for name in SCHEMAS]
    for name, path in zip(SCHEMAS, paths, strict=True):
        path.write_bytes(rendered(name))
    return paths


def _tighten(part: Any) -> None:
    """Add what intake checks beyond the types: no blank names and texts, and the first time that counts."""
    if isinstance(part, list):
        for item in part:
            _tighten(item)
    elif isinstance(part, dict):
        if part.get("type") == "string" and part.get("minLength") == 1:
            part["pattern"] = r"\S"
        if isinstance(moment := part.get("received_at"), dict):
            for choice in moment["anyOf"]:
                if choice["type"] == "integer":
                    choice["minimum"] = EARLIEST_MS
                elif choice["type"] == "string":
                    choice["format"] = "date-time"
        for item in part.values():
            _tighten(item)


def main(arguments: list[str]) -> int:
    """Write the schemas and name the files."""
    try:
        paths = write(Path(arguments[0]) if arguments else FOLDER)
    except OSError as error:
        raise ConfigurationError(f"schemas can't be written: {error}") from None
    for path in paths:
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
