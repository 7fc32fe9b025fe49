"""What training compares: outputs with labels, at full size or at the network's own resolution."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

import tensorflow as tf
from tensorflow import keras

from did_tf import models
from did_tf.common.errors import ConfigError
from did_tf.models.phases import PHASES, shifted
from did_tf.models.placement import NO_STEPS, Axes, grid, nearest_pixels, steps_of
from did_tf.training.losses import output_weights

RESOLUTIONS = ("full", "features")


class Supervision:
    """The outputs that are trained, and the labels that each is compared with.

    Args:
      model: from `models.build`.
      crop: height and width of the training images, in pixels.
      weights: {output: weight}, empty for their plain mean (`losses.output_weights`).
      resolution: "full": logits at the image's size. "features": before they are resized, each against the label of
        the pixel in the place of its feature, by the placement of its resizing (the authors of FCRN and DUC,
        papers.md sections 3 and 4). It costs less memory.
      shifted_passes: whether each update takes four passes over a batch, each over another quarter of the features
        in front of the last halving (fcrn_online_bootstrapping.md section 3.2).

    Attributes:
      network: keras.Model, images -> {output: logits to compare}.
      weights: {output: weight} of the outputs that count.
      passes: for each pass of an update, its shift (dy, dx), or None.

    Raises:
      ConfigError: unknown resolution or output, or a model that can't be shifted.
    """

    def __init__(
        self,
        model: keras.Model,
        crop: Sequence[int],
        weights: Mapping[str, float] | None = None,
        resolution: str = "full",
        shifted_passes: bool = False,
    ) -> None:
        if resolution not in RESOLUTIONS:
            raise ConfigError(f"loss.resolution must be one of {RESOLUTIONS}, got {resolution!r}")
        if resolution == "features" and models.task(model) == "classification":
            raise ConfigError('loss.resolution="features" is for segmentation; this model classifies images')
        self.weights = output_weights(list(model.output), weights)
        self.passes: Sequence[tuple[int, int] | None] = PHASES if shifted_passes else (None,)
        phases = _phases(model, resolution) if shifted_passes else None
        self._grids: dict[str, tuple[Sequence[int], str, Axes]] = {}  # of outputs at their own resolution
        if resolution == "full":
            self.network = model
        else:
            own = {output: models.own_resolution(model)[output] for output in self.weights}
            self.network = keras.Model(model.input, {output: placed.features for output, placed in own.items()})
            sizes = self.network(keras.Input((*crop, model.input_shape[-1])))
            for output, (_, placement, steps) in own.items():
                self._grids[output] = (tuple(sizes[output].shape[1:3]), placement, steps)
            if phases:  # each pass has a part of the finer grid
                steps = steps_of(phases.input)
                size = tuple(grid(*of_axis)[2] for of_axis in zip(steps, crop))
                self._grids = {output: (size, placed.placement, steps) for output, placed in own.items()}

    def labels(self, labels: tf.Tensor, shift: tuple[int, int] | None = None) -> dict[str, tf.Tensor]:
        """{output: labels} to compare the outputs with, of labels [N, H, W] or [N] in the pass with `shift`."""
        grids = self._grids
        found = {name: sample_labels(labels, *grids[name]) if name in grids else labels for name in self.weights}
        return {output: x[:, shift[0] :: 2, shift[1] :: 2] for output, x in found.items()} if shift else found

    def within(self, shift: tuple[int, int] | None) -> AbstractContextManager[None]:
        """Context in which the network does the pass with `shift`."""
        return shifted(*shift) if shift else contextlib.nullcontext()


def sample_labels(
    labels: tf.Tensor, size: Sequence[int], placement: str = "corners", steps: Axes = NO_STEPS
) -> tf.Tensor:
    """Labels [N, H, W] at the points of a grid: [N, h, w], each the label of the pixel that its feature stands on.

    Args:
      size: (h, w) of the grid.
      placement: one of `PLACEMENTS`.
      steps: that make the grid of the pixels, for "exact"; where a feature stands beyond them, the last one counts.
    """
    for axis, (points, made) in enumerate(zip(size, steps), 1):
        labels = tf.gather(labels, nearest_pixels(points, labels.shape[axis], placement, made), axis=axis)
    return labels


def _phases(model, resolution):
    phases = next((layer for layer in model.layers if layer.name == "phases"), None)
    if phases is None:
        raise ConfigError("train.shifted_passes needs a model with a halving to shift: fcrn at stride 16 or 8")
    if resolution != "features":
        raise ConfigError('train.shifted_passes needs loss.resolution="features"')
    return phases
