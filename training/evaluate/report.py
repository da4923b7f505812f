"""The page of results, docs/results/model.md: every figure with the command, date, commit and machine it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from training.data import SEED
from training.evaluate.perturb import PERTURBATIONS
from training.evaluate.report_text import CALIBRATION, DEVELOPMENT, FOLDS, LIMITS, NOTES, ROBUSTNESS, SUBGROUPS

# First and second target of the shipped model, by row of the first table. For the last three, less is better.
TARGETS: dict[str, tuple[float, float]] = {
    "sentence F1": (0.82, 0.86),
    "AUROC": (0.969, 0.978),
    "DRUG F1": (0.90, 0.92),
    "EFFECT F1": (0.72, 0.77),
    "pair F1": (0.66, 0.72),
    "PsyTAR F1": (0.80, 0.84),
    "ECE": (0.03, 0.02),
    "loss by int8 (points of F1)": (1.0, 0.5),
    "size in the repository (MB)": (15, 12),
}
LESS_IS_BETTER = frozenset(("ECE", "loss by int8 (points of F1)", "size in the repository (MB)"))


def cell(value: Any, digits: int = 3) -> str:
    """A figure, with its interval if it has one; a dash for none.

    >>> cell([0.5, 0.4, 0.6]), cell(0.25), cell(None), cell(12)
    ('0.500 [0.400, 0.600]', '0.250', '-', '12')
    """
    if isinstance(value, list | tuple):
        if None in value:
            return cell(value[0], digits)
        return f"{value[0]:.{digits}f} [{value[1]:.{digits}f}, {value[2]:.{digits}f}]"
    if value is None:
        return "-"
    return f"{value:.{digits}f}" if isinstance(value, float) else f"{value:,}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table in Markdown."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def stamped(*parts: dict[str, Any]) -> list[str]:
    """The lines under a table that say where its figures come from: one for each command."""
    seconds: dict[str, float] = {}
    for part in parts:
        origin = f"`{part['command']}`, {part['date']}, commit {part['commit']}, {part['machine']}"
        seconds[origin] = seconds.get(origin, 0.0) + part.get("seconds", 0.0)
    return [*(f"{origin}, {total:.0f} s." for origin, total in seconds.items()), ""]


def _figures(parts: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = parts[name]["figures"] if name in parts else {}
    return found


def headline(parts: dict[str, Any]) -> dict[str, Any]:
    """The rows of one artefact in the first table."""
    platt = _figures(parts, "calibration").get("Platt", {})
    rows = {**_figures(parts, "development")}
    rows |= {name: platt[name] for name in ("ECE", "Brier") if name in platt}
    rows |= _figures(parts, "psytar")
    rows |= {name: value for name, value in _figures(parts, "phee").items() if name.startswith("PHEE")}
    return {name: value for name, value in rows.items() if name not in ("curve", "counts")}


def _first_table(parts: dict[str, Any]) -> tuple[list[str], list[str]]:
    """(the table, lines on the targets that are missed)."""
    shipped = headline(parts)
    reference = headline(parts.get("reference", {}))
    if "sentence F1" in shipped and "sentence F1" in reference:
        shipped["loss by int8 (points of F1)"] = 100 * (reference["sentence F1"][0] - shipped["sentence F1"][0])
    shipped["size in the repository (MB)"] = float(_figures(parts, "artefact")["megabytes"])
    baselines = _figures(parts, "baselines")
    header = ["", "shipped (int8)", *(["float32"] if reference else []), *baselines, "first target", "then"]
    rows, missed = [], {0: [], 1: []}  # type: ignore[var-annotated]
    for name, value in shipped.items():
        digits = 1 if name.startswith(("size", "loss")) else 3
        middle = [cell(reference.get(name))] if reference else []
        middle += [cell(row.get(name)) for row in baselines.values()]
        goals = TARGETS.get(name)
        rows.append([name, cell(value, digits), *middle, *(map("{:g}".format, goals) if goals else ("", ""))])
        for which, goal in enumerate(goals or ()):
            reached = value[0] if isinstance(value, list) else value
            if (reached > goal) if name in LESS_IS_BETTER else (reached < goal):
                missed[which].append(name)
    said = [
        f"Below the {word} target: {', '.join(names) or 'nothing'}."
        for word, names in zip(("first", "second"), missed.values(), strict=True)
    ]
    return table(header, rows), [" ".join(said), ""]


def _run_lines(parts: dict[str, Any]) -> list[str]:
    run = _figures(parts, "run")
    if not run:
        return []
    data, recipe = run.get("data", {}), run["recipe"]
    counts = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in data.items() if isinstance(v, int))
    lines = [f"- Recipe: base {recipe.get('base')}, seed {recipe.get('seed')}, precision {recipe.get('precision')}"]
    lines[0] += f"; fitting took {run['seconds'] / 60:.0f} minutes." if "seconds" in run else "."
    if runs := len(recipe.get("averaged", ())):
        lines.append(f"- The weights are the mean of {runs} runs; what is said of a fit is said of the first.")
    return [*lines, *([f"- Data of the fit: {counts}."] if counts else [])]


def _notes_table(rows: Sequence[dict[str, Any]]) -> list[str]:
    header = ["files", "kind", "sentences", "of them without words of harm", "false alarms", "with a false pair"]
    header += ["with words of harm", "calls on these"]
    return table(
        header,
        (
            [
                *(row["files"], row["kind"], cell(row["sentences"]), cell(row["false alarms, of"])),
                *(cell(row["false alarms"], 1), cell(row["false pairs"], 1)),
                *(cell(row["calls with words of harm, of"]), cell(row["calls with words of harm"], 1)),
            ]
            for row in rows
        ),
    )


def _robustness_table(figures: dict[str, Any]) -> list[str]:
    names = ("sentence F1", "DRUG F1", "EFFECT F1")
    header = ["", "sentences changed", *(h for name in names for h in (name, "change"))]
    return table(
        header,
        (
            [name, f"{row['changed']:.0%}", *(cell(row[k]) for n in names for k in (n, f"{n}, change"))]
            for name, row in figures.items()
        ),
    )


def _subgroup_table(rows: Sequence[dict[str, Any]]) -> list[str]:
    header = [
        "",
        "group",
        "documents",
        "sentences",
        "positive",
        "F1",
        "gap",
        "recall",
        "gap",
        "negatives called",
        "gap",
    ]
    return table(
        header,
        (
            [
                *(row["dimension"], row["group"], *(cell(row[k]) for k in ("documents", "sentences", "positives"))),
                *(cell(row.get(k)) for n in ("F1", "recall", "false alarms") for k in (n, f"{n}, gap")),
            ]
            for row in rows
        ),
    )


def _fold_table(folds: dict[str, Any]) -> list[str]:
    each = folds["each"]
    header = ["", "all folds pooled", "mean of folds", "smallest", "largest"]
    names = [name for name in folds["pooled"] if name in next(iter(each.values()))]
    rows = []
    for name in names:
        values = [row[name][0] if isinstance(row[name], list) else row[name] for row in each.values()]
        rows.append(
            [name, cell(folds["pooled"][name]), *map(cell, (sum(values) / len(values), min(values), max(values)))]
        )
    said = f"Folds {', '.join(sorted(each, key=int))}; {folds['seconds'] / 60:.0f} minutes in all."
    return [*table(header, rows), said, ""]


def page(results: dict[str, Any]) -> str:
    """The page as Markdown."""
    parts = results["parts"]
    artefact = parts["artefact"]
    counts = _figures(parts, "development").get("counts", {})
    first, missed = _first_table(parts)
    lines = ["# The shipped model", ""]
    lines += [
        f"`{results['model']}`, {artefact['figures']['megabytes']:.1f} MB in the repository.",
        "",
        *first,
        *missed,
    ]
    first_parts = [parts[name] for name in ("development", "psytar", "phee", "baselines") if name in parts]
    lines += stamped(*(first_parts or [artefact]), *parts.get("reference", {}).values())
    lines += ["## How it was measured", ""]
    lines += [
        line.format(seed=SEED, **{"sentences": "?", "positives": "?", "documents": "?"} | counts)
        for line in DEVELOPMENT
    ]
    lines += [*_run_lines(parts), "", "![precision and recall](model/precision-recall.png)", ""]
    lines += _section(parts, "calibration", "Calibration", CALIBRATION, _calibration_table, "reliability")
    lines += _section(parts, "notes", "Clinical notes: false alarms per 1,000 sentences", NOTES, _notes_table, None)
    kinds = [f"- {p.name}: {p.description}." for p in PERTURBATIONS]
    lines += _section(parts, "robustness", "Robustness", [*ROBUSTNESS, *kinds], _robustness_table, "robustness")
    lines += _section(parts, "subgroups", "Subgroups", SUBGROUPS, _subgroup_table, "subgroups")
    lines += ["## Ten folds", ""]
    lines += [*_fold_table(_figures(parts, "folds")), *stamped(parts["folds"])] if "folds" in parts else []
    lines += [*FOLDS, "", "## Limits", "", *LIMITS, ""]
    return "\n".join(lines)


def _calibration_table(figures: dict[str, Any]) -> list[str]:
    return table(
        ["scaling", "ECE", "Brier"], ([name, cell(row["ECE"]), cell(row["Brier"])] for name, row in figures.items())
    )


def _section(
    parts: dict[str, Any], name: str, title: str, text: Sequence[str], tabled: Any, picture: str | None
) -> list[str]:
    if name not in parts:
        return []
    lines = [f"## {title}", "", *tabled(parts[name]["figures"]), *stamped(parts[name]), *text, ""]
    return [*lines, *([f"![{picture}](model/{picture}.png)", ""] if picture else [])]


def write_page(path: Path, results: dict[str, Any]) -> None:
    """Write the page; nothing in it is typed by hand."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(results), encoding="utf-8")
