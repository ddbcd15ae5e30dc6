"""What an object store's refusals mean: in plain words, what to set, and whether to ask again makes sense."""

from __future__ import annotations

import re

from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    GenericError,
    PermissionDeniedError,
    UnauthenticatedError,
)

NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist")
"""How stores say that not only the key is missing."""
METADATA = re.compile(r"169\.254\.169\.|/latest/api/token|/computeMetadata/|Account must be specified")
"""Where machines of a cloud are asked for their keys, when nothing else has any."""
KEYS = {
    "S3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in ~/.aws; AWS_SKIP_SIGNATURE=true for a public bucket",
    "GCS": "GOOGLE_APPLICATION_CREDENTIALS; GOOGLE_SKIP_SIGNATURE=true for a public bucket",
    "MicrosoftAzure": "AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_KEY",
}
"""What to set, by how obstore calls a store."""
SERVERS = {"S3": "--endpoint-url or AWS_ENDPOINT_URL", "GCS": "GOOGLE_BASE_URL", "MicrosoftAzure": "AZURE_STORAGE_ENDPOINT"}
REFUSED_KEYS = re.compile(
    r"InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|TokenRefreshRequired|AuthenticationFailed"
    r"|InvalidSecurity|RequestTimeTooSkewed"
)
"""How stores say that the keys are wrong, or that a clock is."""
OTHER_REGION = re.compile(r"redirect|PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraint", re.IGNORECASE)
REGION = re.compile(r"<Region>([\w-]+)</Region>|expecting '([\w-]+)'")
SERVER = re.compile(r"(https?://[^/\s]+)")
FORBIDDEN = re.compile(r"status code: 40[13]\b")
NO_ANSWER = "error sending request"
PASSING = re.compile(r"status code: (5\d\d|408|429)|HTTP error: (?!builder)")
"""How obstore says what may be otherwise in a moment: an overloaded server, a connection that broke."""
MOST_CHARACTERS = 300
"""Of an error's own words in ours."""


def says_no_bucket(error: Exception) -> bool:
    """Tell whether a whole bucket is missing."""
    return any(code in str(error) for code in NO_BUCKET)


def is_passing(error: Exception) -> bool:
    """Tell whether the same request may do in a moment; what the store understood and refused does not."""
    said = _said(error)
    if not isinstance(error, GenericError) or METADATA.search(said) or OTHER_REGION.search(said) or says_no_bucket(error):
        return False
    return PASSING.search(said) is not None


def is_about_access(error: Exception) -> bool:
    """Tell whether no request of ours can do: nobody answers, nobody knows us, or the bucket is elsewhere."""
    said = _said(error)
    return NO_ANSWER in said or any(pattern.search(said) for pattern in (METADATA, REFUSED_KEYS, OTHER_REGION))


def is_forbidden(error: Exception) -> bool:
    """Tell whether a store does not allow what was asked; some answer so of keys that are not there."""
    return isinstance(error, PermissionDeniedError | UnauthenticatedError) or FORBIDDEN.search(_said(error)) is not None


def in_words(error: Exception) -> str:
    """Return what went wrong and what to set, in short: obstore adds a dump of its state, object stores whole documents.

    >>> in_words(OSError(28, "No space left on device"))
    '[Errno 28] No space left on device'
    """
    said = _said(error)
    hint = _hint(error, said) if isinstance(error, BaseError) and not isinstance(error, AlreadyExistsError) else None
    if hint is not None:
        return hint
    said = said.split("<?xml", maxsplit=1)[0]
    return " ".join(said.split())[:MOST_CHARACTERS].rstrip(" :")


def _said(error: Exception) -> str:
    return str(error).split("Debug source:", maxsplit=1)[0]


def _hint(error: BaseError, said: str) -> str | None:
    kind = next((kind for kind in KEYS if kind in str(error)), "S3")
    if METADATA.search(said):
        return f"no keys to the bucket were found: set {KEYS[kind]}"
    if refused := REFUSED_KEYS.search(said):
        return f"the store does not take the keys ({refused[0]}): see {KEYS[kind]}"
    if OTHER_REGION.search(said):
        named = REGION.search(said)
        where = f"AWS_REGION={named[1] or named[2]}" if named else "AWS_REGION"
        return f"the bucket lies in another region than was asked: set {where}"
    if is_forbidden(error):
        return f"the store does not allow it: see {KEYS[kind]}, and what they may do in the bucket"
    if NO_ANSWER in said:
        server = SERVER.search(said)
        return f"no answer from {server[1] if server else 'the store'}: see {SERVERS[kind]}, and the network"
    return None
