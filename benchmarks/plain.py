"""An update of a trainer's network as one writes it with Keras alone: its optimizer, its loss, one gradient tape."""

import numpy as np
import tensorflow as tf
from tensorflow import keras

from did_tf.common import compat
from did_tf.runs import checkpoints
from did_tf.training import optimizers


class PlainStep:
    """In the place of a trainer's `TrainStep`, for cross entropy with class weights on one device.

    Args:
      trainer: whose network, built within `ours.layers`, schedule, class weights and weights of outputs are taken.
      settings: the section `optimizer` of its settings; nothing decays.
      parts: of the batch, each normalised by its own statistics.
      model: in place of the trainer's network, of its outputs.
    """

    def __init__(self, trainer, settings, parts, model=None):
        step, classes = trainer.train_step, trainer.loader.dataset.spec.num_classes
        self.model, self.outputs, self.parts = model or trainer.model, step.supervision.weights, parts
        self.clip_norm = settings["clip_norm"]
        optimizer = getattr(keras.optimizers, optimizers.KERAS[settings["name"]])
        self.optimizer = optimizer(step.schedule, **settings["options"])
        self.optimizer.build(self.model.trainable_variables)
        self.class_weights = np.zeros(256, np.float32)  # void has none
        self.class_weights[:classes] = step.pixel_loss.class_weights or 1

    def state(self):
        """As that of a `TrainStep`."""
        slots = compat.optimizer_variables(self.optimizer)
        return {**checkpoints.model_state(self.model), **{f"optimizer/{i}": v for i, v in enumerate(slots)}}

    def __call__(self, batch, step):
        """[the loss] of an update from {"image": [N, H, W, C], "label": [N, H, W]}; the optimizer counts the steps."""
        return self._update(batch["image"], batch["label"])

    @tf.function(autograph=False)
    def _update(self, image, label):
        ids = tf.cast(label, tf.int32)
        weights = tf.cast(tf.gather(self.class_weights, ids), next(iter(self.model.outputs)).dtype)
        parts = zip(*(tf.split(x, self.parts) for x in (image, tf.where(weights > 0, ids, 0), weights)))
        with tf.GradientTape() as tape:
            loss = tf.add_n([self._sum(*part) for part in parts]) / tf.reduce_sum(weights)
        variables = self.model.trainable_variables
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, variables), self.clip_norm)
        self.optimizer.apply_gradients(zip(gradients, variables))
        return tf.stack([loss])

    def _sum(self, image, ids, weights):
        outputs, entropy = self.model(image, training=True), keras.losses.sparse_categorical_crossentropy
        losses = [share * entropy(ids, outputs[name], from_logits=True) for name, share in self.outputs.items()]
        return tf.reduce_sum(weights * tf.add_n(losses))
