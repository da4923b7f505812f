"""Whether the false-alarm budget holds on a log of one's own: the rule run over permutations of it."""
