"""Tables, progress and names, whoever watches."""

from __future__ import annotations

import doctest
import io
import sys

import pytest

from streams import logs
from streams.commands import output
from streams.commands.output import print_table, printable, progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("module", [output, logs])
def test_the_examples_in_docstrings_hold(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert (result.failed, result.attempted) == (0, 1)


def test_progress_passes_everything_on_and_shows_nothing_where_nobody_watches(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert list(progress(iter(range(2500)), "counting", lambda: 2500)) == list(range(2500))
    assert capsys.readouterr() == ("", "")


def test_progress_is_shown_on_a_terminal_and_passes_everything_on(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(progress(iter(range(2500)), "counting", lambda: 2500)) == list(range(2500))
    assert "counting" in terminal.getvalue()


def test_an_error_while_progress_is_shown_comes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())

    def failing() -> object:
        yield 1
        raise KeyError("x")

    with pytest.raises(KeyError):
        list(progress(failing(), "counting", lambda: None))  # type: ignore[arg-type]


def test_a_table_in_a_pipe_keeps_long_rows_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", ">number"), [("x" * 120, 5), ("[bold]y[/bold]", None)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[1].split() == ["x" * 120, "5"]
    assert lines[2].split() == ["[bold]y[/bold]"]


def test_letters_of_all_scripts_stay_and_controls_are_written_out() -> None:
    assert printable("Ménière × 髄膜炎") == "Ménière × 髄膜炎"
    assert printable("a\tb\u202ec\x9b") == "a\\tb\\u202ec\\x9b"
