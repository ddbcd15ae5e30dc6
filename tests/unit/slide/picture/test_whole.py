from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from slideseg.slide.picture import whole
from slideseg.slide.picture.whole import jpeg_end


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
@pytest.mark.parametrize("options", [{}, {"restart_marker_rows": 1}, {"progressive": True}])
def test_the_end_of_a_jpeg_is_found_wherever_the_pieces_end(options, piece, monkeypatch):
    monkeypatch.setattr(whole, "_PIECE", piece)
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(file, "JPEG", **options)
    content = file.getvalue()
    assert jpeg_end(io.BytesIO(content + b"\xff\xd9 padding")) == len(content)
    assert not any(jpeg_end(io.BytesIO(content[:length])) for length in range(len(content) - 40, len(content)))
