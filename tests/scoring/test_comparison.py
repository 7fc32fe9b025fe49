"""Where networks differ and what classes gain, against loops over pixels."""

import dataclasses

import numpy as np
import pytest
from in_memory import SPEC, noise

from did_tf.scoring import bootstrap, comparison
from did_tf.scoring.comparison import LOST, OTHERWISE, RIGHT, WON, WRONG, Comparison, busiest, difference
from did_tf.scoring.metrics import ConfusionMatrix

THREE = dataclasses.replace(SPEC, classes=("a", "b", "c"), palette=((200, 0, 0), (0, 200, 0), (0, 0, 200)))


def labels(seed, size=(24, 32), void=True):
    """[H, W] uint8: 0, 1, 2 and, maybe, 255."""
    drawn = np.random.default_rng(seed).integers(0, 4 if void else 3, size).astype(np.uint8)
    return np.where(drawn == 3, np.uint8(255), drawn)


def test_a_pixel_is_told_by_who_is_right():
    label, before, after = (
        np.array([row], np.uint8) for row in ([0, 0, 0, 0, 0, 255], [0, 1, 1, 0, 1, 0], [0, 1, 2, 2, 0, 1])
    )
    assert difference(label, before, after).tolist() == [[RIGHT, WRONG, OTHERWISE, LOST, WON, 255]]
    assert len(comparison.MEANINGS) == len(comparison.COLOURS) == 5


def test_a_mean_says_how_many_classes_it_is_of_where_it_leaves_some_out():
    found = Comparison(["x", "y"], THREE, pictures=0)
    zeros = np.zeros((4, 4), np.uint8)
    found.update(0, zeros, {"x": zeros, "y": np.eye(4, dtype=np.uint8)})  # y alone says class b: its IoU there is 0
    lines = [line.split() for line in found.table().splitlines()]
    assert ["mIoU", "100.0", "37.5", "-62.5"] in lines and ["mean", "accuracy", "100.0", "75.0", "-25.0"] in lines
    counts = [" ".join(line) for line in lines if line[0] == "classes"]
    assert counts == ["classes in it 1 of 3 2 of 3", "classes in it 1 of 3 1 of 3"]


def test_a_protocol_is_that_of_each_network_where_memory_has_not_sufficed_for_all():
    assert comparison.protocols({"a": "whole", "b": "tiles_once"}) == "'whole' (a), 'tiles_once' (b)"
    assert comparison.protocols({"a": "whole", "c": "whole"}) == "'whole'"


@pytest.fixture
def compared():
    """(Comparison of networks x and y over three images, [(label, {name: classes})])."""
    found = Comparison(["x", "y"], THREE, pictures=2)
    images = [(labels(n), {"x": labels(10 + n, void=False), "y": labels(20 + n, void=False)}) for n in range(3)]
    images[1][1]["y"] = images[1][1]["x"].copy()
    images[2][1]["y"][:20] = images[2][1]["x"][:20]
    for number, (label, predictions) in enumerate(images):
        found.update(number, label, predictions)
    return found, images


def iou(images, name, cls):
    both = either = 0
    for label, predictions in images:
        for truth, guess in zip(label.flat, predictions[name].flat):
            if truth != 255:
                both += truth == cls and guess == cls
                either += truth == cls or guess == cls
    return both / either


def test_gains_are_those_of_loops_over_pixels(compared):
    found, images = compared
    expected = {name: iou(images, "y", cls) - iou(images, "x", cls) for cls, name in enumerate(THREE.classes)}
    assert found.gains()["y"] == pytest.approx(expected)
    assert found.report()["gains"]["y"] == pytest.approx(expected)
    assert found.report()["networks"]["x"]["classes"]["b"]["iou"] == pytest.approx(iou(images, "x", 1))
    (row,) = [line.split() for line in found.table().splitlines() if line.startswith("c ")]
    assert row == ["c", *(f"{100 * iou(images, name, 2):.1f}" for name in "xy"), f"{100 * expected['c']:+.1f}"]


def test_the_interval_of_a_gain_is_over_images_that_both_have_seen():
    found = Comparison(["x", "y", "z"], THREE, pictures=0)
    for number in range(30):
        label = labels(number, (6, 6), void=False)
        x = np.where(np.random.default_rng(number).random((6, 6)) < number / 30, (label + 1) % 3, label)
        x[0] = (label[0] + 1) % 3
        y = np.concatenate([label[:1], x[1:]])  # gains the same in each image, however hard it is
        found.update(number, label, {"x": x, "y": y, "z": (label + 1) % 3})
    bounds, mious = found.intervals(), {name: found.matrices[name].mean_iou() for name in "xyz"}
    for name, (low, high) in bounds.items():
        assert low < mious[name] - mious["x"] < high
    assert bounds["y"][0] > 0 > bounds["z"][1]
    alone = [np.ptp(bootstrap.interval(found._overlaps[name]).miou) for name in "xy"]
    assert np.ptp(bounds["y"]) < 0.7 * min(alone)
    assert found.report()["gain_intervals"]["y"] == bounds["y"].tolist()
    told = " to ".join(f"{100 * bound:+.1f}" for bound in bounds["y"])
    assert f"95 % interval of y's gain of mIoU: {told} (bootstrap over 30 images)\n" in found.told_intervals()


def test_an_interval_that_has_no_gain_says_so_and_few_images_have_none(compared):
    found, images = compared
    assert found.intervals() == {} and "they take 5 images" in found.told_intervals()
    for number in range(3, 8):
        found.update(number, images[0][0], images[1][1])
    assert found.told_intervals().endswith("it is too narrow); other images may show none")


def test_images_without_labels_are_in_no_interval_of_a_gain(compared):
    found, images = compared
    for number in range(3, 8):
        found.update(number, np.full((24, 32), 255, np.uint8), images[0][1])
    assert found.intervals() == {} and "they take 5 images with labels" in found.told_intervals()
    for number in range(8, 11):
        found.update(number, *images[0])
    assert "(bootstrap over 6 images;" in found.told_intervals()


def test_overall_figures_say_of_how_many_classes_they_are():
    matrices = [ConfusionMatrix(3, np.diag(counts)) for counts in ([5, 0, 0], [5, 5, 0], [1, 1, 1])]
    lines = comparison.overall("crf", [*zip(("without", "a=1 b=2", "c"), matrices)]).splitlines()
    head, _, first, _, second, third = lines
    assert head.split() == ["crf", "mIoU,", "%", "classes", "in", "it", "pixel", "accuracy,", "%"]
    assert [line.split()[-5:] for line in (first, second, third)] == [
        ["100.0", str(count), "of", "3", "100.0"] for count in (1, 2, 3)
    ]
    assert "of" not in comparison.overall("crf", [("without", matrices[2])])


def test_the_most_different_images_are_kept_and_those_that_do_not_differ_are_not(compared):
    found, images = compared
    different = [
        int(((y != x) & (label != 255)).sum()) for label, (x, y) in ((truth, p.values()) for truth, p in images)
    ]
    assert different[0] > different[2] > different[1] == 0
    assert [number for number, _ in found.most_different()] == [0, 2]
    for number, predictions in found.most_different():
        for name in "xy":
            np.testing.assert_array_equal(predictions[name], images[number][1][name])
    assert found.differing == (sum(different), sum(int((label != 255).sum()) for label, _ in images))
    alone = Comparison(["x", "y"], THREE, pictures=2)
    alone.update(0, *images[1])
    assert alone.most_different() == [] and alone.report()["differing"] == 0


def test_a_third_network_is_compared_with_the_first():
    found, label = Comparison(["x", "y", "z"], THREE, pictures=1), np.zeros((8, 8), np.uint8)
    right, wrong = label, label + 1
    found.update(0, label, {"x": right, "y": right, "z": wrong})
    assert found.gains()["y"]["a"] == 0 and found.gains()["z"]["a"] == -1
    assert found.differing == (64, 64)
    assert "gain of y" in found.table() and "gain of z" in found.table()
    assert np.isnan(found.gains()["y"]["c"]) and found.report()["gains"]["y"]["c"] is None


def test_the_window_holds_the_most():
    mask = np.zeros((40, 60), bool)
    mask[25:33, 40:52] = True
    mask[2, :30] = True
    rows, columns = busiest(mask)
    assert (rows.stop - rows.start, columns.stop - columns.start) == (10, 15)
    assert mask[rows, columns].sum() == 8 * 12
    assert busiest(np.ones((1, 2), bool)) == (slice(0, 1), slice(0, 1))


def test_a_picture_shows_who_is_right_and_the_place_enlarged():
    label = np.zeros((40, 60), np.uint8)
    before, after = label.copy(), label.copy()
    before[10:20, 15:30], after[30:32, 0:2], label[0] = 1, 2, 255
    image = noise(1, (40, 60))
    picture = Comparison(["x", "y"], THREE, 1).picture(image, label, {"x": before, "y": after})
    shown, enlarged = picture[-80:-40], picture[-40:]
    panels = [[part[:, place : place + 60] for place in range(0, 5 * 64, 64)] for part in (shown, enlarged)]
    colours = np.array([*comparison.COLOURS, (0, 0, 0)])
    codes = difference(label, before, after)
    inside = np.s_[23:29, 33:59]  # beside the frame
    for code in (RIGHT, LOST):
        mask = codes == code
        mask[8:22, 13:32] = False
        np.testing.assert_array_equal(panels[0][4][mask], np.tile(colours[code], (mask.sum(), 1)))
    np.testing.assert_array_equal(panels[0][0][inside], image[inside])
    rows, columns = busiest(before != after)
    assert (rows, columns) == (slice(10, 20), slice(15, 30))
    np.testing.assert_array_equal(panels[1][4], np.full((40, 60, 3), comparison.COLOURS[WON]))
    np.testing.assert_array_equal(panels[1][0][::4, ::4], image[rows, columns])
    np.testing.assert_array_equal(panels[1][2], np.full((40, 60, 3), THREE.palette[1]))
