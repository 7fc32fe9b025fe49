"""A data set of noise, for tests of what is prepared from one."""

import numpy as np

from data_pipelines.spec import IGNORE, DataError, Dataset, DatasetSpec, Sample, Window

COUNT = 7
SOURCE = {"name": "noise", "options": {}}


class Noise(Dataset):
    """Noise of any type of pixels; every image is two samples, its windows."""

    def __init__(self, dtype="uint8", bands=3, bad=None):
        mean = (100.0,) * bands
        self.spec = DatasetSpec("noise", ("a", "b"), ((0, 0, 0),) * 2, {"train": 14}, mean, mean, dtype=dtype)
        self.bad, self.reads = bad, []

    def samples(self, split):
        parts = {"left": Window(0, 0, 20, 16), "right": Window(4, 16, 20, 20)}
        return [Sample(f"{split}{n}/é {part}", window=window) for n in range(COUNT) for part, window in parts.items()]

    def read(self, sample):
        self.reads.append(sample.name)
        if sample.name == self.bad:
            raise DataError(f"cannot decode {sample.name}.png")
        rng = np.random.default_rng(sum(sample.name.encode()))
        size = (sample.window.height + rng.integers(3), sample.window.width)
        values = rng.integers(0, 2**16, (*size, self.spec.bands))
        image = {"uint8": values & 255, "uint16": values, "float32": values / 7}[self.spec.dtype]
        return image.astype(self.spec.dtype), rng.choice([0, 1, IGNORE], size).astype(np.uint8)


def spoil(path, position):
    """Changes one bit of a file."""
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
