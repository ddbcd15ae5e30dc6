"""Objects of a label image that is too large for memory, shard by shard, equal to those of the whole image. Numbers only."""
