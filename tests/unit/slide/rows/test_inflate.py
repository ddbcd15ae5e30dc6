"""Piece by piece it is what the whole decompresses to, wherever the pieces end."""

from __future__ import annotations

import lzma
import zlib

import imagecodecs
import numpy as np
import pytest

from slideseg.slide.rows.inflate import DECODERS

RNG = np.random.default_rng(5)
DATA = {
    "texture": RNG.normal(0, 6, 120_000).astype(np.int8).tobytes(),
    "noise": RNG.integers(0, 256, 90_000, dtype=np.uint8).tobytes(),
    "flat": bytes(70_000),
    "runs": np.repeat(RNG.integers(0, 9, 900, dtype=np.uint8), RNG.integers(1, 300, 900)).tobytes(),
    "short": b"abc",
}
ENCODERS = {
    1: bytes,
    5: imagecodecs.lzw_encode,
    8: zlib.compress,
    32773: imagecodecs.packbits_encode,
    34925: lzma.compress,
    50000: imagecodecs.zstd_encode,
}


@pytest.mark.parametrize("step", [7, 4096, 1 << 20])
@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("compression", ENCODERS)
def test_pieces_together_are_the_whole(compression, kind, step):
    data = DATA[kind]
    coded = bytes(ENCODERS[compression](data))
    pieces = [coded[start : start + step] for start in range(0, len(coded), step)]
    assert b"".join(DECODERS[compression](iter(pieces))) == data


def test_lzw_may_lack_its_end():
    coded = bytes(imagecodecs.lzw_encode(DATA["texture"]))
    cut = b"".join(DECODERS[5](iter([coded[:-2]])))
    assert DATA["texture"].startswith(cut)
    assert len(cut) > len(DATA["texture"]) - 9


def test_lzw_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="another kind"):
        list(DECODERS[5](iter([b"\x00\x01" + bytes(90)])))
    with pytest.raises(ValueError, match="another kind"):  # never empties its table
        list(DECODERS[5](iter([b"\x80" + bytes(20_000)])))


@pytest.mark.parametrize("compression", [8, 34925, 50000])
def test_damage_is_an_error(compression):
    coded = bytearray(ENCODERS[compression](DATA["texture"]))
    coded[len(coded) // 2 : len(coded) // 2 + 9] = bytes(9)
    with pytest.raises(ValueError, match=r"\w"):
        list(DECODERS[compression](iter([bytes(coded)])))
