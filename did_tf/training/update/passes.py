"""The passes of an update, and what each of their pixels is of its loss.

A pass is a part of a micro-batch, and with shifted passes one of the four over it. What they add up to is the update of
the whole global batch: a pixel's share is decided and divided over all passes of all replicas.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf

from did_tf.models.layers import FusedBatchNormalization, statistics_to
from did_tf.training.losses import Chosen, PixelCrossEntropy
from did_tf.training.supervision import Supervision


class Pass(NamedTuple):
    """A part of an update.

    Attributes:
      image: [n, H, W, C].
      targets: {output: labels to compare with, [n, h, w] or [n]}; with MixUp [2n, ...], the others after the first.
      shift: (dy, dx), or None.
      seed: of dropout, int32 [2].
      weights: with MixUp [2n] float32, what each image's label of `targets` weighs; else None.
    """

    image: tf.Tensor
    targets: Mapping[str, tf.Tensor]
    shift: tuple[int, int] | None
    seed: tf.Tensor
    weights: tf.Tensor | None = None

    def facing(self, output: tf.Tensor) -> tf.Tensor:
        """An output, [n, ...], for each of the images' labels: [2n, ...] with MixUp."""
        return output if self.weights is None else tf.concat([output, output], 0)

    def weighted(self, values: tf.Tensor) -> tf.Tensor:
        """Values of the images' labels, [n] or with MixUp [2n], times what each of these weighs."""
        return values if self.weights is None else values * self.weights


class Shares(NamedTuple):
    """What each pixel is of the loss.

    Attributes:
      weights: of each pass {output: weights of its pixels, float32, like its targets}.
      divisors: of each output the sum of the weights over all passes and replicas, a float32 scalar.
      chosen: of the first output, all passes of this replica together.
      images: of each output how many images count over all passes and replicas, a float32 scalar, with MixUp the sum
        of what their labels weigh; empty without terms of regions.
    """

    weights: list[dict[str, tf.Tensor]]
    divisors: list[tf.Tensor]
    chosen: Chosen
    images: list[tf.Tensor]


def split(
    supervision: Supervision,
    images: tf.Tensor,
    labels: Sequence[tf.Tensor],
    micro_batches: int,
    seed: int,
    first: tf.Tensor,
) -> list[Pass]:
    """The passes over a replica's part of a batch, the shifted ones of a micro-batch after each other.

    Args:
      supervision: says which labels an output has, and which shifts.
      images: [N, H, W, C], N a multiple of `micro_batches`.
      labels: [labels [N, H, W] or [N]]; with MixUp after them other labels, like them, and the weights [N] of these.
      micro_batches: how many.
      seed: of dropout.
      first: number of the first pass, which no other replica and step has; int32.
    """
    parts = zip(*(tf.split(x, micro_batches) for x in (images, *labels)))
    cut = [(image, *_faced(*mine), shift) for image, *mine in parts for shift in supervision.passes]
    return [
        Pass(image, supervision.labels(label, shift), shift, tf.stack([seed, first + number]), weights)
        for number, (image, label, weights, shift) in enumerate(cut)
    ]


def shares(
    pixel_loss: PixelCrossEntropy,
    passes: Sequence[Pass],
    losses: Sequence[Mapping[str, tf.Tensor]],
    micro_batches: int,
) -> Shares:
    """`Shares` of all pixels of an update, from within a replica.

    Args:
      pixel_loss: chooses the pixels.
      passes: all of this replica.
      losses: of each pass {output: float32, like its labels}.
      micro_batches: how many there are; of each, the passes follow each other.
    """
    weights: list[dict[str, tf.Tensor]] = [{} for _ in passes]
    chosen, images = [], []
    for output in passes[0].targets:
        labels = [one.targets[output] for one in passes]
        ranked = [found[output] for found in losses]
        found = pixel_loss.choose(_joined(ranked, micro_batches), _joined(labels, micro_batches))
        chosen.append(found._replace(weights=_weighted(found.weights, passes, micro_batches)))
        for mine, part in zip(weights, _parted(chosen[-1].weights, labels, micro_batches)):
            mine[output] = part
        if pixel_loss.has_regions:
            counted = [one.weighted(pixel_loss.images(one.targets[output])) for one in passes]
            images.append(tf.add_n([tf.reduce_sum(part) for part in counted]))
    context = tf.distribute.get_replica_context()
    sums = [tf.reduce_sum(found.weights) for found in chosen]
    reduced = context.all_reduce(tf.distribute.ReduceOp.SUM, [*sums, *images])
    return Shares(weights, reduced[: len(sums)], chosen[0], reduced[len(sums) :])


@contextlib.contextmanager
def side_by_side() -> Iterator[None]:
    """Within it, passes move the statistics of batch norm once, by the mean of what they find, as devices do."""
    found: dict[FusedBatchNormalization, list[tuple[tf.Tensor, tf.Tensor]]] = {}
    with statistics_to(lambda layer, *statistics: found.setdefault(layer, []).append(statistics)):
        yield
    for layer, statistics in found.items():
        layer.move(*(tf.add_n(values) / len(values) for values in zip(*statistics)))


def _faced(label, other=None, weight=None):
    """(labels, what they weigh): of images of one label [n, ...], or of two [2n, ...]."""
    return (label, None) if other is None else (tf.concat([label, other], 0), tf.concat([1 - weight, weight], 0))


def _weighted(weights, passes, micro_batches):
    """[N, P], those of pixels as of `_joined`, times what the labels of their images weigh."""
    of_images = [one.weights for one in passes[:: len(passes) // micro_batches]]
    return weights if of_images[0] is None else weights * tf.concat(of_images, 0)[:, None]


def _joined(parts, micro_batches):
    """[n, ...] of each pass -> [N, P]: the images of all micro-batches, each with the pixels of all its passes."""
    flat = [tf.reshape(part, [tf.shape(part)[0], -1]) for part in parts]
    shifts = len(parts) // micro_batches
    return tf.concat([tf.concat(flat[i : i + shifts], 1) for i in range(0, len(flat), shifts)], 0)


def _parted(whole, parts, micro_batches):
    """The way back from `_joined`, to the shapes of `parts`."""
    sizes = [tf.size(part) // tf.shape(part)[0] for part in parts[: len(parts) // micro_batches]]
    images = tf.split(whole, micro_batches)
    pieces = [piece for image in images for piece in tf.split(image, sizes, axis=1, num=len(sizes))]
    return [tf.reshape(piece, tf.shape(part)) for piece, part in zip(pieces, parts)]
