"""`python -m training.export`."""

from training.export.command import command

command(prog_name="python -m training.export")
