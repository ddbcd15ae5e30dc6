"""The page's server, asked over its socket as a browser does."""

import http.client
import json
import re
import socket
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import asdict

import numpy as np
import pytest
from PIL import Image

import slideseg
from slideseg.errors import ConfigError, ResultError
from slideseg.instances.run import objects
from slideseg.viewer.run import listen
from slideseg.viewer.server.slide import PAGE
from slideseg.viewer.shown import Shown
from tests.made_results import CLASSES, blobs, make_result

SHAPE = (600, 700)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    url = tmp_path_factory.mktemp("server") / "x.zarr"
    class_map = blobs(SHAPE)
    make_result(url, class_map, image=np.full((*SHAPE, 3), 200, np.uint8))
    objects(str(url))
    with slideseg.view(url, browser=False) as view:
        yield view, class_map


def ask(address, method="GET", **headers):
    """Return status, headers and body."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers, method=method), timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def test_the_page_loads_nothing_from_elsewhere(made):
    view, _ = made
    status, headers, body = ask(view.address)
    assert status == 200
    assert headers["Content-Security-Policy"].startswith("default-src 'self';")
    assert headers["Referrer-Policy"] == "no-referrer"
    ours = [path for path in PAGE.rglob("*.*") if path.suffix in (".html", ".css", ".js") and ".min." not in path.name]
    assert len(ours) > 10
    for path in ours:
        assert "//" not in path.read_text().replace("// ", ""), path.name
    for name in ("page/common.css", "page/viewer/main.js", "page/viewer/viewer.css", "page/openseadragon.min.js"):
        assert name.encode() in body
        assert ask(view.address + name)[0] == 200


def test_every_module_of_the_pages_is_there():
    scripts = [path for path in PAGE.rglob("*.js") if ".min." not in path.name]
    imported = {
        (path.parent / name).resolve() for path in scripts for name in re.findall(r'from "(\.[^"]+)"', path.read_text())
    }
    assert imported
    assert {path for path in imported if not path.exists()} == set()
    assert {path.name for path in scripts if path not in imported} == {"main.js", "sheet.js"}


def location_of(address):
    """Return the status of an answer and where it leads, without going there."""
    parts = urllib.parse.urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    connection.request("GET", parts.path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, answer.headers.get("Location")


def test_the_way_to_neuroglancer_names_files_that_are_here(made):
    view, _ = made
    status, link = location_of(f"{view.address}neuroglancer")
    assert status == 307
    page, _, state = link.partition("#!")
    assert page == "https://neuroglancer-demo.appspot.com/"
    layers = json.loads(urllib.parse.unquote(state))["layers"]
    assert [layer["name"] for layer in layers] == ["image red", "image green", "image blue", "segmentation", "objects"]
    for layer in layers:
        assert layer["source"].startswith(f"zarr3://{view.address}data/")
        assert ask(f"{layer['source'].removeprefix('zarr3://')}zarr.json")[0] == 200


def test_what_lies_in_a_bucket_is_not_shown_to_other_viewers_from_here(made, monkeypatch):
    view, _ = made
    assert json.loads(ask(f"{view.address}facts")[2])["is_local"]
    monkeypatch.setattr(Shown, "is_local", False)
    assert not json.loads(ask(f"{view.address}facts")[2])["is_local"]
    assert location_of(f"{view.address}neuroglancer") == (404, None)


def test_without_the_token_nothing_is_told(made):
    view, _ = made
    root, token, _ = view.address.rsplit("/", 2)
    assert len(token) >= 32
    for path in (
        "",
        "facts",
        f"{token[:-1]}/",
        f"{token}x/facts",
        f"x/{token}/",
        "page/viewer/main.js",
        "data/zarr.json",
        "%F0/",
    ):
        status, headers, body = ask(f"{root}/{path}")
        assert status == 403, path
        assert headers["Access-Control-Allow-Origin"] is None
        assert body.startswith(b"error: ")
        assert token.encode() not in body


def test_a_page_whose_name_was_made_to_point_here_gets_nothing(made):
    """DNS rebinding: the browser sends the other's name as the host, with whatever token it may have got."""
    view, _ = made
    port = view.address.split("/")[2].rpartition(":")[2]
    for name in (
        "evil.example",
        f"evil.example:{port}",
        f"127.0.0.1.evil.example:{port}",
        "evil.example:127.0.0.1",
        "",
        "a@127.0.0.1",
    ):
        status, headers, body = ask(view.address + "facts", Host=name)
        assert (status, headers["Access-Control-Allow-Origin"]) == (403, None), name
        assert body.startswith(b"error: this is no name of this machine")
        assert ask(view.address + "data/zarr.json", Host=name, Origin="http://evil.example")[0] == 403
    for name in (f"127.0.0.1:{port}", f"localhost:{port}", "LOCALHOST", f"[::1]:{port}", "10.0.0.7", socket.gethostname()):
        assert ask(view.address + "facts", Host=name)[0] == 200, name


def test_other_origins_can_neither_read_the_page_nor_write_anything(made):
    view, _ = made
    for path in ("", "facts", "sums", "at/0/0/0", "tiles/classes/0/0/0/0", "page/viewer/main.js"):
        headers = ask(view.address + path, Origin="http://evil.example")[1]
        assert headers["Access-Control-Allow-Origin"] is None, path
    for path in ("", "facts", "data/zarr.json", "tiles/classes/0/0/0/0"):
        for method in ("POST", "PUT", "DELETE"):
            request = urllib.request.Request(view.address + path, data=b"x", method=method)
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request, timeout=60)
            assert refused.value.code == 405, (method, path)
            refused.value.close()


def test_no_other_protocol_passes_the_guard(made):
    view, _ = made
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "eA=="}
    root, token, _ = view.address.rsplit("/", 2)
    assert ask(f"{root}/{token[:-1]}/facts", **upgrade)[0] == 403


def test_only_this_machine_can_connect(made):
    view, _ = made
    assert view.address.startswith("http://127.0.0.1:")


def test_facts_name_layers_classes_and_the_run(made):
    view, _ = made
    facts = json.loads(ask(view.address + "facts")[2])
    assert list(facts["layers"]) == ["image", "classes", "objects"]
    assert facts["layers"]["classes"] == {"rows": 600, "columns": 700, "levels": 2}
    assert facts["classes"] == [asdict(known) for known in CLASSES]
    assert (facts["title"], facts["mpp"], facts["planes"]) == ("a slide.tif", {"y": 0.5, "x": 0.5}, 1)
    told = dict(facts["facts"])
    assert (told["model"], told["computed in"]) == ("made", "1.5 s")
    assert int(told["objects"]) == slideseg.open_result(view._slides.urls[0]).table.num_rows


def test_sums_are_those_of_slideseg_info(made):
    view, _ = made
    wanted = slideseg.open_result(view._slides.urls[0]).object_counts()
    ids = {known.name: known.id for known in CLASSES}
    assert json.loads(ask(view.address + "sums")[2]) == [{"id": ids[one["class"]], **one} for one in wanted]
    assert any(one["count"] for one in wanted)


@pytest.mark.parametrize(("layer", "kind"), [("image", "image/jpeg"), ("classes", "image/png"), ("objects", "image/png")])
def test_tiles(made, layer, kind):
    view, _ = made
    status, headers, body = ask(view.address + f"tiles/{layer}/0/0/1/1")
    assert (status, headers["Content-Type"]) == (200, kind)
    assert "max-age" in headers["Cache-Control"]
    assert body[:3] in (b"\x89PN", b"\xff\xd8\xff")


@pytest.mark.parametrize(
    "path",
    ["tiles/image/1/0/0/0", "tiles/image/0/2/0/0", "tiles/image/0/0/2/0", "tiles/nothing/0/0/0/0", "tiles/image/0/0/x/0",
     "at/0/600/0", "at/0/0/700", "at/1/0/0", "objects/999999", "objects/0", "objects/9223372036854775808",
     "at/0/99999999999999999999/0", "tiles/classes/0/0/99999999999999999999/0", "nothing", "data/nothing", "page/../server.py"],
)  # fmt: skip
def test_what_is_not_there_is_404(made, path):
    view, _ = made
    assert ask(view.address + path)[0] == 404


def test_an_object_that_is_not_there_is_told_with_those_that_are(made):
    view, _ = made
    number = slideseg.open_result(view._slides.urls[0]).objects_record.number
    wanted = f"error: no such object (got {number + 1}, want 1 to {number})\n"
    assert ask(view.address + f"objects/{number + 1}")[2].decode() == wanted


def test_a_missing_table_is_told(tmp_path):
    make_result(tmp_path / "x.zarr", np.ones((300, 300), np.uint8))
    assert objects(tmp_path / "x.zarr").number == 1
    (tmp_path / "x.zarr" / "tables" / "objects.parquet").unlink()
    with slideseg.view(tmp_path / "x.zarr", browser=False) as view:
        for path in ("sums", "objects/1", "at/0/0/0"):
            status, _, body = ask(view.address + path)
            assert (status, body) == (
                500,
                b"error: tables/objects.parquet is missing (try slideseg objects with the same options)\n",
            )
        assert ["objects", "1"] in json.loads(ask(view.address + "facts")[2])["facts"]


def test_at_a_point_there_are_class_object_and_its_row(made):
    view, class_map = made
    ids = np.asarray(slideseg.open_result(view._slides.urls[0]).objects)
    table = slideseg.open_result(view._slides.urls[0]).table.to_pylist()
    for y, x in (np.argwhere(ids)[::5000]).tolist():
        found = json.loads(ask(view.address + f"at/0/{y}/{x}")[2])
        assert (found["class"], found["object"]) == (class_map[y, x], ids[y, x])
        assert found["row"] == table[ids[y, x] - 1]
        assert json.loads(ask(view.address + f"objects/{ids[y, x]}")[2]) == found["row"]
    y, x = np.argwhere(ids == 0)[0].tolist()
    assert json.loads(ask(view.address + f"at/0/{y}/{x}")[2]) == {"class": int(class_map[y, x]), "object": 0, "row": None}


def test_other_viewers_read_the_zarr_in_ranges(made):
    view, _ = made
    file = "labels/segmentation/0/c/0/0"
    whole = (view._slides.urls[0] + "/" + file).encode()
    with open(whole, "rb") as opened:
        data = opened.read()
    for asked, wanted in (("bytes=0-9", data[:10]), ("bytes=-20", data[-20:]), ("bytes=5-", data[5:])):
        status, headers, body = ask(view.address + "data/" + file, Range=asked, Origin="http://elsewhere.example")
        assert (status, body) == (206, wanted)
        assert headers["Access-Control-Allow-Origin"] == "*"
        assert "Content-Range" in headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "wanted"),
    [
        ("GET", "data/zarr.json", {}, 200),
        ("HEAD", "data/zarr.json", {}, 200),
        ("GET", "data/nothing", {}, 404),
        ("HEAD", "data/labels/.zattrs", {}, 404),
        ("GET", "data/labels", {}, 404),
        ("GET", "data/labels/", {}, 404),
        ("GET", "data/", {}, 404),
        ("GET", "data/a%00b", {}, 404),
        ("GET", "data/" + 300 * "x", {}, 404),
        ("GET", "data/nothing", {"Range": "bytes=0-9"}, 404),
        ("GET", "data/zarr.json", {"Range": "bytes=0-9"}, 206),
        ("GET", "data/zarr.json", {"Range": "bytes=99999999-"}, 416),
        ("GET", "data/..%2f..%2fsecret", {}, 404),
        ("POST", "data/zarr.json", {}, 405),
        ("OPTIONS", "data/nothing", {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "range"}, 200),
    ],
)
def test_every_answer_about_data_can_be_seen_by_other_pages(made, method, path, headers, wanted):
    """Viv and zarrita ask for metadata that may not be there, and fail where they are not let to see that it is not."""
    view, _ = made
    status, told, body = ask(view.address + path, method, Origin="http://elsewhere.example", **headers)
    assert (status, told["Access-Control-Allow-Origin"]) == (wanted, "*")
    if method == "HEAD":
        assert body == b""
    if status in (200, 206, 404):
        assert ("Accept-Ranges" in told.get("Access-Control-Expose-Headers", "")) == (method != "OPTIONS")


def test_a_page_of_the_internet_may_read_from_this_machine(made):
    """As neuroglancer does; a browser asks first, and takes a refusal of this one question for a refusal of all."""
    view, _ = made
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Private-Network": "true"}
    status, told, _ = ask(view.address + "data/zarr.json", "OPTIONS", Origin="https://elsewhere.example", **asked)
    assert (status, told["Access-Control-Allow-Private-Network"]) == (200, "true")


def test_tiles_and_rows_are_for_the_page_alone(made):
    view, _ = made
    assert ask(view.address + "facts", Origin="http://elsewhere.example")[1]["Access-Control-Allow-Origin"] is None


def test_a_damaged_chunk_is_told(tmp_path):
    make_result(tmp_path / "x.zarr", blobs((300, 300)))
    shard = tmp_path / "x.zarr" / "labels" / "segmentation" / "0" / "c" / "1" / "1"
    data = bytearray(shard.read_bytes())
    data[10] ^= 255
    shard.write_bytes(data)
    with slideseg.view(tmp_path / "x.zarr", browser=False) as view:
        for path in ("tiles/classes/0/0/0/0", "at/0/299/299"):
            status, _, body = ask(view.address + path)
            assert status == 500
            assert body.startswith(b"error: shard labels/segmentation/0/c/1/1 is damaged")
        assert ask(view.address + "at/0/0/0")[0] == 200


def test_a_stack_has_planes(tmp_path):
    planes = np.stack([np.full((40, 50), n, np.uint8) for n in range(3)])
    make_result(tmp_path / "x.zarr", planes, plane_axis="z")
    with slideseg.view(tmp_path / "x.zarr", browser=False) as view:
        facts = json.loads(ask(view.address + "facts")[2])
        assert (facts["planes"], facts["plane_axis"]) == (3, "z")
        assert dict(facts["facts"])["class map"] == "3 x 40 x 50 px"
        for plane in range(3):
            assert json.loads(ask(view.address + f"at/{plane}/0/0")[2])["class"] == plane
            tile = tmp_path / "tile.png"
            tile.write_bytes(ask(view.address + f"tiles/classes/{plane}/0/0/0")[2])
            assert (np.asarray(Image.open(tile)) == plane).all()


def test_the_view_ends_and_frees_its_port(made):
    view, _ = made
    with slideseg.view(view._slides.urls[0], browser=False) as other:
        port = int(other.address.split("/")[2].rpartition(":")[2])
        with pytest.raises(ConfigError, match=f"can't listen on 127.0.0.1 port {port}"):
            slideseg.view(view._slides.urls[0], port=port, browser=False)
    listen("127.0.0.1", port).close()


def test_a_host_that_is_not_here_is_one_line():
    with pytest.raises(ConfigError, match="can't listen on"):
        listen("no.such.host.invalid", 0)


def test_an_unfinished_result_is_refused(tmp_path):
    make_result(tmp_path / "x.zarr", blobs((64, 64)), finish=False)
    with pytest.raises(ResultError, match="unfinished"):
        slideseg.view(tmp_path / "x.zarr", browser=False)


def test_in_a_notebook_it_is_a_frame(made):
    view, _ = made
    assert f'src="{view.address}"' in view._repr_html_()
