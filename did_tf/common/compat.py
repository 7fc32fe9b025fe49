"""The places where the two supported Keras generations differ, and nothing else."""

import inspect

import tensorflow as tf


def tf_variable(variable):
    """The `tf.Variable` behind a variable of Keras 3; a variable of Keras 2 is one already."""
    return variable if isinstance(variable, tf.Variable) else variable.value


def path(variable):
    """Layer and weight name, such as "block1.unit2.conv3x3.conv/kernel", alike on both generations."""
    return variable.path if hasattr(variable, "path") else variable.name.split(":")[0]


def build_optimizer(optimizer, variables):
    """Creates the optimizer's slots, so that they can be restored before the first step."""
    if hasattr(optimizer, "build"):
        optimizer.build(variables)
    else:  # tensorflow-addons' optimizers stand on Keras' legacy class
        optimizer._create_all_weights(variables)


def optimizer_variables(optimizer):
    """Everything that an optimizer must not forget, as `tf.Variable`s in a fixed order."""
    variables = optimizer.variables
    return [tf_variable(v) for v in (variables() if inspect.ismethod(variables) else variables)]


def apply_reduced(optimizer, gradients, variables):
    """Applies gradients that are already summed over the replicas, from within a replica."""
    pairs = list(zip(gradients, variables))
    if hasattr(optimizer, "_all_reduce_sum_gradients"):
        # Keras 3 sums over replicas itself and has no public way of telling it not to.
        optimizer._all_reduce_sum_gradients = lambda summed: summed
        optimizer.apply_gradients(pairs)
    elif "skip_gradients_aggregation" in inspect.signature(optimizer.apply_gradients).parameters:
        optimizer.apply_gradients(pairs, skip_gradients_aggregation=True)
    else:
        optimizer.apply_gradients(pairs, experimental_aggregate_gradients=False)
