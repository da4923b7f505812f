"""How far a prediction can be trusted: coverage of conformal sets, faithfulness of explanations.

`python -m training.trust.coverage` writes docs/results/conformal.md, `python -m training.trust.faithfulness` writes
docs/results/explain.md.
"""
