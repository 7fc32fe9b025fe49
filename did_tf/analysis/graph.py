"""The graph of a Keras functional model as geometry: how large each layer's output is, and which places feed which.

Rows and columns are kept apart: nearly every layer acts on one axis at a time. For an axis, a rule per type of layer
tells the sources of each place of its output: the places of its input that it is made of.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from tensorflow import keras

from did_tf.models.ladder import GridPooling
from did_tf.models.layers import DenseUpsampling, Dropout, Normalize, ResizeBilinear
from did_tf.models.phases import PHASES, Interleave, Phases
from did_tf.models.placement import grid
from did_tf.models.sunet import Deconvolution
from did_tf.recompute.plan import feeds_of

layers = keras.layers


class Graph:
    """A model's layers for images of one size.

    Args:
      model: Keras functional model of one image; each layer is called once.
      height, width: of the image, in pixels.

    Attributes:
      feeds: {layer: names of the layers whose outputs it takes}, in the order in which they are computed.
      sizes: {layer: (copies, height, width)} of its output; several copies stand on the batch axis in the simulation of
        a higher resolution (`did_tf.models.phases`), and height and width are 1 where none are left.

    Raises:
      ValueError: a layer is of a type without a rule, is called more than once, or joins features of different sizes.
    """

    def __init__(self, model: keras.Model, height: int, width: int) -> None:
        self.layers = {layer.name: layer for layer in model.layers}
        self.feeds = feeds_of(model)
        self.sizes = {}
        for name, feeds in self.feeds.items():
            sizes = [self.rule(name, axis)[0] for axis in (0, 1)] if feeds else (height, width)
            self.sizes[name] = (self._copies(name), *sizes)

    def reach(self, start: str, position: Sequence[int], stop: str, axes: Sequence[int] = (0, 1)) -> np.ndarray:
        """Places of layer `stop` from which a path leads to `position` of layer `start`.

        Args:
          start, stop: name of a layer; its output is meant.
          position: (row, column), or the one of them that `axes` leaves; in the output of `start`.
          axes: (0, 1) for a map [height, width]; (0,) or (1,) for the rows or the columns alone, which is much cheaper.

        Returns:
          bool array with an axis for each of `axes`; all False where no path leads there.
        """
        marked = {start: self._nowhere(start, axes)}
        marked[start][(slice(None), *position)] = True
        for name in reversed(self.feeds):
            if name == stop:
                break
            if name in marked:
                self._step_back(name, marked.pop(name), marked, axes)
        return marked.get(stop, self._nowhere(stop, axes)).any(axis=0)

    def _nowhere(self, name, axes):
        copies, *sizes = self.sizes[name]
        return np.zeros((copies, *(sizes[axis] for axis in axes)), bool)

    def _step_back(self, name, output, marked, axes):
        """Marks in the inputs of layer `name` what leads to the marked places of its output."""
        sources = [self.rule(name, axis)[1] for axis in axes]
        for feed, *along in zip(self.feeds[name], *sources):
            found = marked.setdefault(feed, self._nowhere(feed, axes))
            for copy in range(max(len(output), len(found))):
                pulled = output[copy % len(output)]
                for axis, (places, size) in enumerate(zip(along, found.shape[1:])):
                    pulled = _pull(pulled, places[copy % len(places)], size, axis)
                found[copy % len(found)] |= pulled

    def rule(self, name: str, axis: int) -> tuple[int, list[list[np.ndarray | None]]]:
        """(size of the output along `axis`, sources in each input) of a layer.

        Sources are a list with an array [size of the output, number of sources], or one for each copy: -1 stands for
        none, and None in place of an array for the place itself.
        """
        layer = self.layers[name]
        rule = next((_RULES[kind] for kind in type(layer).__mro__ if kind in _RULES), None)
        if rule is None:
            raise ValueError(f"no rule for layer {name!r} of type {type(layer).__name__}: add one to {__name__}")
        return rule(layer, [self.sizes[feed][1 + axis] for feed in self.feeds[name]], axis)

    def _copies(self, name):
        layer = self.layers[name]
        if isinstance(layer, (Phases, Interleave)) and layer.simulation:
            return len(PHASES) if isinstance(layer, Phases) else 1
        return max((self.sizes[feed][0] for feed in self.feeds[name]), default=1)


def _pull(output, places, size, axis):
    """Which of `size` places along `axis` are sources of a marked place in `output`; `places` are [output, sources]."""
    if places is _SAME:
        return output
    output = np.moveaxis(output, axis, 0)
    found = np.zeros((size, *output.shape[1:]), bool)
    if places.shape[0] < places.shape[1]:
        for row, marked in zip(places, output):
            found[row[row >= 0]] |= marked
    else:
        for column in places.T:
            inside = np.flatnonzero(column >= 0)
            # Neighbours may share a source. From place to place sources never go back, so those stand together.
            first = np.flatnonzero(np.diff(column[inside], prepend=-1))
            found[column[inside][first]] |= np.logical_or.reduceat(output[inside], first, axis=0)
    return np.moveaxis(found, 0, axis)


# A rule takes (layer, sizes of the inputs along the axis, axis) and gives what `Graph.rule` does.
_SAME = None  # in place of an array: each place is its own source


def _same(layer, sizes, axis):
    if len(set(sizes)) > 1:
        raise ValueError(f"layer {layer.name!r} joins features of different sizes, {sizes}")
    return sizes[0], [[_SAME] for _ in sizes]


def _sources(places):
    return len(places), [[places]]


def _convolution(layer, sizes, axis):
    window = layer.kernel_size[axis], layer.strides[axis], layer.dilation_rate[axis]
    return _sources(_window(sizes[0], *window, layer.padding))


def _pooling(layer, sizes, axis):
    return _sources(_window(sizes[0], layer.pool_size[axis], layer.strides[axis], 1, layer.padding))


@functools.lru_cache(maxsize=256)
def _window(size, kernel, stride, dilation, padding):
    span = (kernel - 1) * dilation + 1
    if padding == "same":
        count = -(-size // stride)
        before = max((count - 1) * stride + span - size, 0) // 2
    else:
        count, before = max((size - span) // stride + 1, 0), 0
    return _inside(np.arange(count)[:, None] * stride - before + np.arange(kernel) * dilation, size)


def _transposed(layer, sizes, axis):
    kernel, stride, dilation = layer.kernel_size[axis], layer.strides[axis], layer.dilation_rate[axis]
    channels, size = layer.input.shape[-1], sizes[0]
    count = layer.compute_output_shape((1, size, size, channels))[1 + axis]
    # It is a convolution from `count` to `size` places turned round, padded as that one.
    before = 0
    if layer.padding == "same":
        before = max((size - 1) * stride + (kernel - 1) * dilation + 1 - count, 0) // 2
    places = np.arange(count)[:, None] + before - np.arange(kernel) * dilation
    return _sources(_strided(places, stride, size))


def _strided(places, stride, size):
    """The inputs that stand at `places` where `size` inputs stand `stride` apart; -1 where none does."""
    return _inside(np.where(places % stride == 0, places // stride, -1), size)


def _padding(layer, sizes, axis):
    before, after = layer.padding[axis]
    return _sources(_inside(np.arange(-before, sizes[0] + after)[:, None], sizes[0]))


def _cropping(layer, sizes, axis):
    before, after = layer.cropping[axis]
    return _sources(np.arange(before, sizes[0] - after)[:, None])


def _resize(layer, sizes, axis):
    size, like = sizes
    if layer.placement == "exact":
        doubled, stride, _ = grid(layer.steps[axis], like)
        return _to_size_of(like, _neighbours(2 * np.arange(like) - doubled, 2 * stride, size))
    return _to_size_of(like, _interpolation(size, like, layer.placement == "corners"))


def _to_size_of(like, *places):
    """Of a second input only the size is taken, `like`: it is no source."""
    return like, [list(places), [np.zeros((like, 0), int)]]


def _dense_upsampling(layer, sizes, axis):
    count = -(-sizes[1] // layer.cell)
    return count, [[np.arange(count)[:, None] // layer.factor], [np.zeros((count, 0), int)]]


def _deconvolution(layer, sizes, axis):
    size, like = sizes
    stride, dilation = layer.strides[axis], layer.dilation_rate[axis]
    places = np.arange(like)[:, None] - dilation * np.array([1, 0, -1])
    return _to_size_of(like, _strided(places, stride, size))


def _upsampling(layer, sizes, axis):
    count = sizes[0] * layer.size[axis]
    if layer.interpolation == "nearest":
        return _sources(np.arange(count)[:, None] // layer.size[axis])
    return _sources(_interpolation(sizes[0], count, align_corners=False))


@functools.lru_cache(maxsize=64)
def _interpolation(size, count, align_corners):
    """The two neighbours of each sample, as `interpolation_matrix` has them; twice the same where it lies on one."""
    steps = np.arange(count, dtype=np.int64)
    # In whole numbers: the source is over / under.
    if align_corners:
        over, under = steps * (size - 1), max(count - 1, 1)
    else:
        over, under = (2 * steps + 1) * size - count, 2 * count
    return _neighbours(over, under, size)


def _neighbours(over, under, size):
    over = np.clip(over, 0, (size - 1) * under)
    return np.stack([over // under, -(-over // under)], axis=1)


def _everywhere(layer, sizes, axis):
    return _sources(np.arange(sizes[0])[None])


def _grid_pooling(layer, sizes, axis):
    size, cells = sizes[0], np.arange(layer.cells + 1)
    first, end = cells[:-1] * size // layer.cells, -(-cells[1:] * size // layer.cells)
    places = first[:, None] + np.arange((end - first).max())
    return _sources(np.where(places < end[:, None], places, -1))


def _phases(layer, sizes, axis):
    count = (sizes[0] + 1) // 2
    if not layer.simulation:
        return _sources(2 * np.arange(count)[:, None])
    # The last row or column of an odd number is repeated.
    return count, [[np.minimum(2 * np.arange(count)[:, None] + phase[axis], sizes[0] - 1) for phase in PHASES]]


def _interleave(layer, sizes, axis):
    size, like = sizes
    if not layer.simulation:
        return size, [[_SAME], [np.zeros((size, 0), int)]]
    steps = np.arange(like)[:, None]
    return _to_size_of(like, *(np.where(steps % 2 == phase[axis], steps // 2, -1) for phase in PHASES))


def _inside(places, size):
    return np.where((places >= 0) & (places < size), places, -1)


_ALIKE: tuple[type, ...] = (layers.BatchNormalization, Normalize, layers.ReLU, layers.Activation, layers.Softmax)
_ALIKE += (layers.Dropout, Dropout, layers.Dense)
_ALIKE += (layers.Add, layers.Average, layers.Maximum, layers.Multiply, layers.Concatenate)
_RULES = {
    **dict.fromkeys(_ALIKE, _same),
    layers.Conv2D: _convolution,
    layers.DepthwiseConv2D: _convolution,
    layers.SeparableConv2D: _convolution,
    layers.Conv2DTranspose: _transposed,
    layers.MaxPooling2D: _pooling,
    layers.AveragePooling2D: _pooling,
    layers.ZeroPadding2D: _padding,
    layers.Cropping2D: _cropping,
    layers.UpSampling2D: _upsampling,
    layers.GlobalAveragePooling2D: _everywhere,
    layers.GlobalMaxPooling2D: _everywhere,
    layers.Flatten: _everywhere,
    ResizeBilinear: _resize,
    DenseUpsampling: _dense_upsampling,
    Deconvolution: _deconvolution,
    GridPooling: _grid_pooling,
    Phases: _phases,
    Interleave: _interleave,
}
