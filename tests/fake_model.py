"""A model for tests of the server: it takes no TensorFlow graph and no time."""

import threading

import numpy as np

from data_pipelines.spec import IGNORE, DatasetSpec

SPEC = DatasetSpec(
    "drawn",
    ("sky", "road <b>", "tree"),
    ((10, 20, 200), (128, 64, 128), (0, 150, 0)),
    {},
    mean=(100.0, 100.0, 100.0),
    std=(50.0, 50.0, 50.0),
    label_ids=(4, 7, 9),
)


class FakeModel:
    """As `api.Model` for the server: the class of a pixel is its first band modulo the number of classes.

    Args:
      spec: of the data.

    Attributes:
      held: is cleared by a test that wants predictions to wait.
      error: is raised by predictions where a test has set it.
      seen: how many there have been.
    """

    identity, protocol = "0123456789abcdef", "whole"

    def __init__(self, spec=SPEC):
        self.spec, self.bands, self.dtype = spec, spec.bands, np.dtype(spec.dtype)
        self.held, self.error, self.seen = threading.Event(), None, 0
        self.held.set()

    def see(self, pixels, mask, keep=None):
        self.held.wait(10)
        self.seen += 1
        if self.error:
            raise self.error
        if keep:
            keep(slice(0, len(pixels)), np.full((*pixels.shape[:2], self.spec.num_classes), 0.25, np.float32))
        classes = (pixels[..., 0] % self.spec.num_classes).astype(np.uint8)
        return classes if mask is None else np.where(mask, np.uint8(IGNORE), classes)
