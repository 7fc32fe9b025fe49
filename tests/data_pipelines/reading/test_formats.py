"""PGM, PPM and PBM hold what their bytes say, whatever their maximum: an id of 1 is 1."""

import numpy as np
import pytest

from data_pipelines import DataError, DatasetSpec
from data_pipelines.reading.images import read_image, read_label

IDS = np.array([[0, 1, 2], [3, 1, 0]])


def spec_of(bands=1, dtype="uint8"):
    classes = tuple("abcd")
    return DatasetSpec("tiny", classes, ((0, 0, 0),) * 4, {}, (1.0,) * bands, (1.0,) * bands, dtype=dtype)


def written(path, kind, values, largest):
    """The file, in ASCII where `kind` is P2 or P3."""
    head = f"{kind}\n# a comment 7\n{values.shape[1]} {values.shape[0]}\n{largest}\n".encode()
    text = "\n".join(map(str, values.ravel())).encode() + b"\n"
    stored = text if kind in ("P2", "P3") else values.astype(">u2" if largest > 255 else np.uint8).tobytes()
    path.write_bytes(head + stored)
    return path


@pytest.mark.parametrize("kind", ["P2", "P5"])
@pytest.mark.parametrize("largest", [3, 100, 255, 1023, 65535])
def test_grey_values_are_not_spread(kind, largest, tmp_path):
    path = written(tmp_path / "a.pgm", kind, IDS, largest)
    np.testing.assert_array_equal(read_label(path, spec_of()), IDS)
    dtype = "uint8" if largest < 256 else "uint16"
    np.testing.assert_array_equal(read_image(path, spec_of(1, dtype))[..., 0], IDS)


@pytest.mark.parametrize("kind", ["P3", "P6"])
@pytest.mark.parametrize("largest", [9, 255])
def test_colours_are_not_spread(kind, largest, tmp_path):
    colours = np.random.default_rng(0).integers(0, 10, (2, 3, 3))
    np.testing.assert_array_equal(read_image(written(tmp_path / "a.ppm", kind, colours, largest)), colours)


@pytest.mark.parametrize(
    "text",
    ["P2\n3 2\n3\n0 1 2 3 1\n", "P2\n3 2\n2\n0 1 2 3 1 0\n", "P2\n3 2\n3\n0 1 x 3 1 0\n", "P2\n3\n", "P2\n3 2\n9\n"],
)
def test_text_that_is_no_picture(text, tmp_path):
    (tmp_path / "a.pgm").write_text(text)
    for read in (read_image, lambda path: read_label(path, spec_of())):
        with pytest.raises(DataError, match="a.pgm: the file is damaged or no image"):
            read(tmp_path / "a.pgm")


@pytest.mark.parametrize("data", [b"P1\n3 1\n0 1 0\n", b"P4\n3 1\n\x40"])
def test_a_bitmap_whose_1_is_black_is_no_label(data, tmp_path):
    (tmp_path / "a.pbm").write_bytes(data)
    with pytest.raises(DataError, match="label .*a.pbm is a PBM, in which 1 is black and no class id: save it as PNG"):
        read_label(tmp_path / "a.pbm", spec_of())
    assert read_image(tmp_path / "a.pbm")[0, :, 0].tolist() == [255, 0, 255]
