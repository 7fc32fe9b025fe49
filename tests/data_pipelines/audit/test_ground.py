"""Images that show the same ground, by where their files say that they lie."""

import dataclasses
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from in_memory import SPEC, InMemory, pairs
from own_data import write_tiff
from rasterio.transform import Affine, from_origin

from data_pipelines.audit import findings, ground
from data_pipelines.audit.survey import survey
from data_pipelines.spec import Sample, Window

UTM = "EPSG:32633"


@pytest.fixture
def tile(tmp_path):
    """Function that writes a tile of 20 rows and 30 columns, whose upper left corner is (x, y) in pixels of 10 m."""

    def write(name, x, y, crs=UTM, transform=None):
        transform = transform or from_origin(500_000 + 10 * x, 5_000_000 - 10 * y, 10, 10)
        write_tiff(tmp_path / f"{name}.tif", np.zeros((20, 30, 1), np.uint8), crs=crs, transform=transform)
        return Sample(name, tmp_path / f"{name}.tif")

    return write


def shared(first, second, shape=(20, 30)):
    grounds = [ground.ground_of(images, np.array([shape] * len(images))) for images in (first, second)]
    return {(one, other): round(share, 3) for one, other, share in ground.shared(*grounds)}


def test_overlapping_tiles_and_how_much_of_them(tile):
    train = [tile("a", 0, 0), tile("b", 30, 0)]
    val = [tile("c", 60, 0), tile("d", 15, 10), tile("e", 0, 20)]
    assert shared(train, val) == {("a", "d"): 0.25, ("b", "d"): 0.25}


def test_neighbours_other_systems_and_files_that_say_nothing(tile):
    train = [tile("a", 0, 0)]
    val = [tile("b", 29, 0), tile("c", 0, 0, crs="EPSG:32634"), Sample("d", Path("nowhere.png")), Sample("e")]
    assert shared(train, val) == {}


def test_windows_lie_where_they_are_cut(tile):
    whole = tile("a", 0, 0)
    one, beside, across = (
        dataclasses.replace(whole, name=f"{left}", window=Window(0, left, 10, 10)) for left in (0, 10, 5)
    )
    assert shared([one], [beside, across], (10, 10)) == {("0", "5"): 0.5}


def test_a_raster_is_opened_once_for_all_its_windows(tile, monkeypatch):
    whole, look = tile("a", 0, 0), Mock(wraps=ground.place_of)
    monkeypatch.setattr(ground, "place_of", look)
    windows = [dataclasses.replace(whole, window=Window(top, 0, 5, 10)) for top in range(15)]
    assert len(ground.ground_of(windows, np.array([(5, 10)] * 15)).names) == 15 and look.call_count == 1


def test_tiles_that_are_turned(tile):
    north = from_origin(500_000, 5_000_000, 10, 10)
    train, val = (
        [tile("a", 0, 0)],
        [tile("b", 0, 0, transform=north * Affine.scale(1, -1) * Affine.translation(0, -20))],
    )
    assert shared(train, val) == {("a", "b"): 1.0}


def judged(train, val):
    found = []
    for split, images in (("train", train), ("val", val)):
        one = survey(InMemory({split: pairs(len(images), seed=len(split), size=(20, 30))}), split)
        found.append(dataclasses.replace(one, images=images))
    return [note for note in findings.judge(SPEC, found).notes if "georeference" in note]


def test_what_the_audit_says(tile):
    assert judged([tile("a", 0, 0)], [tile("b", 15, 0), tile("c", 90, 0)]) == [
        "images of val that show ground of train, by their georeference: 1 (most: a ~ b 50%)"
    ]
    assert judged([tile("a", 0, 0)], [tile("b", 40, 0)]) == []
    assert judged([tile("a", 0, 0), tile("b", 0, 0)], [tile("c", 0, 0)]) == [
        "all images of train and val lie at one place by their georeference: is it right, and do they show the same?"
    ]
