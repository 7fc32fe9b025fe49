"""Own data in small, for the tests of what reads, audits and describes it."""

import numpy as np
import pytest
from own_data import describe, make_rgbd, scene, write_png


@pytest.fixture
def rgbd(tmp_path):
    return make_rgbd(tmp_path / "data")


@pytest.fixture
def plain(tmp_path):
    """Function that makes 8-bit RGB images and labels of these names (default: a to h), and dataset.yaml of `keys`."""

    def make(names="abcdefgh", labels=None, **keys):
        folder = tmp_path / "plain"
        for number, name in enumerate(names):
            pixels, _ = scene(number, (16, 16))
            write_png(folder / "images" / f"{name}.png", pixels[..., :3].astype(np.uint8))
        for name in names if labels is None else labels:
            write_png(folder / "labels" / f"{name}.png", np.zeros((16, 16), np.uint8))
        return describe(folder, 1, **{"splits": {"train": 1.0}, **keys})

    return make
