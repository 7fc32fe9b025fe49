import errno
import os

import cv2
import numpy as np
import pytest
import rasterio
from photos import picture

from data_pipelines import DatasetSpec
from data_pipelines.reading.places import Place, place_of
from did_tf.common import visualize
from did_tf.inference import outputs

PALETTE = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
SPEC = DatasetSpec("three", ("a", "b", "c"), PALETTE, {}, mean=(0.0,) * 3, std=(1.0,) * 3)
OWN = DatasetSpec("own", ("a", "b", "c"), PALETTE, {}, (0.0,) * 3, (1.0,) * 3, label_ids=(7, 26, 40), void_ids=(3,))
WIDE = DatasetSpec("wide", ("a", "b", "c"), PALETTE, {}, (0.0,) * 3, (1.0,) * 3, label_ids=(7, 255, 1000))
KINDS = ("label", "color", "overlay", "outputs")
IDS = np.tile(np.array([0, 1, 2], np.uint8), (40, 20))
UTM = Place(rasterio.CRS.from_epsg(32633).to_wkt(), (10.0, 0.0, 500000.0, 0.0, -10.0, 5000000.0))


def read(path):
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return pixels[..., ::-1] if pixels.ndim == 3 else pixels


class Certain:
    """Stands for a predictor: probabilities of which `classes` [H, W] of each output are certain, in strips."""

    def __init__(self, **classes):
        self.probabilities = {name: np.eye(3, dtype=np.float32)[ids] for name, ids in classes.items()}

    def strips(self, image):
        for top in range(0, len(image), 7):
            rows = slice(top, min(top + 7, len(image)))
            yield rows, {name: values[rows] for name, values in self.probabilities.items()}


def test_what_is_seen_is_the_most_probable_class_and_nothing_where_there_are_no_data():
    mask, kept = np.zeros((40, 60), bool), []
    mask[3:20, 5] = True
    seen = outputs.see(
        Certain(main=IDS, side=2 - IDS), picture(40, 60), mask, lambda rows, values: kept.append((rows, values))
    )
    for name, ids in (("main", IDS), ("side", 2 - IDS)):
        assert seen[name].dtype == np.uint8
        np.testing.assert_array_equal(seen[name], np.where(mask, 255, ids))
    values = np.concatenate([values for _, values in kept])
    assert [rows.start for rows, _ in kept] == list(range(0, 40, 7))
    np.testing.assert_array_equal(values, np.where(mask[..., None], np.nan, np.eye(3)[IDS]))


class Delayed:
    """Stands for a refinement: rows upside down in colour (class 2 - id), told one strip late."""

    def __init__(self):
        self.held, self.top = [], 0

    def in_turn(self, strips):
        return strips

    def take(self, values):
        self.held.append(values)
        last = self.top + sum(map(len, self.held)) == 40
        while len(self.held) > (0 if last else 1):
            rows = slice(self.top, self.top + len(self.held[0]))
            yield rows, self.held.pop(0)[..., ::-1]
            self.top = rows.stop


def test_what_is_refined_is_seen_beside_main_and_is_what_is_kept():
    mask, kept = np.zeros((40, 60), bool), []
    mask[3:20, 5] = True
    seen = outputs.see(
        Certain(main=IDS), picture(40, 60), mask, lambda rows, values: kept.append((rows, values)), Delayed()
    )
    assert list(seen) == ["main", "main+crf"]
    np.testing.assert_array_equal(seen["main"], np.where(mask, 255, IDS))
    np.testing.assert_array_equal(seen["main+crf"], np.where(mask, 255, 2 - IDS))
    assert [row for rows, _ in kept for row in range(40)[rows]] == list(range(40))
    values = np.concatenate([values for _, values in kept])
    np.testing.assert_array_equal(values, np.where(mask[..., None], np.nan, np.eye(3)[2 - IDS]))


def test_results_are_what_is_refined_and_panels_show_both(tmp_path):
    outputs.write_results(tmp_path, "a", picture(40, 60), {"main": IDS, "main+crf": 2 - IDS}, SPEC)
    np.testing.assert_array_equal(read(tmp_path / "a_label.png"), 2 - IDS)
    panels = read(tmp_path / "a_outputs.png")[-40:]
    for place, ids in ((1, IDS), (2, 2 - IDS)):
        np.testing.assert_array_equal(panels[:, place * 64 :][:, :60], np.array(PALETTE)[ids])


def test_pictures(tmp_path):
    image = picture(40, 60)
    seen = {"main": IDS, "block2": IDS * 0 + 1, "block3": IDS * 0 + 2}
    outputs.write_results(tmp_path, "day/a", image, seen, SPEC)
    assert sorted(path.name for path in (tmp_path / "day").iterdir()) == sorted(f"a_{kind}.png" for kind in KINDS)

    label, color, overlay, panels = (read(tmp_path / "day" / f"a_{kind}.png") for kind in KINDS)
    assert label.dtype == np.uint8
    np.testing.assert_array_equal(label, IDS)
    np.testing.assert_array_equal(color, np.array(PALETTE)[IDS])
    assert abs(overlay - (image / 2 + color / 2)).max() <= 1
    # Under their titles, 4 pixels apart: image, block3, block2, block1.
    columns = [panels[-40:, start : start + 60] for start in range(0, panels.shape[1], 64)]
    expected = [image, np.full((40, 60, 3), PALETTE[2]), np.full((40, 60, 3), PALETTE[1]), color]
    np.testing.assert_array_equal(columns, expected)


@pytest.mark.parametrize(
    ("spec", "ids", "void", "dtype"),
    [(SPEC, (0, 1, 2), 255, np.uint8), (OWN, (7, 26, 40), 3, np.uint8), (WIDE, (7, 255, 1000), 0, np.uint16)],
)
@pytest.mark.parametrize("place", [None, UTM])
def test_labels_have_the_ids_of_the_users_own(spec, ids, void, dtype, place, tmp_path):
    seen = IDS.copy()
    seen[:5] = 255
    outputs.write_results(tmp_path, "a", picture(40, 60), {"main": seen}, spec, place)
    label = rasterio.open(tmp_path / "a_label.tif").read(1) if place else read(tmp_path / "a_label.png")
    assert label.dtype == dtype and (label[:5] == void).all()
    np.testing.assert_array_equal(label[5:], np.array(ids)[IDS[5:]])


def test_what_lies_on_earth_stays_there(tmp_path):
    seen = IDS.copy()
    seen[:5] = 255
    outputs.write_results(tmp_path, "a", picture(40, 60), {"main": seen}, OWN, UTM)
    with outputs.probability_file(tmp_path, "a", IDS.shape, OWN, UTM) as keep:
        outputs.see(Certain(main=IDS), picture(40, 60), seen == 255, keep)
    names = ["color.tif", "label.tif", "outputs.png", "overlay.png", "probabilities.tif"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a_{name}" for name in names]
    for kind in ("label", "color", "probabilities"):
        place = place_of(tmp_path / f"a_{kind}.tif")
        assert place.transform == UTM.transform and rasterio.CRS.from_wkt(place.crs).to_epsg() == 32633
    with rasterio.open(tmp_path / "a_label.tif") as file:
        assert file.nodata == 3 and [file.colormap(1)[number][:3] for number in (7, 26, 40)] == list(PALETTE)
        assert file.colormap(1)[3][:3] == (0, 0, 0)
    with rasterio.open(tmp_path / "a_color.tif") as file:
        colours = np.where((seen == 255)[..., None], 0, np.array(PALETTE)[IDS])
        np.testing.assert_array_equal(file.read().transpose(1, 2, 0), colours)
    with rasterio.open(tmp_path / "a_probabilities.tif") as file:
        assert file.dtypes == ("float32",) * 3 and np.isnan(file.nodata) and file.descriptions == OWN.classes
        expected = np.where((seen == 255)[..., None], np.nan, np.eye(3)[IDS])
        np.testing.assert_array_equal(file.read().transpose(1, 2, 0), expected)


def test_probabilities_of_a_picture(tmp_path):
    mask = IDS == 1
    with outputs.probability_file(tmp_path, "day/a", IDS.shape, SPEC, None) as keep:
        outputs.see(Certain(main=IDS), picture(40, 60), mask, keep)
    values = np.load(tmp_path / "day" / "a_probabilities.npy")
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, np.where(mask[..., None], np.nan, np.eye(3)[IDS]))


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="a system that takes no room in advance")
def test_a_disk_without_room_for_an_array_is_told_before_it_is_written(tmp_path, monkeypatch):
    """Once it is mapped into memory, the process would be killed by a signal."""
    failing = {}

    def take(*_):
        raise OSError(failing["number"], os.strerror(failing["number"]))

    monkeypatch.setattr(os, "posix_fallocate", take)
    failing["number"] = errno.ENOSPC
    with pytest.raises(OSError, match="cannot write: No space left on device: '.*a_probabilities.npy'"):
        outputs.probability_file(tmp_path, "a", IDS.shape, SPEC, None).__enter__()
    measured = {"margin": np.ones(IDS.shape, np.float32)}
    with pytest.raises(OSError, match="cannot write: No space left on device: '.*a_margin.npy'"):
        outputs.write_results(tmp_path, "a", picture(40, 60), {"main": IDS}, SPEC, None, ("margin",), measured)
    failing["number"] = errno.ENOTSUP  # as some file systems say
    outputs.write_results(tmp_path, "a", picture(40, 60), {"main": IDS}, SPEC, None, ("margin",), measured)
    np.testing.assert_array_equal(np.load(tmp_path / "a_margin.npy"), measured["margin"])


def test_void_has_a_colour_that_no_class_has(tmp_path):
    dark = DatasetSpec("dark", ("a", "b"), ((0, 0, 0), (255, 255, 255)), {}, (0.0,) * 3, (1.0,) * 3)
    assert visualize.void_colour(SPEC) == (0, 0, 0) and visualize.void_colour(dark) == (1, 1, 1)
    seen = np.full((20, 30), 255, np.uint8)
    outputs.write_results(tmp_path, "a", picture(20, 30), {"main": seen}, dark)
    assert (read(tmp_path / "a_color.png") == 1).all() and (read(tmp_path / "a_outputs.png")[-20:, -30:] == 1).all()
    assert (read(tmp_path / "a_overlay.png") == 1).all(), "what was read there is no measurement"


def test_the_legend_has_ids_names_and_void(tmp_path, monkeypatch):
    classes = [(7, "a", PALETTE[0]), (26, "b", PALETTE[1]), (40, "c", PALETTE[2])]
    assert outputs.legend(OWN) == [*classes, (3, "void", (0, 0, 0))]
    written = []
    monkeypatch.setattr(visualize, "legend", lambda names, palette: written.extend(zip(names, palette)) or IDS)
    outputs.write_legend(tmp_path / "legend.png", OWN)
    assert written[0] == ("7  a", PALETTE[0]) and written[-1] == ("3  void", (0, 0, 0))


def test_a_file_that_can_not_be_written_is_named(tmp_path):
    (tmp_path / "a_label.tif").mkdir()
    with pytest.raises(OSError, match="cannot write.*a_label.tif"):
        outputs.write_results(tmp_path, "a", picture(40, 60), {"main": IDS}, SPEC, UTM)


@pytest.mark.parametrize(
    ("names", "titles"),
    [
        (("main", "block2", "block3"), ["image", "block3", "block2", "block1"]),
        (("main", "aux"), ["image", "aux", "main"]),
        (("main",), ["image", "main"]),
    ],
)
def test_panels_go_from_coarse_to_fine(names, titles, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(visualize, "side_by_side", lambda pictures, names: seen.extend(names) or pictures[0])
    outputs.write_results(tmp_path, "a", picture(20, 20), dict.fromkeys(names, np.zeros((20, 20), np.uint8)), SPEC)
    assert seen == titles


def test_panels_of_large_images_are_thinned_out(tmp_path):
    outputs.write_results(tmp_path, "a", picture(30, 2050), {"main": np.zeros((30, 2050), np.uint8)}, SPEC)
    assert read(tmp_path / "a_outputs.png").shape[1] == 2 * 684 + 4
    assert read(tmp_path / "a_label.png").shape == (30, 2050)
