"""Where buckets are: an option's server for as long as a command runs, and what of the environment goes to workers elsewhere.

Keys don't go with it: what a run sends to Ray, all of Ray's users can read. The machines of a cluster have their own.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from slideseg.errors import ConfigError, explain

if TYPE_CHECKING:
    from collections.abc import Iterator

ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
"""Variables that say where an S3 server is; the first that is set counts."""
TRAVELLING = (
    *ENDPOINTS,
    *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ALLOW_HTTP", "AWS_SKIP_SIGNATURE", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST"),
    *("AWS_REQUEST_PAYER", "AWS_DISABLE_BULK_DELETE", "GOOGLE_BASE_URL", "GOOGLE_ALLOW_HTTP", "GOOGLE_SKIP_SIGNATURE"),
    *("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT", "AZURE_ALLOW_HTTP", "AZURE_SKIP_SIGNATURE"),
)
"""Variables that say where buckets are and how they are asked, and none that says who asks."""


def travelling() -> dict[str, str]:
    """Return those of `TRAVELLING` that are set; the server under the name that counts first, whatever else a node is told."""
    said = {name: os.environ[name] for name in TRAVELLING if os.environ.get(name)}
    server = endpoint_of_s3()
    return said if server is None else {**said, ENDPOINTS[0]: server}


def endpoint_of_s3() -> str | None:
    """Return the address of the S3 server that the environment names; None for Amazon's.

    Raises:
        ConfigError: if it is no address.
    """
    return next((checked(url) for url in map(os.environ.get, ENDPOINTS) if url), None)


@contextmanager
def s3_server(url: str) -> Iterator[None]:
    """Have ``s3://`` mean the server at ``url`` as long as the block runs, whatever the environment says.

    Raises:
        ConfigError: if it is no address.
    """
    checked(url)
    before = {name: os.environ.pop(name, None) for name in ENDPOINTS}
    os.environ["AWS_ENDPOINT_URL"] = url
    try:
        yield
    finally:
        del os.environ["AWS_ENDPOINT_URL"]
        os.environ.update({name: value for name, value in before.items() if value is not None})


def checked(url: str) -> str:
    """Return the address of a server.

    Raises:
        ConfigError: if it is none.
    """
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or " " in url:
        want = "http://host:port or https://host"
        raise ConfigError(explain("the address of the S3 server can't be read", got=url, want=want))
    return url.rstrip("/")
