"""A data set as plain PNG files, which any program can read, and the one score of the labels that it gives them."""

import json
from pathlib import Path

from benchmarks.peers import contest
from data_pipelines import identity
from data_pipelines.spec import DataError
from data_pipelines.writing import beside, sweep
from did_tf.scoring import bootstrap
from did_tf.scoring.metrics import ConfusionMatrix, jsonable

SPLITS = ("train", "val")
FACTS = "facts.json"


def export(dataset, folder):
    """Writes train and val into `folder`, unless they are there; returns the facts, which facts.json has.

    SPLIT/images/NUMBER.png is [H, W] or [H, W, 3] uint8, SPLIT/labels/NUMBER.png [H, W] uint8: classes 0, 1, ..., and
    255, which is ignored. The order is that of the data set.

    Args:
      dataset: `Dataset` with images of 8 bits, grey or RGB.
      folder: path, made where it isn't there.

    Raises:
      DataError: images are others, or `folder` has those of other samples, or something else.
    """
    spec, folder = dataset.spec, Path(folder)
    if spec.task != "segmentation" or spec.dtype != "uint8" or spec.bands not in (1, 3):
        raise DataError(f"{spec.name} has {spec.bands} bands of {spec.dtype}; others read grey and RGB of 8 bits alone")
    facts = {
        **{"dataset": spec.name, "classes": list(spec.classes), "bands": spec.bands},
        **{"mean": list(spec.mean), "std": list(spec.std)},
        **{split: [sample.name for sample in dataset.samples(split)] for split in SPLITS},
        "content": {split: identity.fingerprint(dataset.samples(split)) for split in SPLITS},
    }
    if (folder / FACTS).is_file():
        if json.loads((folder / FACTS).read_text()) != facts:
            raise DataError(f"{folder} has other data: give another folder")
        return facts
    if folder.exists():
        raise DataError(f"{folder} is there without {FACTS}: delete it, or give another folder")
    sweep(folder.parent, folder.name)
    part = beside(folder)  # what was stopped, which may have been of other data, is made anew
    for split in SPLITS:
        for number, sample in enumerate(dataset.samples(split)):
            image, label = dataset.read(sample)
            contest.write(part / split / "images" / f"{number:05}.png", image[..., 0] if spec.bands == 1 else image)
            contest.write(part / split / "labels" / f"{number:05}.png", label)
    (part / FACTS).write_text(json.dumps(facts))
    part.rename(folder)
    return facts


def scores(truth, labels, classes):
    """Figures of labels, as `ConfusionMatrix.report` has them, and "interval" over images, (low, high) or None.

    Args:
      truth: folder of the labels of a split, as of `export`.
      labels: folder of files of the same names, classes alone.
      classes: names.

    Raises:
      FileNotFoundError: a label is missing.
      ValueError: one has another size than its image, or a value that is no class.
    """
    each = []
    for path in sorted(Path(truth).glob("*.png")):
        each.append(ConfusionMatrix(len(classes)))
        each[-1].update(contest.read(path), contest.read(Path(labels, path.name)))
    found = bootstrap.interval([one.overlaps() for one in each])
    together = ConfusionMatrix(len(classes), sum(one.counts for one in each))
    return {**together.report(classes), "interval": found and [jsonable(bound) for bound in found.miou]}
