import cv2
import numpy as np
import pytest

from did_tf.inference import simplifying
from did_tf.inference.regions import Regions, Ring
from did_tf.inference.simplifying import simplified


def regions_of(classes):
    return [region for together in Regions().of([(classes, None)]) for region in together]


def smooth(seed, size=30, classes=3, wide=2.0):
    """Regions with smooth borders, some of them narrow."""
    random = np.random.default_rng(seed)
    fields = [cv2.GaussianBlur(random.normal(size=(size, size)), (0, 0), wide) for _ in range(classes)]
    return np.argmax(fields, axis=0).astype(np.uint8)


def lines(seed, size=30):
    random, drawn = np.random.default_rng(seed), np.zeros((size, size), np.uint8)
    for number in range(1, 6):
        ends = random.integers(0, size, 4).tolist()
        cv2.line(drawn, ends[:2], ends[2:], number % 3, int(random.integers(1, 3)))
    return drawn


CASES = {
    "smooth": [smooth(seed) for seed in range(4)],
    "lines": [lines(seed) for seed in range(8)],
    "noise": [np.random.default_rng(seed).integers(0, 3, (12, 12)).astype(np.uint8) for seed in range(4)],
}


def edges_of(rings):
    """The edges of rings, each once: {((x, y), (x, y))} with the smaller end first."""
    pairs = (zip(map(tuple, ring.tolist()), map(tuple, np.roll(ring, -1, axis=0).tolist())) for ring in rings)
    return {tuple(sorted(pair)) for several in pairs for pair in several}


def cross(edges):
    """Whether any two of the edges have more than an end in common: turns of their ends to each other, exactly."""
    a, b = np.array(sorted(edges)).transpose(1, 0, 2).astype(np.int64)

    def turn(p, q, r):
        u, v = q - p, r - p
        return np.sign(u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0])

    a, b, c, d = a[:, None], b[:, None], a[None], b[None]
    through = (turn(a, b, c) * turn(a, b, d) < 0) & (turn(c, d, a) * turn(c, d, b) < 0)
    between = (turn(a, b, c) == 0) & (((c - a) * (c - b)).sum(axis=-1) < 0)  # an end within another edge
    return bool((through | between).any())


def off(points, ring):
    """Distance of the farthest of `points` from the edges of `ring`."""
    a, b = ring[None].astype(float), np.roll(ring, -1, axis=0)[None].astype(float)
    part = ((points[:, None] - a) * (b - a)).sum(-1) / np.square(b - a).sum(-1)
    return np.linalg.norm(points[:, None] - a - np.clip(part, 0, 1)[..., None] * (b - a), axis=-1).min(axis=1).max()


@pytest.mark.parametrize("tolerance", [0.5, 1.0])
@pytest.mark.parametrize("kind", CASES)
def test_outlines_are_near_where_they_were_and_none_cross(kind, tolerance):
    for classes in CASES[kind]:
        rings = [ring for region in regions_of(classes) for ring in region.rings]
        fewer = simplified(rings, tolerance)
        assert min(map(len, fewer)) >= 3
        assert max(off(ring.points, points) for ring, points in zip(rings, fewer)) <= tolerance
        assert not cross(edges_of(fewer))


@pytest.mark.parametrize("kind", CASES)
def test_neighbours_share_their_outlines(kind):
    """Every edge is one of two regions, or at the rim: without gaps and overlaps."""
    for classes in CASES[kind]:
        framed = np.pad(classes, 1, constant_values=7)  # a region all around, whose outer outline is alone
        rings = [ring for region in regions_of(framed) for ring in simplified(region.rings, 1.0)]
        times = {}
        for ring in rings:
            for edge in edges_of([ring]):
                times[edge] = times.get(edge, 0) + 1
        alone = [edge for edge, count in times.items() if count != 2]
        assert {number for edge in alone for number in np.ravel(edge).tolist()} <= {0, len(framed)}


def test_steps_of_a_line_aslant_become_one_edge_and_corners_stay():
    steps = np.tri(20, 60, dtype=np.uint8)
    (below,) = (region for region in regions_of(steps) if region.number == 1)
    assert len(below.rings[0].points) == 42
    assert len(simplified(below.rings, 1.0)[0]) <= 5
    square = regions_of(np.pad(np.ones((3, 3), np.uint8), 2))
    assert sorted(len(ring) for region in square for ring in simplified(region.rings, 1.0)) == [4, 4, 4]


def test_nothing_narrow_is_lost():
    thin = np.zeros((9, 9), np.uint8)
    thin[1, 1] = thin[3, 2:8] = thin[5, 1:3] = thin[6, 3:5] = thin[8, 8] = 1
    for region in regions_of(thin):
        x, y = simplified(region.rings, 1.0)[0].T
        assert abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2 >= region.pixels / 2


def test_a_tolerance_of_none_leaves_the_points():
    ring = Ring(np.array([[0, 0], [2, 0], [2, 1], [0, 1]], np.int32), np.zeros(4, bool))
    np.testing.assert_array_equal(simplified([ring], 0)[0], ring.points)
    np.testing.assert_array_equal(simplified([ring], 50.0)[0], ring.points)  # less than a triangle would be left


def test_points_looked_at_in_parts_are_thinned_out_alike(monkeypatch):
    rings = [ring for region in regions_of(smooth(9)) for ring in region.rings]
    together = simplified(rings, 1.0)
    monkeypatch.setattr(simplifying, "_TOGETHER", 5)
    for one, other in zip(together, simplified(rings, 1.0)):
        np.testing.assert_array_equal(one, other)
