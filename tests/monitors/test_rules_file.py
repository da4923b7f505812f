"""The rules file: read, refused with the field and the file named, and hashed with what it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.detect.rule import rule_of
from streams.errors import ConfigurationError
from streams.monitors import Monitor, load_monitor

MONITOR = """
name = "m"
rules = "ours.toml"

[[sources]]
topic = "reports"
"""


def write(folder: Path, rules: str, labels: str | None = None) -> Path:
    (folder / "monitor.toml").write_text(MONITOR)
    (folder / "ours.toml").write_text(rules)
    if labels is not None:
        (folder / "labels.tsv").write_text(labels)
    return folder / "monitor.toml"


def load(folder: Path, rules: str, labels: str | None = None) -> Monitor:
    return load_monitor(write(folder, rules, labels))


def test_a_rules_file_is_read_from_beside_the_monitor(tmp_path: Path) -> None:
    monitor = load(tmp_path, "version = 7\n[fatal]\n[evans]\nthreshold = 3\non = false\n")
    assert monitor.rules.fatal is not None
    assert monitor.rules.fatal.on
    assert monitor.rules.evans is not None
    assert (monitor.rules.evans.on, monitor.rules.evans.threshold) == (False, 3)
    assert monitor.rules.any_on
    assert monitor.rules.label.startswith("7@")


def test_without_a_rules_file_no_rule_is_on() -> None:
    assert not load_monitor("vaers").rules.any_on


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("[fatal]\nonn = true", "fatal.onn: Extra inputs are not permitted"),
        ("[fatality]", "fatality: Extra inputs"),
        ("[designated_event]", "designated_event.terms: Field required"),
        ("[designated_event]\nterms = []", "designated_event.terms"),
        ("[evans]\ncases = 0", "evans.cases"),
        ("[evans", "not TOML"),
        ("version = 0", "version"),
        ('listed = "none.csv"', "none.csv: can't be read"),
        ("listed = 3", "listed: the name of a CSV or TSV file"),
    ],
)
def test_what_is_wrong_in_a_rules_file_is_named_with_the_file(tmp_path: Path, rules: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        load(tmp_path, rules)
    assert words in str(error.value)
    assert "ours.toml" in str(error.value) or "none.csv" in str(error.value)


def test_a_rules_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    (tmp_path / "ours.toml").unlink()
    with pytest.raises(ConfigurationError, match=r"ours\.toml: can't be read"):
        load_monitor(path)


def test_the_past_of_a_rate_must_lie_within_the_reference_window(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="looks back further"):
        load(tmp_path, "[rate_rise]\ndays = 91\nspans = 12")


LISTED = 'listed = "labels.tsv"'


def test_labelled_pairs_are_listed_for_the_signal_and_the_rules(tmp_path: Path) -> None:
    monitor = load(tmp_path, LISTED, "source\tEvent\tDrug\nSPC\tCough\tLisinopril\n\nSPC\tRash\tAspirin\n")
    assert monitor.listed == {("lisinopril", "cough"), ("aspirin", "rash")}
    assert rule_of(monitor).listed == monitor.listed


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ("", "must name the columns drug and event"),
        ("drug,event\n", "must name the columns drug and event"),
        ("drug\tevent\nAspirin\n", "line 2: drug or event is missing"),
        ("drug\tevent\nAspirin\tRash\n\tFever\n", "line 3: drug or event is missing"),
    ],
)
def test_a_label_file_that_is_none_is_refused_with_its_line(tmp_path: Path, labels: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        load(tmp_path, LISTED, labels)


def test_every_setting_and_every_labelled_pair_changes_the_hashes_and_a_files_name_does_not(tmp_path: Path) -> None:
    labels = "drug\tevent\nAspirin\tRash\n"
    first = load(tmp_path, LISTED, labels)
    for rules, content in ((LISTED + "\n[fatal]", labels), (LISTED, labels + "A\tB\n"), ("version = 2", labels)):
        other = load(tmp_path, rules, content)
        assert other.rules.label != first.rules.label
        assert other.settings_hash != first.settings_hash
    (tmp_path / "other.tsv").write_text(labels)
    renamed = load(tmp_path, 'listed = "other.tsv"')
    assert (renamed.rules.label, renamed.settings_hash) == (first.rules.label, first.settings_hash)


def test_the_shipped_rules_have_a_name_and_serve_the_live_monitor(tmp_path: Path) -> None:
    (tmp_path / "monitor.toml").write_text(MONITOR.replace("ours.toml", "standard"))
    rules = load_monitor(tmp_path / "monitor.toml").rules
    assert rules == load_monitor("live").rules
    assert rules.designated_event is not None
    assert len({term.casefold() for term in rules.designated_event.terms}) == len(rules.designated_event.terms)
    assert rules.fatal is not None
