"""The version, in one place."""

__version__ = "0.1.0"

SOURCE = "git+https://github.com/slideseg/slideseg"
"""What pip installs slideseg from: the name alone is another package's in the public index."""


def pip_install(*extras: str) -> str:
    """Return the command that installs slideseg with extras.

    >>> pip_install("anndata")
    "pip install 'slideseg[anndata] @ git+https://github.com/slideseg/slideseg'"
    """
    return f"pip install 'slideseg[{','.join(extras)}] @ {SOURCE}'"
