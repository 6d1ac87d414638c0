"""A truncated image file is refused, in every format."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gradprom.data.formats.pillow_files import open_image


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "TIFF"])
def test_any_truncation_is_seen(tmp_path: Path, format: str) -> None:
    path = tmp_path / "image.png"
    pixels = np.random.default_rng(0).integers(256, size=(40, 40), dtype=np.uint8)
    Image.fromarray(pixels).save(path, format=format)
    assert open_image(path).size == (40, 40)
    whole = path.read_bytes()
    for kept in range(0, len(whole) * 9 // 10, 37):
        path.write_bytes(whole[:kept])
        with pytest.raises(ValueError, match="image.png: "):
            open_image(path)
