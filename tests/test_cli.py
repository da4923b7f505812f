"""The command line: its names, its exit statuses, and what it never says."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import click
import pytest

from streams import cli as frame
from streams.cli import COMMANDS, Entry, main
from streams.commands.hints import HINTS, hint
from streams.errors import ConfigurationError, StateConflict, StoreUnavailable, TopicMissing, Unreadable, VigiliaError

SECRET = "Mrs Margarethe Quellwasser"
PROMISED = [
    "demo", "run", "load", "replay", "alerts", "explain", "review", "history", "rates", "classify", "parse",
    "dead-letters", "uncertain", "terms", "duplicates", "doctor", "budget-check", "audit", "monitor", "promote", "diff",
    "model", "train",
]  # fmt: skip
VIGILIA = [sys.executable, "-m", "streams.cli"]


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of commands whose `command` is set by the test; it is called `planted`."""
    module = ModuleType("planted_command")
    monkeypatch.setitem(sys.modules, "planted_command", module)
    monkeypatch.setitem(COMMANDS, "planted", Entry("planted_command", "A command for a test."))
    return module


def plant(module: ModuleType, error: BaseException | None = None, result: object = None) -> None:
    def callback() -> object:
        if error is not None:
            raise error
        return result

    module.command = click.Command("planted", callback=callback)  # type: ignore[attr-defined]


def test_the_names_are_those_that_were_promised() -> None:
    assert list(COMMANDS) == PROMISED


def test_help_lists_every_command_and_loads_none_of_what_they_need() -> None:
    code = (
        "import sys, streams.cli; status = streams.cli.main(['--help']);"
        "print([m for m in ('faust', 'onnxruntime', 'scipy', 'numpy', 'confluent_kafka', 'redis', 'pydantic', 'rich',"
        " 'msgspec', 'structlog') if m in sys.modules]); sys.exit(status)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [name for name in PROMISED if f"\n  {name} " not in result.stdout] == []
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", PROMISED)
def test_a_command_is_listed_in_its_own_words_and_its_help_has_an_example(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = frame.cli.get_command(click.Context(frame.cli), name)
    assert command is not None
    assert command.get_short_help_str(limit=200) == COMMANDS[name].help
    assert main([name, "--help"]) == 0
    assert f"vigilia {name}" in capsys.readouterr().out.split("\n", 1)[1]


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("vigilia ")


def test_wrong_usage_is_told_with_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["alerts", "--no-such-option"]) == 2
    assert "No such option" in capsys.readouterr().err
    assert main(["no-such-command"]) == 2


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigurationError("topics: wrong"), 2),
        (TopicMissing("topic alerts is missing"), 2),
        (StoreUnavailable("Redis: no answer"), 1),
        (StateConflict("5 expected, 6 found"), 1),
        (Unreadable("line 1: empty"), 1),
    ],
)
def test_an_error_of_the_tree_is_one_line_then_what_to_do_and_its_exit_status(
    planted: ModuleType, capsys: pytest.CaptureFixture[str], error: VigiliaError, status: int
) -> None:
    plant(planted, error)
    assert main(["planted"]) == status
    told = capsys.readouterr().err.splitlines()
    assert told[0] == f"vigilia: {error.reason}: {error}"
    hints = [HINTS[kind] for kind in type(error).__mro__ if kind in HINTS]
    assert told[1:] == ([f"  what to do: {hints[0]}"] if hints else [])


def test_every_error_that_an_operator_must_act_on_says_what_to_do() -> None:
    def leaves(kind: type[VigiliaError]) -> list[type[VigiliaError]]:
        return [kind, *(leaf for child in kind.__subclasses__() for leaf in leaves(child))]

    silent = {kind.__name__ for kind in leaves(VigiliaError) if kind.exit_status == 2 and not hint(kind("x"))}
    assert silent <= {"SchemaTooNew"}


def test_a_mistake_of_ours_is_told_by_place_and_never_quotes_what_it_failed_on(
    planted: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(planted, ValueError(f"invalid literal for int(): '{SECRET}'"))
    assert main(["planted"]) == 70
    captured = capsys.readouterr()
    assert "ValueError" in captured.err
    assert "test_cli.py" in captured.err
    assert "Quellwasser" not in captured.err + captured.out


@pytest.mark.parametrize(("result", "status"), [(None, 0), (0, 0), (1, 1)])
def test_the_exit_status_is_what_the_command_returns(planted: ModuleType, result: object, status: int) -> None:
    plant(planted, result=result)
    assert main(["planted"]) == status


def test_an_interrupt_is_status_130(planted: ModuleType) -> None:
    plant(planted, KeyboardInterrupt())
    assert main(["planted"]) == 130


def test_wrong_settings_name_the_variable(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("VIGILIA_LOG_LEVEL", "loud")
    assert main(["alerts"]) == 2
    assert "VIGILIA_LOG_LEVEL" in capsys.readouterr().err


def test_a_reader_that_goes_away_hears_no_complaint(tmp_path: Path) -> None:
    line = json.dumps({"type": "clinical_note", "case_id": "x", "text": "y" * 1000, "received_at": 1_000_000_000_000})
    (tmp_path / "notes.jsonl").write_text(f"{line}\n" * 2000, "utf-8")
    process = subprocess.Popen(
        [*VIGILIA, "parse", "json", str(tmp_path / "notes.jsonl")], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(30) in (1, 120)
    process.stderr.close()


@pytest.mark.kafka
def test_ctrl_c_ends_a_follower_with_130_and_without_a_trace(kafka: str) -> None:
    from confluent_kafka.admin import AdminClient, NewTopic

    topic = f"alerts-{os.getpid()}-{time.time_ns()}"
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    environment = {**os.environ, "VIGILIA_BOOTSTRAP_SERVERS": kafka, "VIGILIA_ALERTS_TOPIC": topic}
    process = subprocess.Popen(
        [*VIGILIA, "alerts", "--follow", "--group", topic], env=environment, stderr=subprocess.PIPE, text=True
    )
    time.sleep(3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=20)
    assert (process.returncode, told.strip()) == (130, "")


def test_the_manual_names_every_command() -> None:
    manual = (Path(__file__).parents[1] / "docs" / "commands.md").read_text("utf-8")
    assert re.findall(r"^\| `([a-z-]+)` \|", manual, re.MULTILINE) == PROMISED
