"""A folder of photographs to be predicted, as people have them."""

from pathlib import Path

import cv2
import numpy as np

from did_tf.common import files


def picture(height, width, seed=0):
    """Noise, [H, W, 3] uint8."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def make_photos(source):
    """a.png, a.jpg, b.TIFF, day/a.png, night/a.PNG, and what is no image; each `picture(20, 30, its number)`."""
    for number, name in enumerate(("a.png", "a.jpg", "b.TIFF", "day/a.png", "night/a.PNG", ".thumbs/a.png", "._a.png")):
        pixels = picture(20, 30, number)[..., ::-1]
        files.write_file(source / name, cv2.imencode(Path(name).suffix, pixels)[1].tobytes())
    (source / "a.txt").write_text("notes")
    return source
