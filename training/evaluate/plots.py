"""The page's pictures, drawn from the figures alone: reliability, precision-recall, robustness, subgroups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BLUE, ORANGE, GREEN, GREY, RED = "#1f5fa8", "#d9822b", "#3c8d5a", "#8a8a8a", "#b33a3a"
DPI = 130


@contextmanager
def _canvas(path: Path, width: float, height: float) -> Iterator[Any]:
    """Axes of a figure that is saved to `path`."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(width, height))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    try:
        yield axes
        figure.tight_layout()
        figure.savefig(path, dpi=DPI, metadata={"Software": None})
    finally:
        plt.close(figure)


def draw(results: dict[str, Any], folder: Path) -> list[Path]:
    """Draw what the results allow; returns the pictures written."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = results["parts"]
    written = []
    for name, needed, drawing in (
        ("reliability", "calibration", _reliability),
        ("precision-recall", "development", _precision_recall),
        ("robustness", "robustness", _robustness),
        ("subgroups", "subgroups", _subgroups),
    ):
        if needed in parts:
            path = folder / f"{name}.png"
            drawing(parts, path)
            written.append(path)
    return written


def _reliability(parts: dict[str, Any], path: Path) -> None:
    figures = parts["calibration"]["figures"]
    with _canvas(path, 6, 5) as axes:
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="perfect")
        for (name, row), colour, marker in zip(figures.items(), (RED, ORANGE, BLUE), ("s", "^", "o"), strict=False):
            x, y = [bar[1] for bar in row["bins"]], [bar[2] for bar in row["bins"]]
            label = f"{name}: ECE {row['ECE'][0]:.3f}"
            axes.plot(x, y, color=colour, marker=marker, markersize=5, linewidth=1.5, label=label)
        for count, x, y in figures["Platt"]["bins"]:
            axes.annotate(f"{count:,}", (x, y), xytext=(5, -11), textcoords="offset points", fontsize=7, color=BLUE)
        axes.set(
            xlabel="mean probability of a bin",
            ylabel="share with an adverse event",
            xlim=(-0.02, 1.02),
            ylim=(-0.06, 1.03),
        )
        axes.set_title("Reliability, development fold (numbers: sentences of a bin, Platt)", fontsize=10)
        axes.legend(frameon=False, fontsize=9)


def _precision_recall(parts: dict[str, Any], path: Path) -> None:
    figures = parts["development"]["figures"]
    curves = {"model": (figures, BLUE)}
    for (name, row), colour in zip(
        parts.get("baselines", {}).get("figures", {}).items(), (ORANGE, GREEN), strict=False
    ):
        curves[name] = (row, colour)
    with _canvas(path, 6, 5) as axes:
        for name, (row, colour) in curves.items():
            label = f"{name}: average precision {row['average precision'][0]:.3f}"
            axes.plot(*row["curve"], color=colour, linewidth=1.7, label=label)
            axes.plot(row["sentence recall"][0], row["sentence precision"][0], "o", color=colour, markersize=7)
        axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
        axes.set_title("Sentences of the development fold; dots: at the threshold", fontsize=10)
        axes.legend(frameon=False, fontsize=9, loc="lower left")


def _forest(axes: Any, rows: Sequence[tuple[str, Sequence[float], str]]) -> None:
    """One line a row, top to bottom: estimate and interval around a zero line."""
    for at, (_, (value, low, high), colour) in enumerate(rows):
        axes.plot([low, high], [at, at], color=colour, linewidth=2, solid_capstyle="round")
        axes.plot(value, at, "o", color=colour, markersize=6)
    axes.axvline(0, color=GREY, linewidth=1)
    axes.set_yticks(range(len(rows)), [label for label, _, _ in rows], fontsize=9)
    axes.set_ylim(len(rows) - 0.5, -0.5)


def _robustness(parts: dict[str, Any], path: Path) -> None:
    measures = (("sentence F1", BLUE), ("DRUG F1", GREEN), ("EFFECT F1", ORANGE))
    figures = parts["robustness"]["figures"]
    rows = [
        (f"{name}: {measure}", row[f"{measure}, change"], colour)
        for name, row in figures.items()
        for measure, colour in measures
    ]
    with _canvas(path, 7, 0.3 * len(rows) + 1.2) as axes:
        _forest(axes, rows)
        axes.set_xlabel("change of F1 against the unchanged sentences (95%)")


def _subgroups(parts: dict[str, Any], path: Path) -> None:
    rows = [
        (f"{row['dimension']}: {row['group']} ({row['positives']} positive)", row["F1, gap"], BLUE)
        for row in parts["subgroups"]["figures"]
        if None not in row.get("F1, gap", [None])
    ]
    with _canvas(path, 8, 0.34 * len(rows) + 1.2) as axes:
        _forest(axes, rows)
        axes.set_xlabel("F1 of the group minus F1 of the other groups (95%)")
