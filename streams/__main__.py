"""`python -m streams` is the command `vigilia`."""

from streams.cli import main

raise SystemExit(main())
