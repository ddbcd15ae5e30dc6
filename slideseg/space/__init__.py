"""Whole numbers: boxes, shards, tiles, mirrored places. No files, no network."""
