"""The network, how it learns, and how good it is."""
