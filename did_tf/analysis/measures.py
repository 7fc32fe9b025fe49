"""What a network costs and what it sees: parameters, multiply-adds, receptive field, measured footprint."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tqdm import tqdm

from did_tf import models
from did_tf.analysis.graph import Graph
from did_tf.common.errors import ConfigError
from did_tf.recompute.needs import TRANSPOSED

SIDES = (4097, 16385, 65537)
"""Sides of the images on which a receptive field is sought, 512n+1 so that the centre is on the grid of any stride."""
SHARE = 0.95
"""Of the footprint's mass, within its effective size."""


def parameters(model: keras.Model) -> int:
    """Number of trainable parameters."""
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def multiply_adds(model: keras.Model, height: int, width: int) -> int:
    """Multiplications (each with its addition) for one image of height x width: those of convolutions and dense layers.

    Every kernel multiplies once at each place of its layer's output, of a transposed convolution at each place of its
    input; what falls on the padding counts. Normalisation, activations, pooling and bilinear resizing are left out.

    Raises ValueError as `Graph` does.
    """
    graph, total = Graph(model, height, width), 0
    for name, layer in graph.layers.items():
        kernels = sum(int(np.prod(v.shape)) for v in layer.weights if len(v.shape) > 1)
        place = graph.feeds[name][0] if isinstance(layer, TRANSPOSED) else name
        total += kernels * math.prod(graph.sizes[place])
    return total


def reach(
    model: keras.Model,
    height: int,
    width: int,
    output: str = "main",
    position: tuple[int, int] | None = None,
    source: str | None = None,
) -> np.ndarray:
    """Pixels from which a path leads to one place of an output: bool [height, width].

    Found backward through the graph, exactly, whatever the weights; a path may still carry nothing.

    Args:
      model: Keras functional model of one image.
      height, width: of the image, in pixels.
      output: one of the model's outputs, or the name of a layer.
      position: (row, column) of the place in the output; default its centre.
      source: name of the layer in whose output paths start, of which the map then is; default the image.

    Raises:
      ConfigError: there is no such output or layer.
    """
    graph, start = Graph(model, height, width), _layer(model, output)
    place = position or tuple(size // 2 for size in graph.sizes[start][1:])
    return graph.reach(start, place, _layer(model, source) if source else image_of(graph))


def receptive_field(model: keras.Model, output: str = "main") -> tuple[float, float]:
    """(height, width) of the theoretical receptive field: the box around all pixels that reach the output's centre.

    In pixels, sought on larger and larger images until it stays the same; infinite where it still grows on the largest
    of `SIDES`: the output depends on the whole image.

    Raises ConfigError as `reach` does.
    """
    spans: list[tuple[int, ...]] = [(0, 0)]
    for side in SIDES:
        graph, start = Graph(model, side, side), _layer(model, output)
        lines = [graph.reach(start, (graph.sizes[start][1 + axis] // 2,), image_of(graph), (axis,)) for axis in (0, 1)]
        spans.append(tuple(map(extent, lines)))
        if spans[-1] == spans[-2]:
            break
    height, width = (new if new == old else math.inf for old, new in zip(*spans[-2:]))
    return height, width


def field_of_view(model: keras.Model, layer: str = "head.main.conv") -> int:
    """Image pixels that the kernel of `layer`, the classifier, spans: "FoV" in Tables 1 and 2 of the FCRN paper."""
    graph = Graph(model, SIDES[0], SIDES[0])
    feed = graph.feeds[layer][0]
    rows = graph.reach(layer, (graph.sizes[layer][1] // 2,), feed, (0,))
    return extent(rows) * round(SIDES[0] / graph.sizes[feed][1])


def extent(line: np.ndarray) -> int:
    """Length of the piece of a line, bool [n], that holds all that is marked; 0 where nothing is."""
    marked = np.flatnonzero(line)
    return int(marked[-1] - marked[0] + 1) if marked.size else 0


def coverage(marked: np.ndarray) -> float:
    """Share, in [0, 1], of the box around the marked pixels of a map, bool [H, W], that is marked; 0 where none is."""
    box = extent(np.any(marked, axis=1)) * extent(np.any(marked, axis=0))
    return float(marked.sum() / box) if box else 0.0


def footprint(model: keras.Model, images: np.ndarray, output: str = "main", progress: bool = False) -> np.ndarray:
    """How much each pixel moves the score at the output's centre: float64 [H, W].

    The score is the highest logit there, of the network as in inference. An image's footprint is the absolute gradient
    summed over bands, scaled to the sum 1; given is the mean of all (Luo et al. 2016, "effective receptive field").

    Args:
      model: from `models.build`.
      images: [N, H, W, bands], pixel values.
      output: one of the model's outputs.
      progress: whether to show a progress bar.

    Raises:
      ConfigError: a gradient is zero or not finite.
    """
    total = np.zeros(images.shape[1:3])
    for image in tqdm(images, desc="gradients", unit="image", disable=not progress):
        x = tf.convert_to_tensor(image[None], tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(x)
            logits = model(x, training=False)[output]
            centre = logits[:, logits.shape[1] // 2, logits.shape[2] // 2] if len(logits.shape) == 4 else logits
            score = tf.reduce_max(centre)
        moved = np.abs(np.asarray(tape.gradient(score, x), np.float64))[0].sum(axis=-1)
        if not (np.isfinite(moved).all() and moved.any()):
            raise ConfigError(f"the gradient of output {output!r} is zero or not finite: these weights measure nothing")
        total += moved / moved.sum() / len(images)
    return total


def effective_size(footprint: np.ndarray, share: float = SHARE) -> int:
    """Side of the smallest square around the centre that holds `share` of a footprint [H, W]; odd, in pixels."""
    rows, columns = (np.abs(np.arange(size) - size // 2) for size in footprint.shape)
    rings = np.bincount(np.maximum(rows[:, None], columns).ravel(), footprint.ravel())
    # Not beyond the last, whatever the sums are rounded to.
    return 2 * min(int(np.searchsorted(np.cumsum(rings), share * footprint.sum())), len(rings) - 1) + 1


def dilations(model: keras.Model) -> dict[str, list[int]]:
    """{stage: dilation of each of its convolutions with a kernel, in order} of the encoder's dilated stages."""
    found: dict[str, list[int]] = {}
    for layer in model.layers:
        if max(getattr(layer, "kernel_size", [1])) > 1 and models.part(layer.name) == "encoder":
            found.setdefault(layer.name.split(".")[0], []).append(layer.dilation_rate[0])
    return {stage: rates for stage, rates in found.items() if max(rates) > 1}


def _layer(model, output):
    """Name of the layer that gives `output`, an output of the model or a layer."""
    if output in model.output:
        return next(layer.name for layer in model.layers if layer.output is model.output[output])
    if all(layer.name != output for layer in model.layers):
        raise ConfigError(f"no output or layer {output!r}; outputs: {', '.join(model.output)}")
    return output


def image_of(graph: Graph) -> str:
    """Name of the layer that is the image."""
    return next(name for name, feeds in graph.feeds.items() if not feeds)
