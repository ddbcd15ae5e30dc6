"""Distributed batch segmentation for images too large for one pass."""
