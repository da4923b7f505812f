"""`python -m training.evaluate`."""

from training.evaluate.command import main

if __name__ == "__main__":
    main()
