"""The reports of VAERS that count, read with csv by code of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.replay.vaers_recount import Report, counted, read


@pytest.fixture(scope="session")
def reports(shared_data: Path) -> list[Report]:
    return counted(read(shared_data / "vaers_1990_2006", 1990, 1999))
