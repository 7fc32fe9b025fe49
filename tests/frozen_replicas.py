"""Program: what stops change in a training on two devices whose batch norm is frozen from the third update on.

A stop averages the statistics. Prints, as JSON, how far weights lie apart of trainings without a stop and with one
before each update, and how far where nothing else averages the statistics.
"""

import json

import numpy as np
import tensorflow as tf
from by_hand import OPTIMIZER, SIDE, TRAIN, red_or_not
from tensorflow import keras

from did_tf.common import compat
from did_tf.models.layers import FusedBatchNormalization
from did_tf.training.distribution import make_strategy
from did_tf.training.losses import PixelCrossEntropy
from did_tf.training.schedules import Schedule
from did_tf.training.supervision import Supervision
from did_tf.training.train_step import TrainStep

UPDATES = 4
FROZEN = {"freeze_batch_norm": "statistics", "freeze_batch_norm_from": 2}


def make_train_step(strategy):
    image = keras.Input((SIDE, SIDE, 3))
    x = FusedBatchNormalization(momentum=0.5, name="stem.bn")(keras.layers.Conv2D(4, 1, name="stem")(image))
    model = keras.Model(image, {"main": keras.layers.Conv2D(2, 1, name="head.main.conv")(x)})
    supervision, schedule = Supervision(model, (SIDE, SIDE)), Schedule("constant", 0.1, UPDATES)
    settings, train = {**OPTIMIZER, "name": "sgd"}, {**TRAIN, **FROZEN}
    return TrainStep(strategy, model, PixelCrossEntropy(), supervision, schedule, settings, train, seed=1)


def batch_of(strategy):
    """One image for each device, of which the second one is darker."""
    images, labels = zip(*map(red_or_not, range(2)))
    images = [image.astype(np.float32) / (127.5 * (1 + 3 * number)) for number, image in enumerate(images)]

    def shared(arrays):
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(arrays[context.replica_id_in_sync_group][None])
        )

    return {"image": shared(images), "label": shared(labels)}


def trained(train_step, batch, start, before):
    """All trained weights, [N], after the updates, each of which comes after a call of `before`."""
    for variable, value in zip(train_step.model.weights, start):
        compat.tf_variable(variable).assign(value)
    for number in range(UPDATES):
        before()
        train_step(batch, number)
    variables = map(compat.tf_variable, train_step.model.trainable_variables)
    return np.concatenate([tf.convert_to_tensor(variable).numpy().ravel() for variable in variables])


def main():
    strategy = make_strategy("cpu*2")
    with strategy.scope():
        train_step = make_train_step(strategy)
    batch, start, apart = batch_of(strategy), train_step.model.get_weights(), []
    stop = train_step.average_batch_norm
    for own in (stop, lambda: None):
        train_step.average_batch_norm = own
        without, stopped = (trained(train_step, batch, start, before) for before in (lambda: None, stop))
        apart.append(float(np.abs(stopped - without).max()))
    print(json.dumps(apart))


if __name__ == "__main__":
    main()
