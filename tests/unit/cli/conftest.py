"""Commands that run in the tests' own process leave it as it is."""

import pytest


@pytest.fixture(autouse=True)
def _process_as_it_is(process_as_it_is):
    """Use `process_as_it_is` in all tests here."""
