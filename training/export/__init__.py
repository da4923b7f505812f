"""A trained model to the artefact that is served: graph, parity, calibration, manifest, Triton's configuration."""

from __future__ import annotations

from training.export.artefacts import calibrated, with_first_stage, write_artefact
from training.export.calibrate import Calibration, best_threshold, calibrate, pair_examples
from training.export.graph import Shape, build
from training.export.nodes import Precision
from training.export.parity import Parity, ParityError
from training.export.run import HeldOut, export_run, held_out, ship
from training.export.weights import ExportError, Trained, read_run

__all__ = [
    "Calibration",
    "ExportError",
    "HeldOut",
    "Parity",
    "ParityError",
    "Precision",
    "Shape",
    "Trained",
    "best_threshold",
    "build",
    "calibrate",
    "calibrated",
    "export_run",
    "held_out",
    "pair_examples",
    "read_run",
    "ship",
    "with_first_stage",
    "write_artefact",
]
