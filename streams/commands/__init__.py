"""The commands of `vigilia`, a module each. `streams.cli` imports one when it is called."""
