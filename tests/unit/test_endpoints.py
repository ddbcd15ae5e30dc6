"""Where buckets are: the option wins as long as the command runs, and no key travels."""

from __future__ import annotations

import os

import pytest

from slideseg.endpoints import TRAVELLING, endpoint_of_s3, s3_server, travelling
from slideseg.errors import ConfigError


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch):
    for name in TRAVELLING:
        monkeypatch.delenv(name, raising=False)


def test_the_option_wins_and_goes(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://usual")
    before = dict(os.environ)
    with s3_server("http://own:9000/"):
        assert endpoint_of_s3() == "http://own:9000"
        assert travelling()["AWS_ENDPOINT_URL_S3"] == "http://own:9000", "this name counts first on the node"
    assert os.environ == before
    assert endpoint_of_s3() == "https://usual"


def test_what_is_no_address_changes_nothing():
    before = dict(os.environ)
    with pytest.raises(ConfigError, match="can't be read"), s3_server("own:9000"):
        pass
    assert os.environ == before
    assert endpoint_of_s3() is None


def test_no_key_travels(monkeypatch):
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AZURE_STORAGE_ACCOUNT_KEY", "AWS_PROFILE"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert travelling() == {"AWS_REGION": "eu-west-1"}
    assert not any(word in name for name in TRAVELLING for word in ("KEY", "SECRET", "TOKEN", "SAS", "PASSWORD"))
