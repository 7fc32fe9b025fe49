import os

import cv2
import numpy as np
import pytest

from did_tf.common import files, visualize

PALETTE = ((10, 20, 30), (200, 100, 0), (0, 0, 255))
LABEL = np.array([[0, 1, 2], [255, 1, 0]], np.uint8)


def read_png(path):
    """By OpenCV's own reader, turned into RGB."""
    return cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1]


def test_colorize():
    colours = visualize.colorize(LABEL, PALETTE)
    assert colours.dtype == np.uint8
    expected = [[PALETTE[0], PALETTE[1], PALETTE[2]], [(0, 0, 0), PALETTE[1], PALETTE[0]]]
    np.testing.assert_array_equal(colours, expected)


@pytest.mark.parametrize("dtype, value", [(np.uint8, 3), (np.int64, -1), (np.int64, 256)])
def test_colorize_names_an_id_without_colour(dtype, value):
    with pytest.raises(ValueError, match=f"label {value} has no colour"):
        visualize.colorize(np.full((2, 2), value, dtype), PALETTE)


def test_overlay_mixes_and_leaves_ignored_pixels():
    image = np.full((2, 3, 3), 100, np.uint8)
    mixed = visualize.overlay(image, LABEL, PALETTE, alpha=0.25)
    np.testing.assert_allclose(mixed[0, 1], np.array(PALETTE[1]) * 0.25 + 75, atol=1)
    np.testing.assert_array_equal(mixed[1, 0], (100, 100, 100))


@pytest.mark.parametrize("bands, shown", [(1, (0, 0, 0)), (2, (0, 0, 0)), (3, (0, 1, 2)), (7, (0, 1, 2))])
def test_to_rgb_takes_the_first_bands(bands, shown):
    image = np.random.default_rng(0).integers(0, 256, (4, 5, bands)).astype(np.uint8)
    np.testing.assert_array_equal(visualize.to_rgb(image), np.stack([image[..., i] for i in shown], -1))


def test_to_rgb_takes_the_bands_it_is_told():
    image = np.random.default_rng(0).integers(0, 256, (4, 5, 4)).astype(np.uint8)
    np.testing.assert_array_equal(visualize.to_rgb(image, (3, 0, 2)), image[..., [3, 0, 2]])


def test_to_rgb_of_a_plane_is_grey():
    plane = np.arange(6, dtype=np.uint8).reshape(2, 3)
    np.testing.assert_array_equal(visualize.to_rgb(plane), np.stack([plane] * 3, -1))


def test_to_rgb_stretches_each_band():
    ramp = np.linspace(0, 1, 101)
    image = np.stack([ramp * 5000 + 300, -ramp, np.full(101, 7.0)], -1)[None]
    rgb = visualize.to_rgb(image)
    assert rgb.dtype == np.uint8
    # Percentiles 1 and 99 are where the ramp is 0.01 and 0.99.
    expected = np.round(np.clip((ramp - 0.01) / 0.98, 0, 1) * 255)
    np.testing.assert_allclose(rgb[0, :, 0], expected, atol=1)
    np.testing.assert_allclose(rgb[0, :, 1], expected[::-1], atol=1)
    assert not rgb[..., 2].any()


def test_side_by_side_keeps_the_pictures():
    first, second = np.full((5, 4, 3), 9, np.uint8), np.full((8, 6, 3), 77, np.uint8)
    row = visualize.side_by_side([first, second], gap=2)
    assert row.shape == (8, 12, 3)
    np.testing.assert_array_equal(row[:5, :4], first)
    np.testing.assert_array_equal(row[:, 6:], second)
    assert (row[5:, :4] == 255).all() and (row[:, 4:6] == 255).all()


def test_titles_stand_above_and_inside_their_picture():
    pictures = [np.full((240, 90, 3), 128, np.uint8)] * 2
    row = visualize.side_by_side(pictures, ["a", "a title that is far too long for its picture"], gap=4)
    strip, below = row[:20], row[20:]
    assert row.shape == (260, 184, 3)
    np.testing.assert_array_equal(below[:, :90], pictures[0])
    assert (strip[:, :90] < 100).any() and (strip[:, 94:] < 200).any()
    assert (strip[:, -2:] == 255).all() and (strip[[0, -1]] == 255).all()
    with pytest.raises(ValueError, match="1 titles for 2 pictures"):
        visualize.side_by_side(pictures, ["a"])


def test_legend_shows_every_colour_and_name():
    picture = visualize.legend(("sky", "a rather long name", "g"), PALETTE)
    rows = np.split(picture, 3)
    for row, colour in zip(rows, PALETTE):
        assert (row == colour).all(-1).sum() == 20 * 16
        assert (row[:, 28:] < 60).all(-1).any()
    assert (picture[:, -4:] == 255).all()


def test_save_png_round_trip_on_an_awkward_path(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (4, 5, 3)).astype(np.uint8)
    path = tmp_path / "größe ☃" / "a" / "bild.png"
    visualize.save_png(path, rgb)
    np.testing.assert_array_equal(read_png(path), rgb)
    visualize.save_png(str(path), LABEL)
    np.testing.assert_array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), LABEL)


def test_save_png_takes_bytes_only(tmp_path):
    with pytest.raises(ValueError, match="uint8, got float64"):
        visualize.save_png(tmp_path / "a.png", np.zeros((2, 2, 3)))


def test_failing_to_write_names_the_file(tmp_path):
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "a.png"
    with pytest.raises(OSError, match="cannot write") as failure:
        visualize.save_png(path, np.zeros((2, 2, 3), np.uint8))
    assert failure.value.filename == str(path)


def test_a_failed_write_leaves_the_old_file_alone(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    files.write_file(path, b"old")

    def fail(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        files.write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_plot_curves_draws_each_series(tmp_path):
    path, xs = tmp_path / "plots" / "loss.png", np.arange(50)
    visualize.plot_curves(path, {"train": (xs, xs**0.5), "val": (xs, xs**0.4)}, "step", "loss", "title")
    both = read_png(path)
    visualize.plot_curves(path, {"train": (xs, xs**0.5)}, "step", "loss", "title")
    one = read_png(path)
    blue, orange = (31, 119, 180), (255, 127, 14)  # matplotlib's first two line colours
    assert (both == blue).all(-1).sum() > 100 and (both == orange).all(-1).sum() > 100
    assert (one == blue).all(-1).sum() > 100 and not (one == orange).all(-1).any()


def test_a_series_of_one_point_shows_it(tmp_path):
    path, xs = tmp_path / "loss.png", np.arange(50)
    visualize.plot_curves(path, {"train": (xs, xs**0.5), "val": ([45], [1.0])}, "step", "loss", "title")
    columns = np.flatnonzero((read_png(path) == (255, 127, 14)).all(-1).any(0))
    assert np.ptp(columns) > 300  # in the legend, at the upper left, and at the lower right


def test_letters_that_the_font_has_not_are_no_trouble(tmp_path, recwarn):
    visualize.save_figure(tmp_path / "a.png", visualize.confusion(np.eye(2), ["road", "\u65e5\u672c"]))
    assert not [*recwarn] and read_png(tmp_path / "a.png").min() < 50


def test_letters_that_opencv_has_not_are_drawn_without_their_accents():
    assert visualize.drawable("Straßenbäume, forêt") == "Stra?enbaume, foret"
    same = [visualize.legend((name,), PALETTE[:1]) for name in ("Bäume", "Baume")]
    np.testing.assert_array_equal(*same)
    blank = np.zeros((24, 200, 3), np.uint8)
    np.testing.assert_array_equal(*(visualize.side_by_side([blank], [title]) for title in ("forêt", "foret")))
