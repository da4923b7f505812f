"""Sentences of the project's own that ask whether the model knows what is asserted. Scored, never trained on."""
