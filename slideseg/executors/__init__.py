"""How the shards of a plan are run."""
