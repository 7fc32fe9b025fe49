"""Where features stand in the image: derived from the layers that made them and the padding that was really used.

Along an axis feature i stands at pixel offset + stride * i, the centre of what it was made of. TensorFlow's "same"
padding of a layer with strides depends on the size, so the graph gives steps, and these the place once a size is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import tensorflow as tf
from tensorflow import keras

layers = keras.layers

PLACEMENTS = ("exact", "corners", "areas")
"""Where a resize takes features to stand: where they do; or evenly spread over the larger map, the first and the last
on its corners; or each in the middle of an equal area of it ("half pixel", as `tf.image.resize`)."""


class Step(NamedTuple):
    """A window that a layer moves along an axis.

    Attributes:
      span: places that it reaches over, the skipped ones of a dilated kernel among them.
      stride: places from one window to the next.
      before, after: places that are added before the first and after the last; None for TensorFlow's "same".
    """

    span: int
    stride: int
    before: int | None = None
    after: int | None = None


Steps: TypeAlias = tuple[Step, ...]
"""How features were made along one axis, from the image on."""
Axes: TypeAlias = tuple[Steps, Steps]
"""`Steps` of the rows and of the columns."""
NO_STEPS: Axes = ((), ())
_PART = 2**14


class Placed(NamedTuple):
    """Features, and how they are placed on the image.

    Attributes:
      features: [N, h, w, C].
      placement: one of `PLACEMENTS`.
      steps: for "exact".
    """

    features: keras.KerasTensor
    placement: str
    steps: Axes


def grid(steps: Sequence[Step], size: int | tf.Tensor) -> tuple[int | tf.Tensor, int, int | tf.Tensor]:
    """(twice the offset, stride, count) of the features that `steps` make along an axis of `size`, in whole numbers.

    Feature i stands at offset + stride * i. The size may be an integer tensor: the offset and the count are then too.
    """
    doubled, stride = size * 0, 1
    for span, step, before, after in steps:
        if before is None or after is None:
            count = (size + step - 1) // step  # of nothing negative, which tf2onnx rounds otherwise
            lacking = (count - 1) * step + span - size
            before = (lacking + abs(lacking)) // 4  # half of what is above 0, of tensors too
        else:
            count = (size + before + after - span) // step + 1
        doubled += stride * (span - 1 - 2 * before)
        stride, size = stride * step, count
    return doubled, stride, size


def interpolation_matrix(
    size_in: int | tf.Tensor,
    size_out: int | tf.Tensor,
    placement: str = "corners",
    steps: Sequence[Step] = (),
    dtype: tf.DType = tf.float32,
) -> tf.Tensor:
    """Weights [size_out, size_in] of linear interpolation along one axis; the sizes may be tensors.

    Args:
      size_in, size_out: of the coarser and the finer axis.
      placement: "corners": the first and last samples coincide (src = dst * (in - 1) / (out - 1)). "areas": samples
        are areas (src = (dst + 0.5) * in / out - 0.5), as in `tf.image.resize`. "exact": by the steps.
      steps: that made the coarser of the finer; beyond its first and last sample these are repeated.
      dtype: of the weights.
    """
    n, m = tf.convert_to_tensor(size_in), tf.convert_to_tensor(size_out)
    whole, part, unit = _between(n, m, placement, steps)
    # In whole numbers up to the last division: exact, and nothing that 8 bits would blur where features are quantised.
    before, after = (tf.clip_by_value(place, 0, n - 1)[:, None] for place in (whole, whole + 1))
    samples, part = tf.range(n)[None], part[:, None]
    weights = tf.where(samples == before, unit - part, 0) + tf.where(samples == after, part, 0)
    return tf.cast(tf.cast(weights, tf.float32) / tf.cast(unit, tf.float32), dtype)


def _between(n, m, placement, steps):
    """(last sample up to each of m places, int32 [m]; units from there to the place; units between two samples).

    A place before the first sample or beyond the last may have others. Nothing negative is divided, which tf2onnx
    rounds otherwise.
    """
    places = tf.range(m)
    if placement == "exact":
        doubled, stride, _ = grid(steps, m)
        source, unit = tf.maximum(2 * places - doubled, 0), tf.constant(2 * stride)
        return source // unit, source % unit, unit
    if placement == "corners":
        unit = tf.maximum(m - 1, 1)
        return *_quotient(places, n - 1, 0, unit), unit
    whole, part = _quotient(2 * places + 1, n, m, 2 * m)
    return whole - 1, part, 2 * m


def _quotient(number, factor, more, divisor):
    """Quotient and remainder of (number * factor + more) / divisor, of int32 that aren't negative.

    The product may be beyond 32 bits, and LiteRT can't divide longer ones. It takes factors up to 2 ** 16 and numbers
    and divisors up to 2 ** 21: matrices of half a terabyte.
    """
    high, low = number // _PART, number % _PART
    rest = high * (_PART * factor % divisor) + low * factor + more
    return high * (_PART * factor // divisor) + rest // divisor, rest % divisor


def nearest_pixels(points: int, pixels: int, placement: str = "corners", steps: Sequence[Step] = ()) -> list[int]:
    """The pixel in which each of `points` features along an axis of `pixels` stands; between two the second.

    Args:
      points, pixels: how many.
      placement, steps: as of `interpolation_matrix`.
    """
    if placement == "exact":
        doubled, stride, _ = grid(steps, pixels)
        return [min(max((doubled + 1) // 2 + stride * i, 0), pixels - 1) for i in range(points)]
    if placement == "corners" and points > 1:
        return [int(i * (pixels - 1) / (points - 1) + 0.5) for i in range(points)]
    return [int((i + 0.5) * pixels / points) for i in range(points)]


def steps_between(x: keras.KerasTensor, like: keras.KerasTensor) -> Axes:
    """The steps that make the features x of the grid of `like`, of the same model.

    Raises:
      ValueError: they are made of another grid, or as of `steps_of`.
    """
    coarse, fine = steps_of(x), steps_of(like)
    if any(made[: len(start)] != start for made, start in zip(coarse, fine)):
        raise ValueError(f"{_maker(x).name} is not made of the grid of {_maker(like).name}")
    return coarse[0][len(fine[0]) :], coarse[1][len(fine[1]) :]


def steps_of(x: keras.KerasTensor) -> Axes:
    """The steps that make the features x of its model's image.

    A layer of this project says by its attribute `stands` where its output stands: the number of the input of whose
    places it is, and the `Step` from there or None.

    Raises:
      ValueError: a layer is of a type without a rule, or joins features that stand in different places.
    """
    found: dict[int, Axes] = {}
    waiting = [x]
    while waiting:  # no recursion: networks have hundreds of layers in a row
        layer = _maker(waiting[-1])
        sources = _sources(layer)
        if missing := [source for source in sources if id(source) not in found]:
            waiting.extend(missing)
        else:
            found[id(waiting.pop())] = _through(layer, [found[id(source)] for source in sources])
    return found[id(x)]


def _maker(tensor):
    return tensor._keras_history[0]


def _sources(layer):
    """The inputs of whose places the output is."""
    if isinstance(layer, layers.InputLayer):
        return []
    inputs = tf.nest.flatten(layer.input)
    return [inputs[layer.stands[0]]] if hasattr(layer, "stands") else inputs


def _through(layer, axes):
    if not axes:
        return NO_STEPS
    return tuple(
        _then(_joined(layer, alternatives), _step(layer, axis)) for axis, alternatives in enumerate(zip(*axes))
    )


def _joined(layer, alternatives):
    """The shortest of `Steps` that lead to the same places."""
    shortest = min(alternatives, key=len)
    for other in {*alternatives} - {shortest}:
        # Places depend on the remainders of the size by the strides, of which this has all.
        if any(grid(other, size) != grid(shortest, size) for size in range(256, 512)):
            raise ValueError(f"layer {layer.name!r} joins features that stand in different places")
    return shortest


def _step(layer, axis):
    """The `Step` of a layer along an axis, or None."""
    if hasattr(layer, "stands"):
        return layer.stands[1]
    rule = next((_RULES[kind] for kind in type(layer).__mro__ if kind in _RULES), _unknown)
    return rule(layer, axis)


def _then(steps, step):
    """`Steps` with one more; without it where it moves nothing, and with padding and what it pads as one."""
    if step is None:
        return steps
    last = steps[-1] if steps else None
    if last and last[:2] == (1, 1) and step.before is not None:
        return _then(steps[:-1], Step(step.span, step.stride, last.before + step.before, last.after + step.after))
    centred = step.span % 2 == 1 and step.before in (None, step.span // 2) and step.before == step.after
    return steps if step.stride == 1 and centred else (*steps, step)


def _convolution(layer, axis):
    return _window(layer, axis, (layer.kernel_size[axis] - 1) * layer.dilation_rate[axis] + 1)


def _pooling(layer, axis):
    return _window(layer, axis, layer.pool_size[axis])


def _window(layer, axis, span):
    stride = layer.strides[axis]
    return Step(span, stride) if layer.padding == "same" else Step(span, stride, 0, 0)


def _padding(layer, axis):
    return Step(1, 1, *layer.padding[axis])


def _alike(layer, axis):
    return None


def _unknown(layer, axis):
    raise ValueError(f"where the output of layer {layer.name!r}, a {type(layer).__name__}, stands is not known")


_ALIKE: tuple[type, ...] = (layers.BatchNormalization, layers.ReLU, layers.Activation, layers.Dropout)
_ALIKE += (layers.Add, layers.Average, layers.Maximum, layers.Multiply, layers.Concatenate)
_RULES = {
    **dict.fromkeys(_ALIKE, _alike),
    layers.Conv2D: _convolution,
    layers.DepthwiseConv2D: _convolution,
    layers.SeparableConv2D: _convolution,
    layers.Conv2DTranspose: _unknown,  # Keras 2 takes it for a Conv2D
    layers.MaxPooling2D: _pooling,
    layers.AveragePooling2D: _pooling,
    layers.ZeroPadding2D: _padding,
}
