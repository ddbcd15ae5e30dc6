"""Sharded arrays in a store: how they are cut, their bytes, and their pyramids."""
