"""`python -m training.evaluate`."""

from training.evaluate.development import main

if __name__ == "__main__":
    main()
