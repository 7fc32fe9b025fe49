"""Shapes against pixels that are looked at one by one."""

import math

import numpy as np
import pytest

from data_pipelines.reading.shapes import Shape, area, decode_runs, draw, fill_ellipse, fill_rings
from data_pipelines.spec import IGNORE, Window

SIZE = (40, 60)
OUTER = np.array([(5.3, 4.2), (50.1, 8.7), (44.4, 36.6), (10.4, 30.6)])
HOLE = np.array([(20.0, 10.0), (30.0, 10.0), (30.0, 20.0), (20.0, 20.0)])
CIRCLE = (30.2, 20.7, 12.5, 12.5, 0.0)
TURNED = (30.5, 20.5, 25.0, 4.0, 0.6)


def holds(corners, x, y):
    """Whether a polygon has (x, y) inside, by the angle under which its sides are seen from there."""
    angles = [math.atan2(cy - y, cx - x) for cx, cy in corners]
    turns = [(b - a + math.pi) % (2 * math.pi) - math.pi for a, b in zip(angles, [*angles[1:], angles[0]])]
    return round(sum(turns) / (2 * math.pi)) != 0


def by_pixel(inside):
    return np.array([[inside(x + 0.5, y + 0.5) for x in range(SIZE[1])] for y in range(SIZE[0])])


def test_a_hole_is_left_out():
    label = np.zeros(SIZE, np.uint8)
    fill_rings([OUTER, HOLE], label, 3)
    expected = by_pixel(lambda x, y: holds(OUTER, x, y) and not (20 < x < 30 and 10 < y < 20))
    np.testing.assert_array_equal(label, 3 * expected)
    assert area(Shape("a", (OUTER, HOLE))) == pytest.approx(area(Shape("a", (OUTER,))) - 100)


def test_a_box_of_whole_numbers_has_as_many_pixels_as_it_is_large():
    label = np.zeros(SIZE, np.uint8)
    fill_rings([HOLE], label, 1)
    assert label.sum() == 100 and label[10:20, 20:30].all()


@pytest.mark.parametrize("ellipse", [CIRCLE, TURNED, (-3.0, 1.0, 9.0, 5.0, 0.0), (200.0, 5.0, 3.0, 3.0, 0.0)])
def test_an_ellipse_has_the_pixels_whose_centres_it_holds(ellipse):
    x0, y0, first, second, angle = ellipse

    def inside(x, y):
        # A point in an ellipse has no more than twice the longer radius to both foci.
        long, short = max(first, second), min(first, second)
        turned = angle + (math.pi / 2 if second > first else 0)
        reach = math.sqrt(long**2 - short**2)
        foci = [(x0 + s * reach * math.cos(turned), y0 + s * reach * math.sin(turned)) for s in (1, -1)]
        return sum(math.dist((x, y), focus) for focus in foci) <= 2 * long

    label = np.zeros(SIZE, np.uint8)
    fill_ellipse(ellipse, label, 7)
    np.testing.assert_array_equal(label, 7 * by_pixel(inside))


@pytest.mark.parametrize("window", [Window(0, 0, 40, 60), Window(7, 11, 20, 30), Window(-5, 50, 20, 30)])
def test_a_window_has_what_all_has_there(window):
    mask = np.random.default_rng(0).random(SIZE) < 0.1
    changes = np.flatnonzero(np.diff(mask.T.ravel(), prepend=False, append=False))
    counts = np.diff([0, *changes, mask.size]).tolist()
    runs = {"size": list(SIZE), "counts": counts}
    np.testing.assert_array_equal(decode_runs(runs, SIZE), mask)
    shapes = [(Shape("a", (OUTER, HOLE)), 1), (Shape("b", ellipse=TURNED), 2), (Shape("c", runs=runs), 3)]
    whole = draw(shapes, SIZE, 9, Window(0, 0, *SIZE))
    assert set(np.unique(whole)) == {1, 2, 3, 9}
    padded = np.pad(whole, 40, constant_values=IGNORE)
    top, left = window.top + 40, window.left + 40
    expected = padded[top : top + window.height, left : left + window.width]
    np.testing.assert_array_equal(draw(shapes, SIZE, 9, window), expected)


def test_runs_are_those_of_pycocotools():
    coco = pytest.importorskip("pycocotools.mask")
    mask = np.random.default_rng(1).random(SIZE) < 0.3
    mask[10:30, 20:50] = True
    packed = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    runs = {"size": packed["size"], "counts": packed["counts"].decode()}
    np.testing.assert_array_equal(decode_runs(runs, SIZE), mask)
    assert area(Shape("a", runs=runs)) == coco.area(packed) == mask.sum()


def test_polygons_of_pycocotools_differ_along_borders_alone():
    coco = pytest.importorskip("pycocotools.mask")
    packed = coco.frPyObjects([OUTER.ravel().tolist()], *SIZE)
    theirs = coco.decode(packed)[..., 0]
    label = np.zeros(SIZE, np.uint8)
    fill_rings([OUTER], label, 1)
    assert 0 < (label != theirs).sum() < 0.05 * label.sum()
