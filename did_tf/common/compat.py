"""The places where the two supported Keras generations differ, and nothing else."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import tensorflow as tf
from tensorflow import keras

IS_KERAS_3 = hasattr(keras, "Variable")
"""Whether it is the later one, and not Keras 2."""


def tf_variable(variable: keras.Variable | tf.Variable) -> tf.Variable:
    """The `tf.Variable` behind a variable of Keras 3; a variable of Keras 2 is one already."""
    return variable if isinstance(variable, tf.Variable) else variable.value


def path(variable: keras.Variable | tf.Variable) -> str:
    """Layer and weight name, such as "block1.unit2.conv3x3.conv/kernel", alike on both generations."""
    return variable.path if hasattr(variable, "path") else variable.name.split(":")[0]


def build_optimizer(optimizer: keras.optimizers.Optimizer, variables: Sequence[keras.Variable | tf.Variable]) -> None:
    """Creates the optimizer's slots, so that they can be restored before the first step."""
    if hasattr(optimizer, "build"):
        optimizer.build(variables)
    else:  # tensorflow-addons' optimizers stand on Keras' legacy class
        optimizer._create_all_weights(variables)


def optimizer_variables(optimizer: keras.optimizers.Optimizer) -> list[tf.Variable]:
    """Everything that an optimizer must not forget: its step count and slots, in a fixed order."""
    variables = optimizer.variables
    return [tf_variable(v) for v in (variables() if inspect.ismethod(variables) else variables)]


def apply_reduced(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[tf.Tensor],
    variables: Sequence[keras.Variable | tf.Variable],
) -> None:
    """Applies gradients that are already summed over the replicas, from within a replica.

    Args:
      gradients: one for each of `variables`, of its shape.
      variables: those that the optimizer was built with, in the same order.
    """
    taken = inspect.signature(optimizer.apply_gradients).parameters
    if "skip_gradients_aggregation" in taken:
        optimizer.apply_gradients(zip(gradients, variables), skip_gradients_aggregation=True)
    elif "experimental_aggregate_gradients" in taken:
        optimizer.apply_gradients(zip(gradients, variables), experimental_aggregate_gradients=False)
    else:
        # Keras 3 sums over the replicas by a method of its own, and can't be told not to.
        assert hasattr(optimizer, "_all_reduce_sum_gradients")
        optimizer._all_reduce_sum_gradients = list
        optimizer.apply_gradients(zip(gradients, variables))


def slot(optimizer: keras.optimizers.Optimizer, variable: keras.Variable | tf.Variable) -> int:
    """Number of a variable among those that the optimizer was built with."""
    if IS_KERAS_3:
        return optimizer._get_variable_index(variable)
    return optimizer._index_dict[optimizer._var_key(variable)]
