"""Object stores: S3 and what speaks like it, Google's, Azure's, and what web servers show.

Everything that a user may set is read from the environment by obstore, under each provider's own names. Set here is how long a
store is waited for, and what other clients find by themselves: what ``~/.aws`` says, and that ``http://`` is meant.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, HTTPStore, S3Store

from slideseg.endpoints import checked, endpoint_of_s3
from slideseg.errors import ConfigError, explain
from slideseg.storage.aws_files import keys_in_file, setting_in_file
from slideseg.storage.place import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Callable

    from obstore.store import ClientConfig, ObjectStore, RetryConfig

    from slideseg.storage.place import Location

PATIENCE = 120.0
"""Seconds in which a request that failed is made again."""
CONNECT_SECONDS = 5
"""A server that takes longer to be reached is not there."""
SILENT_SECONDS = 30
"""A server that says nothing for so long, in the middle of an answer too, is asked again."""
REQUEST_SECONDS = 600
"""The longest that one answer may take: a part of a file, on a slow line."""
MOST_RETRIES = 100
"""More than the patience has room for."""
SERVERS = {"s3": (), "gs": ("GOOGLE_BASE_URL",), "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT")}
"""Variables that say where a server is that is not the provider's; of S3, see `slideseg.endpoints`."""
CLIENT_SETTINGS = ("allow_http", "allow_invalid_certificates", "proxy_url", "proxy_excludes", "root_certificate", "user_agent")
"""Settings of a client that obstore reads from the environment only where it is told nothing else."""


def open_bucket(place: Location, patience: float = PATIENCE) -> ObjectStore:
    """Open a bucket below a prefix; nobody is asked whether it is there.

    ``patience`` is as `PATIENCE`, or 0, and an answer may take no longer either, where that is less than usual.

    Raises:
        ConfigError: if what is set of it can't be used.
    """
    kinds: dict[str, Callable[..., ObjectStore]] = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}
    settings = _of_s3() if place.scheme == "s3" else {}
    server = settings.get("endpoint") or next(filter(None, map(os.environ.get, SERVERS[place.scheme])), "")
    client = _client(BUCKETS[place.scheme], server, patience)
    if place.path:
        settings["prefix"] = place.path
    try:
        return kinds[place.scheme](place.bucket, client_options=client, retry_config=_retries(patience), **settings)
    except (BaseError, ValueError) as error:
        got, try_ = str(error).split("\n", maxsplit=1)[0], f"the variables {BUCKETS[place.scheme]}_... of the environment"
        raise ConfigError(explain(f"{place.scheme}://{place.bucket} can't be opened", got=got, try_=try_)) from error


def open_web(url: str, patience: float = PATIENCE) -> ObjectStore:
    """Open what a web server shows below an address; ``patience`` is as `PATIENCE`."""
    return HTTPStore(url, client_options=_client("HTTP", url, patience), retry_config=_retries(patience))


def _of_s3() -> dict[str, Any]:
    """Return what obstore would not find by itself, or not check: the server, the region, the keys in a file."""
    settings: dict[str, Any] = {}
    endpoint = endpoint_of_s3() or setting_in_file("endpoint_url")
    if endpoint:
        settings["endpoint"] = checked(endpoint)
    if not os.environ.get("AWS_REGION") and not os.environ.get("AWS_DEFAULT_REGION"):
        settings["region"] = setting_in_file("region") or "us-east-1"
    if (keys := keys_in_file()) is not None:
        settings["credential_provider"] = keys
    return settings


def _client(variables: str, url: str, patience: float) -> ClientConfig:
    """Return the client's settings: those of the environment, and our time-outs."""
    silent = min(SILENT_SECONDS, patience or SILENT_SECONDS)
    named = {name: os.environ.get(f"{variables}_{name.upper()}") for name in CLIENT_SETTINGS}
    said: dict[str, Any] = {name: value for name, value in named.items() if value}
    if url.startswith("http://"):
        said["allow_http"] = "true"
    seconds = {"connect_timeout": CONNECT_SECONDS, "read_timeout": silent, "timeout": REQUEST_SECONDS}
    said.update({name: timedelta(seconds=value) for name, value in seconds.items()})
    return cast("ClientConfig", said)


def _retries(patience: float) -> RetryConfig:
    return {
        "max_retries": MOST_RETRIES if patience else 0,
        "retry_timeout": timedelta(seconds=patience),
        "backoff": {"init_backoff": timedelta(milliseconds=20), "max_backoff": timedelta(seconds=5), "base": 3},
    }
