"""What ``~/.aws`` says, as every client of S3 reads it but obstore: keys, the region, the server."""

from __future__ import annotations

import configparser
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slideseg.errors import ConfigError, explain

if TYPE_CHECKING:
    from obstore.store import S3Credential

OTHER_SOURCES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)
"""Variables that say who asks; where one is set, the keys in the files don't count, unless a profile is named."""


@dataclass(frozen=True, slots=True)
class KeysInFile:
    """Reads the keys when they are needed, so that they are in no value that travels or is printed."""

    profile: str

    def __call__(self) -> S3Credential:
        """Return the keys as obstore takes them."""
        said = _section("AWS_SHARED_CREDENTIALS_FILE", "credentials", self.profile)
        key, secret = said["aws_access_key_id"], said["aws_secret_access_key"]
        token = said.get("aws_session_token")
        return {"access_key_id": key, "secret_access_key": secret, "token": token, "expires_at": None}


def keys_in_file() -> KeysInFile | None:
    """Return what reads the profile's keys; None where the environment says who asks, or the file has none.

    Raises:
        ConfigError: if the file can't be read, or a profile is named that has no keys there.
    """
    named = os.environ.get("AWS_PROFILE")
    if named is None and any(os.environ.get(name) for name in OTHER_SOURCES):
        return None
    profile = named or "default"
    if "aws_secret_access_key" in _section("AWS_SHARED_CREDENTIALS_FILE", "credentials", profile):
        return KeysInFile(profile)
    if named and not any(os.environ.get(name) for name in OTHER_SOURCES):
        what = f"the profile {named} has no keys in ~/.aws/credentials"
        try_ = 'eval "$(aws configure export-credentials --format env)", after aws sso login'
        raise ConfigError(explain(what, try_=try_))
    return None


def setting_in_file(name: str) -> str | None:
    """Return what the profile sets in ``~/.aws/config``, as its ``region``; None if nothing.

    Raises:
        ConfigError: if the file can't be read.
    """
    profile = os.environ.get("AWS_PROFILE", "default")
    return _section("AWS_CONFIG_FILE", "config", profile if profile == "default" else f"profile {profile}").get(name)


def _section(variable: str, file: str, section: str) -> dict[str, str]:
    path = Path(os.environ.get(variable) or "~/.aws", "" if os.environ.get(variable) else file).expanduser()
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        got = error.strerror if isinstance(error, OSError) else type(error).__name__  # never a line of it: there are keys in it
        raise ConfigError(explain(f"{path} can't be read", got=got)) from None
    return dict(parser[section]) if parser.has_section(section) else {}
