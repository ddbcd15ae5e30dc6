"""The result store: shards, metadata, lease."""
