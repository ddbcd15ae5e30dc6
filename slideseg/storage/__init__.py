"""Bytes under a path or in a bucket, and who may write them."""
