"""The recount of the assessments log, and its comparison with Redis."""
