"""Base colours of street scenes, and colours drawn at random. Classes share them: what tells is shape and context."""

from __future__ import annotations

import numpy as np

Colours = tuple[tuple[int, int, int], ...]

# Base colours (R, G, B); every use of one is jittered.
SKIES = (  # (top, horizon)
    ((85, 135, 205), (190, 212, 232)), ((150, 155, 162), (200, 202, 205)), ((95, 100, 112), (140, 140, 145)),
    ((110, 100, 140), (245, 165, 105)), ((225, 228, 232), (240, 238, 232)), ((60, 70, 105), (170, 130, 125)),
)  # fmt: skip
WALLS: Colours = (
    (150, 88, 72), (192, 176, 150), (122, 122, 122), (92, 98, 104), (226, 220, 208),
    (104, 122, 88), (92, 72, 60), (158, 180, 196), (204, 160, 116), (70, 92, 70),
)  # fmt: skip
GROUNDS: Colours = ((85, 85, 88), (110, 108, 105), (62, 63, 67), (132, 126, 118), (104, 92, 85), (150, 146, 142))
PAVINGS: Colours = ((150, 146, 142), (120, 118, 115), (164, 124, 104), (186, 170, 140), (94, 95, 98), (140, 105, 90))
LEAVES: Colours = (
    (58, 95, 45),
    (88, 112, 52),
    (124, 112, 52),
    (152, 95, 42),
    (72, 70, 46),
    (45, 78, 58),
    (110, 90, 75),
)
BARKS: Colours = ((88, 70, 55), (110, 105, 98), (60, 50, 42))
GLASS: Colours = ((45, 50, 58), (75, 80, 90), (130, 145, 160), (200, 205, 210))
METALS: Colours = ((70, 72, 75), (130, 132, 135), (190, 190, 188), (60, 80, 65), (105, 80, 58), (40, 40, 42))
SKINS: Colours = ((226, 186, 160), (190, 140, 110), (120, 82, 62), (80, 56, 44))


def jitter(rng: np.random.Generator, bases: Colours, spread: float = 14) -> np.ndarray:
    """One of the base colours [3], moved in brightness and a little in hue; it may leave 0..255."""
    return np.array(bases[rng.integers(len(bases))]) + rng.normal(0, spread) + rng.normal(0, spread / 2, 3)


def paint(rng: np.random.Generator) -> np.ndarray:
    """Any colour [3], most often a dull one: cars, clothes, doors and signs."""
    return np.clip(rng.uniform(25, 225) + rng.normal(0, 1, 3) * rng.choice([6, 25, 60]), 5, 250)
