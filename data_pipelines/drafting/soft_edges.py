"""Which values of labels are classes, and which are the soft edges between them.

A class covers more than single pixels. What lies between two classes where their edge was smoothed, resized or
compressed does not: such values are told by where they stand, however many there are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from data_pipelines.drafting.values import Values, points_of, told_of
from data_pipelines.reading.labels import nearest
from data_pipelines.spec import IGNORE

MOST_VALUES = IGNORE + 1  # of labels that are not soft: classes and void
SOLID = 0.5
"""More of a class's pixels lie in blocks of 2x2 equal ones: nearly all, or where JPEG changed some, most."""
SCATTERED, OFTEN = 0.1, 0.3
"""Of what are no classes, no more pixels lie in such blocks; the latter where there are too many values for classes."""
APART = 8  # classes of soft labels, at least: between 0, 1, 2 there is no room
RADIUS, RARE = 32, 20  # so near a class, what is so many times rarer is none, nor is what JPEG can't keep apart
NEAR = 16  # of a class: what JPEG, or a careless brush, puts beside it
FEW = 6  # values: they are edges only if nearly all of their pixels lie between two other values ...
NEARLY_ALL = 0.9
MOSTLY = 0.5  # ... and where there are more, most
SPREAD = 20  # values beside one class: a thin structure with soft edges ...
FREQUENT = 4  # ... whose own value is so many times more frequent


def classes_among(values: Values, colours: bool, jpeg: bool) -> np.ndarray | None:
    """Places of the values that are classes, where all others are soft edges; None where they are not.

    Args:
      values: of all labels.
      colours: whether they are colours, and not ids.
      jpeg: whether they were compressed with loss, so that most values are none that were saved.
    """
    points = points_of(values, colours)
    pixels, solid, between = values.sums.T
    classes = np.flatnonzero(solid >= SOLID * pixels)
    classes = classes[np.argsort(-solid[classes], kind="stable")]
    others = np.flatnonzero(solid < SOLID * pixels)
    if jpeg:
        classes = _thinned(points, classes if len(classes) else np.array([pixels.argmax()]), solid)
        return classes if len(classes) > 1 else _extremes(points, classes)
    most = SCATTERED if len(pixels) <= MOST_VALUES else OFTEN
    if not len(classes) or len(others) < 2 or solid[others].sum() > most * pixels[others].sum():
        return None
    if len(classes) == 1:
        ends = _extremes(points, classes)
        frequent = pixels[ends[-1]] >= FREQUENT * np.median(pixels[others])
        return ends if not colours and len(ends) > 1 and len(others) >= SPREAD and frequent else None
    if not colours and np.diff(np.sort(points[classes, 0])).min() < APART:
        return None
    share = between[others].sum() / pixels[others].sum()
    if share >= (MOSTLY if len(others) >= FEW else NEARLY_ALL) or _beside_two(points, classes, others):
        return _thinned(points, classes, solid)
    return None


def _beside_two(points, classes, others):
    """Whether all other values are near a class, and not all near the same one."""
    distances = np.abs(points[others][:, None] - points[classes][None]).max(-1)
    return bool((distances.min(1) <= NEAR).all() and len(set(distances.argmin(1).tolist())) > 1)


def _thinned(points, classes, solid):
    """Those of the classes, most pixels first, that compression or sharpening did not make of one before."""
    kept: list[int] = []
    for place in classes.tolist():
        away = [
            (np.abs(points[place] - points[other]).max(), solid[other] >= RARE * max(solid[place], 1)) for other in kept
        ]
        if all(distance >= (RADIUS if rarer else APART) for distance, rarer in away):
            kept.append(place)
    return np.array(kept, int)


def _extremes(points, classes):
    """The one class, and what is farthest from it, if that is far: thin lines have no blocks of pixels."""
    distances = np.abs(points - points[classes[0]]).max(-1)
    farthest = int(distances.argmax())
    return np.array([classes[0], farthest]) if distances[farthest] >= RADIUS else classes


def shared_out(values: Values, classes: np.ndarray | None, colours: bool) -> tuple[dict[Any, int], dict[Any, int]]:
    """({value: pixels} of the classes, with those for which each is the nearest; {value: pixels} of the others).

    Arguments are those of `classes_among`, and what it returns; without classes, all values are.
    """
    points, pixels = points_of(values, colours), values.sums[:, 0]
    told = told_of(values, colours)
    if classes is None:
        return dict(sorted(zip(told, pixels.tolist()))), {}
    classes = np.sort(classes)
    sums = np.bincount(nearest(points, points[classes])[0], weights=pixels, minlength=len(classes)).astype(np.int64)
    chosen = set(classes.tolist())
    soft = {value: count for place, (value, count) in enumerate(zip(told, pixels.tolist())) if place not in chosen}
    return dict(sorted((told[place], count) for place, count in zip(classes.tolist(), sums.tolist()))), soft


def scattered(values: Values, colours: bool) -> set[Any]:
    """Values that are in hardly any block of equal pixels, where others are."""
    pixels, solid, _ = values.sums.T
    thin = (solid <= SCATTERED * pixels) & solid.any()
    return {value for value, is_thin in zip(told_of(values, colours), thin) if is_thin}
