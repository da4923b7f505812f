"""`vigilia parse`: canonical lines on stdout, what is wrong on stderr."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from streams.commands.parse import command


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(command, arguments, input=stdin, standalone_mode=False, catch_exceptions=False)


GOOD = b'{"type":"clinical_note","case_id":" n  1 ","text":"Well."}'


def test_good_lines_come_out_canonical_and_bad_ones_are_named(tmp_path: Path) -> None:
    file = tmp_path / "notes.jsonl"
    file.write_bytes(GOOD + b"\n\n" + GOOD[:-1] + b"\n" + b'{"type":"clinical_note","case_id":"n","text":7}\n' + GOOD)
    result = run("json", str(file))
    assert result.return_value == 1
    assert [json.loads(line)["case_id"] for line in result.stdout.splitlines()] == ["n 1", "n 1"]
    assert result.stderr.splitlines() == [
        f"{file}:3: unreadable: ends in the middle",
        f"{file}:4: schema_mismatch: $.text: Expected `str`, got `int`",
        "2 messages could not be used",
    ]


def test_what_came_out_goes_in_again_unchanged() -> None:
    first = run("json", "-", stdin=GOOD)
    assert (first.return_value, first.stderr, len(first.stdout.splitlines())) == (0, "", 1)
    assert run("json", "-", stdin=first.stdout_bytes).stdout_bytes == first.stdout_bytes


def test_the_size_limit_can_be_chosen() -> None:
    assert "too_large" in run("json", "-", "--max-bytes", "10", stdin=GOOD).stderr


def test_vaers_files_come_out_canonical(shared_data: Path) -> None:
    result = run("vaers", str(shared_data / "vaers_1990_2006" / "1990VAERSData.zip"))
    assert result.return_value == 0
    assert len(result.stdout.splitlines()) == 2_106
