"""Every sample is on the sheet, image beside coloured label, whatever its size and kind."""

import cv2
import numpy as np
import pytest
from in_memory import InMemory, halves

from data_pipelines.audit.contact_sheet import THUMB, Entry, write_sheet

RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (10, 20, 230)
WIDE, TALL = THUMB


def plain(colour, size=(24, 32)):
    """An image of one colour."""
    return np.broadcast_to(np.array(colour), (*size, len(colour))).astype(np.uint8)


def sheet(path, dataset, entries):
    """The sheet that was written, RGB."""
    write_sheet(path / "größe ☃" / "a.png", dataset, "a title", entries)
    return cv2.imdecode(np.fromfile(path / "größe ☃" / "a.png", np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def area(picture, colour):
    """How many pixels have that colour."""
    return int((picture == colour).all(-1).sum())


def entries_of(dataset, split="train"):
    return [Entry([sample], sample.name) for sample in dataset.samples(split)]


@pytest.mark.parametrize("count, rows", [(1, 1), (3, 1), (4, 2), (7, 3)])
def test_images_beside_their_labels(tmp_path, count, rows):
    dataset = InMemory({"train": [(plain(BLUE), halves())] * count})
    picture = sheet(tmp_path, dataset, entries_of(dataset))
    # An image of 3:4 fills the height of its place.
    assert area(picture, BLUE) == count * 150 * 200
    swatch = 16 * 20
    assert area(picture, RED) == area(picture, GREEN) == count * 150 * 100 + swatch
    assert rows * 150 < picture.shape[0] < rows * 150 + 60 + rows * 40
    left = np.argwhere((picture == BLUE).all(-1))[:, 1].min()
    assert left < np.argwhere((picture == RED).all(-1))[:, 1].min()
    assert (picture[:10] == 255).all() and (picture[:, :10] == 255).all()


def test_void_has_a_colour_that_no_class_has(tmp_path):
    label = halves()
    label[:4] = 255
    black = InMemory({"train": [(plain(BLUE), label)]}, palette=((0, 0, 0), GREEN))
    swatch = 16 * 20
    assert area(sheet(tmp_path, black, entries_of(black)), (0, 0, 0)) == 150 * 100 * 20 // 24 + swatch


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (500, 3), (2000, 1500)])
def test_thumbnails_fit(tmp_path, size):
    dataset = InMemory({"train": [(plain(BLUE, size), np.zeros(size, np.uint8))]})
    picture = sheet(tmp_path, dataset, entries_of(dataset))
    rows, columns = np.nonzero((picture == BLUE).all(-1))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert height <= TALL and width <= WIDE
    assert height == TALL or width == WIDE
    assert area(picture, BLUE) == height * width == area(picture, RED) - 16 * 20


@pytest.mark.parametrize("bands, dtype", [(1, np.uint8), (2, np.uint16), (5, np.float32), (7, np.uint16)])
def test_images_of_any_kind(tmp_path, bands, dtype):
    ramp = np.linspace(0, 1000, 40).astype(dtype)
    image = np.broadcast_to(ramp[None, :, None], (30, 40, bands))
    options = {"mean": (0.0,) * bands, "std": (1.0,) * bands, "dtype": np.dtype(dtype).name}
    dataset = InMemory({"train": [(image, halves((30, 40)))]}, **options)
    picture = sheet(tmp_path, dataset, entries_of(dataset))
    shown = picture[50:180, 14:214]
    assert shown[:, :20].mean() < 60 and (dtype == np.uint8 or shown[:, -20:].mean() > 200)


def test_colours_are_the_bands_of_that_name(tmp_path):
    image = plain((9, *BLUE[::-1]))
    options = {"mean": (0.0,) * 4, "std": (1.0,) * 4, "band_names": ("infrared", "blue", "green", "red")}
    dataset = InMemory({"train": [(image, halves())]}, **options)
    assert area(sheet(tmp_path, dataset, entries_of(dataset)), BLUE) == 150 * 200


def test_images_alone(tmp_path):
    pairs = [(plain(BLUE), None)] * 2
    dataset = InMemory({"test": pairs})
    entries = [Entry([sample], "x", labels=False) for sample in dataset.images("test")]
    picture = sheet(tmp_path, dataset, entries)
    assert area(picture, BLUE) == 2 * 150 * 200 and not area(picture, RED)
    dataset = InMemory({"train": [(plain(BLUE), np.int32(1))]}, task="classification", palette=())
    assert area(sheet(tmp_path, dataset, entries_of(dataset)), BLUE) == 150 * 200


def test_two_samples_side_by_side(tmp_path):
    dataset = InMemory({"train": [(plain(BLUE), halves()), (plain(RED), halves())]})
    picture = sheet(tmp_path, dataset, [Entry(dataset.samples("train"), "both", labels=False)])
    columns = [np.nonzero((picture == colour).all(-1))[1] for colour in (BLUE, RED)]
    assert area(picture, BLUE) == area(picture, RED) == 150 * 200
    assert columns[0].max() < columns[1].min() <= columns[0].max() + 5


def test_what_cannot_be_read_is_grey(tmp_path):
    dataset = InMemory({"train": ["damaged", (plain(BLUE), halves())]})
    picture = sheet(tmp_path, dataset, entries_of(dataset))
    assert area(picture, BLUE) == 150 * 200
    assert 0 <= area(picture, (128, 128, 128)) - 2 * TALL * WIDE < 50  # some pixels of letters are grey too


def test_long_captions_are_broken_and_stay_within(tmp_path):
    dataset = InMemory({"train": [(plain(BLUE), halves())] * 2})
    names = ["a name that is far too long for one line " * 3, "/".join(["folder" * 12] * 3)]
    entries = [Entry([sample], name) for sample, name in zip(dataset.samples("train"), names)]
    picture = sheet(tmp_path, dataset, entries)
    below = picture[14 + 30 + 150 :, 14 : 14 + 404]
    lines = (below < 100).any(axis=(1, 2))
    assert (np.diff(lines.astype(int)) == 1).sum() >= 3
    assert (picture[200:, 14 + 404 + 2 : 14 + 404 + 12] == 255).all()
