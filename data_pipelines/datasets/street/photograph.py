"""From a drawn scene to the bands of an image: light, lens and noise."""

from __future__ import annotations

import cv2
import numpy as np

from data_pipelines.datasets.camvid_classes import TREE
from data_pipelines.datasets.street.scene import Scene, smooth_noise


def photograph(scene: Scene, bands: int) -> np.ndarray:
    """[H, W, bands] uint8: the scene under some light, through a lens, with noise."""
    rng, (height, width) = scene.rng, scene.near.shape
    rgb = cv2.GaussianBlur(scene.rgb_label[..., :3], (3, 3), rng.uniform(0.3, 0.7)).astype(np.float32)
    slope = np.linspace(-1, 1, width, dtype=np.float32) * rng.uniform(-0.25, 0.25)
    light = rng.uniform(0.55, 1.2) * (1 + slope) * (1 + 0.05 * smooth_noise(rng, height, width, 6))
    rgb *= light[..., None] * rng.uniform(0.88, 1.12, 3).astype(np.float32)
    rgb += rng.uniform(2, 8) * rng.standard_normal(rgb.shape, np.float32)
    planes = [*np.moveaxis(rgb, -1, 0)] if bands > 2 else [rgb @ np.array([0.299, 0.587, 0.114], np.float32)]
    for number, kind in list(enumerate(band_kinds(bands)))[len(planes) :]:
        planes.append(_extra_band(kind, number, planes, scene) + 5 * rng.standard_normal((height, width), np.float32))
    return np.clip(np.stack(planes, axis=-1), 0, 255).astype(np.uint8)


def band_kinds(bands: int) -> tuple[str, ...]:
    """Name of each of `bands` bands: "luma", "near", "red", "green", "blue", "infrared" or "mix"."""
    kinds = ("luma", "near") if bands < 3 else ("red", "green", "blue", "near", "infrared")
    return kinds[:bands] + ("mix",) * (bands - len(kinds))


def _extra_band(kind, number, planes, scene):
    """[H, W] float without noise, from the bands before it."""
    if kind == "near":
        return scene.near
    if kind == "infrared":
        return 0.6 * planes[0] + 0.1 * planes[2] + 70 * (scene.rgb_label[..., 3] == TREE)
    # The weights depend on the number of the band only, so that it means the same in every scene.
    weights = np.random.default_rng(number).normal(0, 1, 5)
    return 127 + 120 * np.tanh(sum(w * (plane / 128 - 0.8) for w, plane in zip(weights, planes)))
