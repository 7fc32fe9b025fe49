"""Every architecture small, with weights of which none is as a layer begins."""

import numpy as np

from did_tf.models import build

SMALL = {
    "did": {"growth": 4, "units": (1, 1, 1, 2)},
    "duc": {"depth": 14, "width": 8, "aspp": 2},
    "fc_densenet": {"growth": 4, "units": (1,) * 5, "bottleneck": 1, "stem": 8},
    "fcrn": {"depth": 14, "width": 8},
    "ladder": {"growth": 4, "units": (1, 1, 1, 2), "width": 8},
    "sunet": {"filters": 4, "depth": 1, "widths": (8, 12, 16, 20)},
    "classifier": {"encoder": "resnet50", "width": 4},
}
PLACED = [
    (name, placement)
    for name in SMALL
    for placement in (("exact", "corners", "areas") if name not in ("fc_densenet", "classifier") else (None,))
]
"""(architecture, placement), for each that it has."""
SIZES = [(65, 97), (64, 96), (70, 51)]


def with_random_weights(model, seed=0):
    """Statistics, scales and offsets too: with those that a layer begins with, folding would change nothing."""
    rng = np.random.default_rng(seed)
    model.set_weights(
        [
            w + rng.normal(0, 0.05, w.shape) if w.ndim > 1 else rng.uniform(0.5, 1.5, w.shape)
            for w in model.get_weights()
        ]
    )
    return model


def images(size, count=2, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (count, *size, 3)).astype(np.float32)


def small(name, placement=None):
    """A small network of 5 classes."""
    return with_random_weights(build(name, 5, **SMALL[name], **({"placement": placement} if placement else {})))
