"""The canvas, the camera that looks down the street, and the pen that draws in metres.

A scene is a street in perspective. Lengths are in metres and the scale `p` is in pixels per metre, so a point
x metres right of the camera and y metres above the ground is at column `vanish + p * x`, row
`horizon + p * (camera - y)`. `p` is proportional to inverse depth and is `p_max` at the bottom row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike

Colour = np.ndarray | Sequence[float]
"""Red, green and blue, 0 to 255; beyond that it is clipped."""

_TURN = np.linspace(0, 2 * np.pi, 14, endpoint=False)
CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)
"""Outline [14, 2] of the unit circle."""


class Scene:
    """A canvas and the camera that looks down the street.

    Attributes:
      rgb_label: [H, W, 4] uint8, red, green, blue and class id: one array, so that no shape can disagree.
      near: [H, W] uint8, inverse depth, 0 (sky) to 255 (bottom row and closer).
      rng: what everything in the scene is drawn from.
      road, walls: (left, right) edge of the road and of what lines the pavements, in metres from the camera.
    """

    def __init__(self, height: int, width: int, rng: np.random.Generator) -> None:
        self.rng, self.height, self.width = rng, height, width
        self.rgb_label = np.zeros((height, width, 4), np.uint8)
        self.near = np.zeros((height, width), np.uint8)
        self.horizon = height * rng.uniform(0.36, 0.52)
        self.vanish = width * rng.uniform(0.32, 0.68)
        self.camera = rng.uniform(1.3, 2.2)
        self.p_max = (height - self.horizon) / self.camera
        self.bend = width * rng.normal(0, 0.08)
        self.road = (-rng.uniform(2.0, 5.5), rng.uniform(2.0, 5.5))
        self.walls = (self.road[0] - rng.uniform(1.8, 4.5), self.road[1] + rng.uniform(1.8, 4.5))

    @property
    def label(self) -> np.ndarray:
        """[H, W] uint8 class ids and `IGNORE`."""
        return self.rgb_label[..., 3].copy()

    def scale(self, z: np.ndarray | float) -> Any:
        """Pixels per metre `z` metres ahead, of the shape of `z`; its own inverse."""
        return 1.1 * self.height / z

    def project(self, x: np.ndarray | float, y: np.ndarray | float, p: np.ndarray | float) -> np.ndarray:
        """Metres and scale, broadcast together, to pixels [..., 2] (column, row)."""
        points = np.empty((*np.broadcast(x, y, p).shape, 2))
        points[..., 0] = self.vanish + p * x + self.bend * (1 - np.minimum(p / self.p_max, 1)) ** 2
        points[..., 1] = self.horizon + p * (self.camera - y)
        return points

    def on_ground(self, x0: float, x1: float, z0: float, z1: float) -> np.ndarray:
        """Outline [N, 2] in pixels of the ground from `x0` to `x1` between two distances."""
        p = np.linspace(self.scale(z1), self.scale(z0), 10)
        return np.concatenate([self.project(x0, 0, p), self.project(x1, 0, p[::-1])])

    def fill(self, points: ArrayLike, cls: int, colour: Colour, p: float | None = None) -> None:
        """Fills the polygon `points` ([N, 2] pixels); without `p` it keeps the nearness that is there."""
        points = np.rint(points).astype(np.int32)
        cv2.fillPoly(self.rgb_label, [points], (*map(float, colour), cls))  # OpenCV clips the colour
        if p is not None:
            cv2.fillPoly(self.near, [points], min(255.0, 255 * p / self.p_max))

    def shade(self, points: ArrayLike, gain: float) -> None:
        """Multiplies the colours in the polygon `points` ([N, 2] pixels) by `gain` and leaves its label alone."""
        mask = np.zeros(self.near.shape, np.uint8)
        cv2.fillPoly(mask, [np.rint(points).astype(np.int32)], 1)
        rows, columns = np.nonzero(mask)
        self.rgb_label[rows, columns, :3] = self.rgb_label[rows, columns, :3] * gain


class Pen:
    """Draws one class at one place: coordinates are metres from the foot of the object, y up, times `size`."""

    def __init__(self, scene: Scene, cls: int, x: float, p: float) -> None:
        self.scene, self.cls, self.p, self.size = scene, cls, p, 1.0
        self.foot = scene.project(x, 0, p)

    def pixels(self, points: ArrayLike) -> np.ndarray:
        """[N, 2] (column, row) of points [N, 2] in metres."""
        return self.foot + np.asarray(points) * self.p * (self.size, -self.size)

    def poly(self, points: ArrayLike, colour: Colour) -> None:
        """Fills a polygon."""
        self.scene.fill(self.pixels(points), self.cls, colour, self.p)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        """Fills the rectangle between two corners."""
        self.poly(rectangle(x0, y0, x1, y1), colour)

    def oval(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        """Fills an ellipse around (x, y), given its half axes."""
        self.poly(CIRCLE * (rx, ry) + (x, y), colour)

    def limb(self, start: ArrayLike, end: ArrayLike, width: float, colour: Colour) -> None:
        """Draws a straight bar from one point to another."""
        start, end = np.array(start), np.array(end)
        along = (end - start) / (np.hypot(*(end - start)) + 1e-6)
        aside = along[::-1] * (width / 2, -width / 2)
        self.poly([start - aside, end - aside, end + aside, start + aside], colour)

    def solid(self, points: ArrayLike, colour: Colour) -> None:
        """Fills the prism from `points` to the same outline 4 m further away."""
        near, vanish = self.pixels(points), (self.scene.vanish, self.scene.horizon)
        far = vanish + (near - vanish) * self.scene.scale(self.scene.scale(self.p) + 4) / self.p
        hull = cv2.convexHull(np.concatenate([near, far]).astype(np.float32))[:, 0]
        self.scene.fill(hull, self.cls, colour, self.p)

    def shadow(self, half: float) -> None:
        """Darkens the ground up to `half` metres left and right of the foot."""
        self.scene.shade(self.pixels(CIRCLE * (half, 0.18)), 0.55)


def rectangle(x0: float, y0: float, x1: float, y1: float) -> list[tuple[float, float]]:
    """Outline of the rectangle between two corners."""
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def smooth_noise(rng: np.random.Generator, height: int, width: int, cells: int) -> np.ndarray:
    """[H, W] float32 of about unit size, with blobs of 1 / `cells` of the image."""
    return cv2.resize(rng.standard_normal((cells, cells), np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
