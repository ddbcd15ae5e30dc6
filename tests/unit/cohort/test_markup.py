"""Names of files are text, and places are found from the page."""

from html.parser import HTMLParser

import pytest

from slideseg.cohort.markup import link_between, name, tag, text

EVIL = "</td><script>alert(1)</script>\"'&<img src=x onerror=alert(1)>\x00\x1b\udcff\u202etxt"


class Parsed(HTMLParser):
    """All tags and text of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.data = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.data += data


def test_text_stays_text():
    parsed = Parsed(tag("p", name(EVIL), title=EVIL))
    assert [kind for kind, _ in parsed.tags] == ["p", "bdi"]
    assert (
        parsed.data
        == parsed.tags[0][1]["title"]
        == EVIL.replace("\x00", "\ufffd").replace("\x1b", "\ufffd").replace("\udcff", "\ufffd")
    )
    text(EVIL).encode()


@pytest.mark.parametrize(
    ("folder", "place", "link"),
    [
        ("results", "results/a.zarr", "./a.zarr"),
        ("results/", "other/a.zarr", "./../other/a.zarr"),
        ("results", "results/javascript:alert(1).zarr", "./javascript%3Aalert%281%29.zarr"),
        ("results", 'results/"><b>.zarr', "./%22%3E%3Cb%3E.zarr"),
        ("results", "results/s\udcff.zarr", "./s%FF.zarr"),
        ("s3://lab/runs", "s3://lab/runs/x/a#1.zarr", "./x/a%231.zarr"),
        ("s3://lab/runs", "s3://lab/runs2/a.zarr", None),
        ("results", "s3://lab/a.zarr", None),
        ("s3://lab/runs", "/data/a.zarr", None),
    ],
)
def test_a_link_leads_from_the_page_to_the_result(folder, place, link):
    assert link_between(folder, place) == link
