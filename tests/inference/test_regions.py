import numpy as np
import pytest
from rasterio.features import rasterize
from scipy import ndimage

from did_tf.inference import strips
from did_tf.inference.regions import Regions


def noise(seed, height, width, classes=3, void=0.1):
    random = np.random.default_rng(seed)
    found = random.integers(0, classes, (height, width)).astype(np.uint8)
    found[random.random(found.shape) < void] = 255
    return found


def found(classes, confidence=None, cuts=(), **options):
    """All regions of an array, read in strips that begin at `cuts`."""
    ends = [0, *cuts, len(classes)]
    in_turn = (
        (classes[top:end], None if confidence is None else confidence[top:end]) for top, end in zip(ends, ends[1:])
    )
    return [region for together in Regions(**options).of(in_turn) for region in together]


def covered(region, size):
    rings = [[*map(tuple, ring.points.tolist()), tuple(ring.points[0].tolist())] for ring in region.rings]
    return rasterize([{"type": "Polygon", "coordinates": rings}], size).astype(bool)


def signed_area(points):
    x, y = points.T
    return np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) / 2


CASES = {
    "noise": noise(0, 13, 17),
    "two classes": noise(1, 16, 16, classes=2, void=0),
    "blocks": np.kron(noise(2, 6, 7), np.ones((3, 2), np.uint8)),
    "a row": noise(3, 1, 30),
    "a column": noise(4, 30, 1),
    "one class": np.zeros((5, 4), np.uint8),
    "no data": np.full((5, 4), 255, np.uint8),
    "rings": np.minimum.outer(np.r_[:7, 5:-1:-1], np.r_[:7, 5:-1:-1]).astype(np.uint8) % 2,
    "spiral": np.array(
        [[0] * 6, [1] * 5 + [0], [0] * 4 + [1, 0], [0, 1, 1, 0, 1, 0], [0, 1, 1, 1, 1, 0], [0] * 6], np.uint8
    ),
}


@pytest.mark.parametrize("cuts", [(), (1,), (1, 2, 3)], ids=str)
@pytest.mark.parametrize("name", CASES)
def test_regions_drawn_again_give_the_raster(name, cuts, monkeypatch):
    classes = CASES[name]
    monkeypatch.setattr(strips, "PIXELS", 40 if cuts else 2**21)
    sure = np.random.default_rng(5).random(classes.shape).astype(np.float32)
    sure[classes == 255] = np.nan
    again = np.full(classes.shape, 255, np.uint8)
    several = found(classes, sure, [cut for cut in cuts if cut < len(classes)])
    for region in several:
        pixels = covered(region, classes.shape)
        assert pixels.sum() == region.pixels and (again[pixels] == 255).all()
        again[pixels] = region.number
        assert region.confidence == pytest.approx(sure[pixels].mean(), rel=1e-5)
    np.testing.assert_array_equal(again, classes)
    assert len(several) == sum(ndimage.label(classes == number)[1] for number in range(3))


@pytest.mark.parametrize("name", CASES)
def test_the_outer_outline_comes_first_and_none_passes_a_point_twice(name):
    for region in found(CASES[name]):
        outer, *holes = (abs(signed_area(ring.points)) for ring in region.rings)
        assert outer - sum(holes) == region.pixels
        for ring in region.rings:
            assert len(np.unique(ring.points, axis=0)) == len(ring.points) == len(ring.meeting)


def test_regions_that_meet_below_are_one_and_those_that_touch_at_a_point_are_two():
    horseshoe = np.array([[1, 0, 1], [1, 0, 1], [1, 1, 1]], np.uint8)
    assert sorted((region.number, region.pixels) for region in found(horseshoe, cuts=(1, 2))) == [(0, 2), (1, 7)]
    aslant = np.array([[1, 0], [0, 1]], np.uint8)
    assert [region.pixels for region in found(aslant, cuts=(1,))] == [1] * 4


def test_a_hole_that_touches_the_outer_outline_is_a_ring_of_its_own():
    open_ring = np.array([[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 0]], np.uint8)
    (one,) = (region for region in found(open_ring) if region.number == 1)
    assert [abs(signed_area(ring.points)) for ring in one.rings] == [8, 1]


def test_neighbours_have_all_points_where_outlines_meet():
    halves = np.array([[0, 0], [1, 2]], np.uint8)
    for region in found(halves):
        (ring,) = region.rings
        assert [1, 1] in ring.points[ring.meeting].tolist()  # on a straight edge of class 0


def test_small_regions_are_counted():
    classes = np.array([[0, 0, 1], [0, 0, 2], [0, 0, 2]], np.uint8)
    finder = Regions(minimum=2)
    several = [region for together in finder.of([(classes, None)]) for region in together]
    assert sorted(region.number for region in several) == [0, 2] and finder.left_out == 1
    assert all(np.isnan(region.confidence) for region in several)


def test_strips_of_several_widths_are_refused():
    with pytest.raises(ValueError, match="dimension"):
        list(Regions().of([(np.zeros((2, 3), np.uint8), None), (np.zeros((2, 4), np.uint8), None)]))
    assert list(Regions().of([])) == []
