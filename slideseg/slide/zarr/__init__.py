"""Zarr: OME-Zarr images of all versions, bare arrays, and what slideseg itself wrote, in folders, zips and buckets."""
