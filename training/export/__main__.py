"""`python -m training.export`."""

from training.export.artefacts import main

main()
