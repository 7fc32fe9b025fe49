"""Validates on one device and on two, mirrored ones, in a process of its own: prints what came out as JSON."""

import json

import tensorflow as tf
import tiny

from did_tf import wiring
from did_tf.cluster.workers import Workers
from did_tf.common import processor
from did_tf.scoring import metrics
from did_tf.training.distribution import make_strategy


def counted(validation, split):
    """(scores, the counts that they are of)."""
    found, initial = [], metrics.ConfusionMatrix.__init__

    def noted(self, classes, counts=None):
        initial(self, classes, counts)
        if counts is not None:
            found.append(self)

    metrics.ConfusionMatrix.__init__ = noted
    scores, _ = validation(split, progress=False)
    metrics.ConfusionMatrix.__init__ = initial
    return {"scores": scores, "counts": found[-1].counts.tolist()}


def main():
    strategy, results = make_strategy("cpu*2"), []
    config = tiny.config(dataset__options__sizes={"train": 2, "val": 5, "test": 1})
    dataset, used, device = wiring.make_dataset(config), set(), tf.device
    with strategy.scope():
        model = wiring.make_model(config, dataset.spec)
    tf.device = lambda name: used.add(name) or device(name)
    for constant in (False, True):
        processor.onednn_is_asked_for = lambda constant=constant: constant
        for shared in (tf.distribute.get_strategy(), strategy):
            validation = wiring.make_validation(config, model, dataset, Workers(shared))
            results.append({**counted(validation, config["dataset"]["val_split"]), "devices": sorted(used)})
            used.clear()
    print(json.dumps(results))


if __name__ == "__main__":
    main()
