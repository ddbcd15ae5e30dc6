"""Out-of-core work on the assembled result, with Dask."""
