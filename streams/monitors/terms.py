"""Which vocabularies a monitor's names are mapped by."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["TermSettings", "VocabularySource", "anchored"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class VocabularySource(_Frozen):
    """A vocabulary: its format, where it is, and the digest of what it says, by which it is part of the settings.

    `path` is no part of them: the files may lie elsewhere on each machine.
    """

    format: Literal["open", "rxnorm", "whodrug", "meddra", "obo", "csv"]
    path: str | None = Field(None, description="File or folder, relative to the monitor's file; not for `open`.")
    digest: Annotated[str, Field(pattern="^[0-9a-f]{16}$")] | None = Field(
        None, description="As `vigilia terms` prints it: other content is refused."
    )


class TermSettings(_Frozen):
    """Vocabularies in the order in which they are asked. Without any, names are spelled plainly and not mapped."""

    drugs: tuple[VocabularySource, ...] = ()
    events: tuple[VocabularySource, ...] = ()
    fuzzy: Annotated[int, Field(ge=70, le=99)] | None = Field(
        None, description="Similarity in percent from which a name that no vocabulary has is taken for a like one."
    )


def anchored(terms: Any, folder: Path) -> Any:
    """The table `[terms]` as it stands in a file, with paths relative to that file's folder made whole."""
    if not isinstance(terms, Mapping):
        return terms
    return {kind: _anchored(value, folder) for kind, value in terms.items()}


def _anchored(sources: Any, folder: Path) -> Any:
    if not isinstance(sources, list):
        return sources
    return [
        {**source, "path": str(folder / source["path"])}
        if isinstance(source, Mapping) and isinstance(source.get("path"), str)
        else source
        for source in sources
    ]
