"""`python -m training.evaluate`."""

from training.evaluate.commands import command

if __name__ == "__main__":
    command(prog_name="python -m training.evaluate")
