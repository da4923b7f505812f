"""Real servers on this machine, for tests, benchmarks and trying things. No part of the product."""
