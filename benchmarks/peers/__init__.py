"""Other programs on the same network and picture: each in an environment of its own, in turns with ours; see bench_peers.py."""
