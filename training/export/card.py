"""The model card: what the model is, was made of, can do, can't do. One for programs, one for people, from the same.

`card.json` lies in the artefact beside the manifest; `docs/model-card.md` says the same in words. No figure is typed:
what it says of the model comes from the manifest, of the training from the run's recipe.json and log, of results from
the JSON that `vigilia train evaluate` left, which must be of this very artefact.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from inference.artefact import MANIFEST, Artefact, file_hash
from training.data import FOLDS
from training.export.card_text import BASES, INTENDED, LIMITS, NOT_INTENDED, corpora_of
from training.export.run import REFERENCE, SHIPPED, read_parity
from training.export.weights import ExportError
from training.provenance import size_mb, stamp

CARD = "card.json"
CARD_FORMAT = 1


class Card(msgspec.Struct, frozen=True):
    """card.json. `files`: SHA-256; `results`: part -> {figures, command, date, commit, machine}, as measured."""

    format: int
    model: str
    task: str
    language: str
    licence: str
    made: dict[str, str]
    base: dict[str, str | None]
    precision: str
    megabytes: float
    files: dict[str, str]
    max_length: int
    thresholds: dict[str, float]
    data: list[dict[str, Any]]
    split: dict[str, Any]
    recipe: dict[str, Any]
    sentences: dict[str, int]
    fit_seconds: float | None
    parity: dict[str, Any]
    results: dict[str, Any]
    intended: list[str]
    not_intended: list[str]
    limits: list[str]


def make_card(artefact: Artefact, run: Path, results: Mapping[str, Any], command: str) -> Card:
    """The card of an artefact. Raises ExportError if run or results are of another model."""
    if results.get("model") != artefact.model:
        raise ExportError(
            f"the results are of {results.get('model')}, the artefact is {artefact.model}: evaluate it anew"
        )
    manifest = artefact.manifest
    weights = run / "model.safetensors"
    if not weights.exists() or file_hash(weights) != manifest.trained.get("weights"):
        raise ExportError(f"{artefact.folder} was not exported from {run}: its manifest names other weights")
    recipe = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
    base = BASES.get(str(recipe.get("base", "minilm")), {"name": str(recipe.get("base"))})
    seconds, counts = _log_of(run)
    return Card(
        format=CARD_FORMAT,
        model=artefact.model,
        task="sentence classification (adverse drug event), DRUG and EFFECT spans, drug-effect pairs",
        language="en",
        licence="Apache-2.0",
        made=stamp(command),
        base={**base, "sha256": recipe.get("base_sha256")},
        precision=manifest.trained.get("precision", SHIPPED),
        megabytes=round(size_mb(artefact.folder), 2),
        files={
            **manifest.files,
            MANIFEST: file_hash(artefact.folder / MANIFEST),
            "trained weights": file_hash(weights),
        },
        max_length=manifest.max_length,
        thresholds={"sentence": manifest.threshold, "pair": manifest.pair_threshold},
        data=corpora_of(recipe),
        split={
            "by": "document (PubMed id; a PsyTAR sentence is its own document)",
            "folds": FOLDS,
            "seed": manifest.trained["fold_seed"],
            "development_fold": int(manifest.trained["development_fold"]),
            "rule": "SHA-256 of seed and document id, modulo the number of folds",
        },
        recipe=_public(recipe),
        sentences=recipe.get("sentences") or counts,
        fit_seconds=seconds,
        parity={p: msgspec.to_builtins(found) for p in (REFERENCE, SHIPPED) if (found := read_parity(run, p))},
        results={name: _lean(part) for name, part in results["parts"].items()},
        intended=INTENDED,
        not_intended=NOT_INTENDED,
        limits=LIMITS,
    )


def write_card(card: Card, artefact: Artefact, page: Path) -> None:
    """Write card.json into the artefact and the page for people."""
    (artefact.folder / CARD).write_bytes(msgspec.json.format(msgspec.json.encode(card), indent=1) + b"\n")
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n".join(page_of(card)) + "\n", encoding="utf-8")


def _public(recipe: dict[str, Any]) -> dict[str, Any]:
    """The recipe without what is told elsewhere, and without the paths of whoever ran it."""
    kept = {key: value for key, value in recipe.items() if key not in ("data", "sentences", "versions", "own")}
    teachers = kept.get("teachers") or {}
    return kept | {"teachers": {Path(path).name: digest for path, digest in teachers.items()}}


def _lean(value: Any) -> Any:
    """Results without what only plots need: points of curves and bars."""
    if not isinstance(value, dict):
        return value
    return {key: _lean(item) for key, item in value.items() if key not in ("curve", "bins")}


def _log_of(run: Path) -> tuple[float | None, dict[str, int]]:
    """(seconds of the fit, counts of its data) from the last fit in its log."""
    seconds, counts = None, {}
    path = run / "fit.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        record = json.loads(line)
        seconds = float(record["seconds"])
        if record["event"] == "data":
            counts = {key: value for key, value in record.items() if isinstance(value, int)}
    return seconds, counts


# ---------------------------------------------------------------- the page


def page_of(card: Card) -> list[str]:
    """The card in Markdown."""
    made, base = card.made, card.base
    lines = [
        f"# Model card: {card.model}",
        "",
        f"`{made['command']}` wrote this page and the artefact's `{CARD}` on {made['date']} at commit {made['commit']};"
        " no figure is typed by hand. Every result with its interval and plots: [results/model.md](results/model.md).",
        "",
        *_facts(card),
        *_section("Intended use", _bullets(card.intended)),
        *_section("Not for", _bullets(card.not_intended)),
        *_section("Data", _data(card)),
        *_section("Training", _training(card)),
        *_section("Results", _results(card)),
        *_section("What export changes", _parity(card)),
        *_section("Limits", _bullets(card.limits)),
        *_section("Hashes (SHA-256)", [f"- `{name}`: `{digest}`" for name, digest in card.files.items()]),
    ]
    if base.get("sha256"):
        lines.append(f"- weights of the base: `{base['sha256']}`")
    return lines


def _section(title: str, lines: Iterable[str]) -> list[str]:
    return [f"## {title}", "", *lines, ""]


def _bullets(lines: Iterable[str]) -> list[str]:
    return [f"- {line}" for line in lines]


def _facts(card: Card) -> list[str]:
    rows = {
        "task": card.task,
        "language": card.language,
        "base": f"{card.base['name']} ({card.base.get('licence') or 'licence: see the base'})",
        "licence of this artefact": card.licence,
        "format": f"ONNX, {card.precision}, {card.megabytes:.1f} MB, at most {card.max_length} pieces at once",
        "thresholds": ", ".join(f"{name} {value:.3f}" for name, value in card.thresholds.items()),
    }
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items()), ""]


def _data(card: Card) -> list[str]:
    lines = [f"- {corpus['name']}: {corpus['text']}. Licence: {corpus['licence']}." for corpus in card.data]
    split = card.split
    lines.append(
        f"- Split by {split['by']} into {split['folds']} folds ({split['rule']}; seed {split['seed']}); fold"
        f" {split['development_fold']} is for development: calibration, thresholds and the results below."
    )
    counts = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in card.sentences.items())
    return [*lines, f"- Sentences: {counts}." if counts else "- Sentences: not recorded."]


def _training(card: Card) -> list[str]:
    recipe, lines = card.recipe, []
    for stage in recipe.get("stages", ()):
        settings = ", ".join(f"{key} {value}" for key, value in stage.items() if key != "name")
        lines.append(f"- Stage *{stage['name']}*: {settings}.")
    if recipe.get("averaged"):
        lines.append(f"- The weights are the mean of {len(recipe['averaged'])} runs; this is the recipe of the first.")
    if recipe.get("teachers"):
        lines.append(f"- Soft labels of {len(recipe['teachers'])} teacher(s), weight {recipe.get('distil_weight')}.")
    rest = {key: value for key, value in recipe.items() if isinstance(value, int | float | str) and key != "identity"}
    lines.append("- " + ", ".join(f"{key} {value}" for key, value in rest.items()) + ".")
    if card.fit_seconds is not None:
        lines.append(f"- The fit took {card.fit_seconds / 60:.0f} minutes.")
    return lines


def _results(card: Card) -> list[str]:
    shown = [_table(name, part) for name, part in card.results.items() if name in ("development", "psytar")]
    platt = card.results.get("calibration", {}).get("figures", {}).get("Platt", {})
    lines = [line for table in shown for line in table]
    if platt:
        figures = ", ".join(f"{name} {_cell(value)}" for name, value in platt.items() if name != "bins")
        lines += [f"Calibration on the development fold, cross-fitted: {figures}.", ""]
    others = [name for name in card.results if name not in ("development", "psytar", "calibration", "artefact", "run")]
    if others:
        lines.append(f"Measured too, in `{CARD}` and on the page of results: {', '.join(others)}.")
    return lines or ["Nothing has been measured."]


def _table(name: str, part: Mapping[str, Any]) -> list[str]:
    rows = [f"| {row} | {_cell(value)} |" for row, value in part["figures"].items() if _is_figure(value)]
    source = f"`{part['command']}`, {part['date']}, commit {part['commit']}, {part['machine']}."
    return [f"| {name} | [95% interval] |", "|---|---|", *rows, "", source, ""]


def _is_figure(value: Any) -> bool:
    return isinstance(value, int | float) or (
        isinstance(value, list) and len(value) == 3 and all(v is None or isinstance(v, int | float) for v in value)
    )


def _cell(value: Any) -> str:
    """
    >>> _cell([0.5, 0.25, 0.75]), _cell(0.125), _cell([0.5, None, None])
    ('0.500 [0.250, 0.750]', '0.125', '0.500')
    """
    if not isinstance(value, list):
        return f"{value:.3f}" if isinstance(value, float) else str(value)
    middle, low, high = value
    return f"{middle:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else "")


def _parity(card: Card) -> list[str]:
    if not card.parity:
        return ["Not measured."]
    lines = ["Logits of the graph beside those of torch in float32, same sentences, largest (mean) difference:", ""]
    lines += ["| | sentence | drug | effect | pair | same labels |", "|---|---|---|---|---|---|"]
    for precision, parity in card.parity.items():
        cells = [f"{d['largest']:.2g} ({d['mean']:.2g})" for d in parity["outputs"].values()]
        lines.append(f"| {precision} | {' | '.join(cells)} | {parity['same_labels']:.2%} |")
    loss = _loss(card)
    return [*lines, "", loss] if loss else lines


def _loss(card: Card) -> str | None:
    """What the shipped precision costs, where the reference was measured too."""
    reference = card.results.get("reference", {}).get("development", {}).get("figures", {})
    shipped = card.results.get("development", {}).get("figures", {})
    names = [n for n in shipped if n in reference and isinstance(shipped[n], list) and n.endswith(("F1", "AUROC"))]
    if not names:
        return None
    changes = ", ".join(f"{name} {100 * (shipped[name][0] - reference[name][0]):+.2f}" for name in names)
    return f"{card.precision} against {REFERENCE} on the development fold, in points: {changes}."
