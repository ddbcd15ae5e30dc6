"""What is set of a bucket: by the environment, by the files in ~/.aws, by us."""

from __future__ import annotations

import os
import pickle

import pytest

from slideseg.errors import ConfigError
from slideseg.storage.bucket import open_bucket, open_web
from slideseg.storage.place import locate

FILES = {
    "credentials": "[default]\naws_access_key_id = A\naws_secret_access_key = S\n"
    "[lab]\naws_access_key_id = B\naws_secret_access_key = T%1\naws_session_token = U\n[sso]\n",
    "config": "[default]\nregion = eu-west-1\n[profile lab]\nregion = eu-north-1\nendpoint_url = http://lab:9000/\n",
}

OWN = {
    "AWS_ACCESS_KEY_ID": "C",
    "AWS_SECRET_ACCESS_KEY": "D",
    "AWS_REGION": "us-west-2",
    "AWS_ENDPOINT_URL": "https://own",
}


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith(("AWS_", "GOOGLE_", "AZURE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def files(tmp_path):
    (tmp_path / ".aws").mkdir()
    for name, text in FILES.items():
        (tmp_path / ".aws" / name).write_text(text)
    return tmp_path / ".aws"


def keys(store):
    provider = store.credential_provider
    return None if provider is None else [provider()[name] for name in ("access_key_id", "secret_access_key", "token")]


def test_the_files_of_every_aws_client_are_read(files, monkeypatch):
    store = open_bucket(locate("s3://b/x"))
    assert (store.config["region"], keys(store), store.prefix) == ("eu-west-1", ["A", "S", None], "x")
    monkeypatch.setenv("AWS_PROFILE", "lab")
    store = pickle.loads(pickle.dumps(open_bucket(locate("s3://b"))))
    assert (store.config["region"], keys(store), store.prefix) == ("eu-north-1", ["B", "T%1", "U"], None)
    assert store.config["endpoint"] == "http://lab:9000"
    assert store.client_options["allow_http"] == "true"
    assert b"T%1" not in pickle.dumps(store)


def test_the_environment_wins_over_the_files(files, monkeypatch):
    for name, value in OWN.items():
        monkeypatch.setenv(name, value)
    store = open_bucket(locate("s3://b"))
    assert keys(store) is None
    assert "region" not in store.config
    assert store.config["endpoint"] == "https://own"
    assert "allow_http" not in store.client_options


@pytest.mark.parametrize(("variable", "value"), [("AWS_SKIP_SIGNATURE", "true"), ("AWS_WEB_IDENTITY_TOKEN_FILE", "/t")])
def test_keys_in_files_don_t_count_where_something_else_says_who_asks(files, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    assert keys(open_bucket(locate("s3://b"))) is None


def test_what_the_environment_says_of_the_connection_is_kept(monkeypatch):
    monkeypatch.setenv("AWS_PROXY_URL", "http://proxy:1")
    assert open_bucket(locate("s3://b")).client_options["proxy_url"] == "http://proxy:1"


def test_a_file_that_can_t_be_read_is_said_without_what_is_in_it(files):
    (files / "credentials").write_text("secret words")
    with pytest.raises(ConfigError, match=r"\.aws/credentials can't be read") as caught:
        open_bucket(locate("s3://b"))
    assert "secret" not in str(caught.value)


def test_a_profile_without_keys_is_said(files, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "sso")
    with pytest.raises(ConfigError, match=r"the profile sso has no keys.*export-credentials"):
        open_bucket(locate("s3://b"))


@pytest.mark.parametrize("url", ["host:9000", "ftp://host", "http://", "http://a b", "http://[", "http://host:x"])
def test_an_address_that_is_none_is_refused(monkeypatch, url):
    """obstore would end the process's thread with a Rust panic, which is no exception."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    with pytest.raises(ConfigError, match="the address of the S3 server can't be read"):
        open_bucket(locate("s3://b"))


def test_other_providers_are_opened(monkeypatch):
    assert open_bucket(locate("gs://b/x")).prefix == "x"
    with pytest.raises(ConfigError, match=r"az://b can't .*Account must be specified; try the variables AZURE_"):
        open_bucket(locate("az://b/x"))
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "me")
    assert open_bucket(locate("az://b/x")).prefix == "x"


def test_the_web_is_read_without_a_lock_where_it_has_none():
    assert open_web("http://host/x").client_options["allow_http"] == "true"
    assert "allow_http" not in open_web("https://host/x").client_options
