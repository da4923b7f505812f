"""A trained model to the artefact that is served: graph, parity, calibration, manifest, Triton's configuration."""

from __future__ import annotations

from training.export.artefacts import calibrated, export, write_artefact
from training.export.calibrate import Calibration, best_threshold, calibrate, pair_examples
from training.export.graph import Quantise, Shape, build
from training.export.weights import Trained, read_run

__all__ = [
    "Calibration",
    "Quantise",
    "Shape",
    "Trained",
    "best_threshold",
    "build",
    "calibrate",
    "calibrated",
    "export",
    "pair_examples",
    "read_run",
    "write_artefact",
]
