"""`python -m streams` is the command `vigilia`."""

from streams.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
