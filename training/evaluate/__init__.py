"""What the model is worth: every figure of docs/results/model.md, each with its interval.

`python -m training.evaluate --artefact FOLDER --out results.json` measures an artefact; parts are modules here:
development (the held-out fold), calibration, outside (other corpora), robustness, subgroups, baselines, folds.
"""
