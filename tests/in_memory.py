"""A data set of arrays, for tests."""

import dataclasses

import numpy as np

from data_pipelines import Dataset, DatasetSpec, Sample
from data_pipelines.spec import AbsentSplit, DataError

SPEC = DatasetSpec("memory", ("a", "b"), ((200, 0, 0), (0, 200, 0)), {}, mean=(99.0,) * 3, std=(50.0,) * 3)


class InMemory(Dataset):
    """`pairs` are {split: [(image, label) or the text of a `DataError`]}; a label of None is of a split without.

    Samples are named SPLIT_NUMBER, or as `names` says. `read` gives copies.
    """

    def __init__(self, pairs, names=None, **changes):
        self.pairs = pairs
        self.spec = dataclasses.replace(
            SPEC, **{"splits": {key: len(value) for key, value in pairs.items()}, **changes}
        )
        self.names = names or {split: [f"{split}_{n}" for n in range(len(pairs[split]))] for split in pairs}

    def samples(self, split):
        if any(pair[1] is None for pair in self.pairs[split] if not isinstance(pair, str)):
            raise AbsentSplit(f"{split} has no labels")
        return self.images(split)

    def images(self, split):
        classes = [None if self.spec.task == "segmentation" else int(pair[1]) for pair in self.pairs[split]]
        return [Sample(name, class_id=class_id) for name, class_id in zip(self.names[split], classes)]

    def read(self, sample):
        split, number = next((s, names.index(sample.name)) for s, names in self.names.items() if sample.name in names)
        pair = self.pairs[split][number]
        if isinstance(pair, str):
            raise DataError(pair)
        return tuple(None if part is None else np.array(part) for part in pair)


def noise(seed, size=(24, 32), bands=3):
    """[H, W, bands] uint8: blocks of 4x4 pixels of random colours."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, [-(-side // 4) for side in size] + [bands])
    return small.repeat(4, axis=0).repeat(4, axis=1)[: size[0], : size[1]].astype(np.uint8)


def halves(size=(24, 32), first=0, second=1):
    """Label map [H, W] uint8: one value on the left, one on the right."""
    label = np.full(size, first, np.uint8)
    label[:, size[1] // 2 :] = second
    return label


def pairs(count, seed=0, size=(24, 32)):
    """`count` different images, each with the label `halves`."""
    return [(noise(seed + number, size), halves(size)) for number in range(count)]
