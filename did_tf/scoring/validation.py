"""Scores while training: what is logged, and which of them says which weights are the best."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from data_pipelines.spec import Dataset
from did_tf.cluster.devices import Spread
from did_tf.cluster.workers import Workers
from did_tf.common import visualize
from did_tf.scoring import classification, evaluation
from did_tf.scoring.classification import Classifier
from did_tf.scoring.evaluation import Predict
from did_tf.scoring.metrics import ConfusionMatrix, known


class SegmentationValidation:
    """Mean IoU and pixel accuracy of whole images; IoU per class and pictures for TensorBoard.

    Args:
      make_predictor: gives what `evaluation.evaluate` takes, for the weights of the moment; called for each validation.
      dataset: `Dataset` for segmentation.
      panels: how many images are shown.
      workers: that share the images, each on all of its devices; every one gets the scores of all of them.
      protocol: that the predictors go by, for the record.

    Attributes:
      protocol: as given.
      remark: how many classes the last mean IoU was of, where it left some out; else empty.
    """

    scores = {"miou": "mIoU", "accuracy": "accuracy"}
    """Scores with what people call them. The first decides which weights are kept."""

    def __init__(
        self, make_predictor: Callable[[], Predict], dataset: Dataset, panels: int, workers: Workers, protocol: str
    ) -> None:
        self.make_predictor, self.dataset, self.panels, self.workers = make_predictor, dataset, panels, workers
        self.protocol, self.remark = protocol, ""

    def __call__(
        self, split: str, progress: bool, between: Callable[[], None] = lambda: None
    ) -> tuple[dict[str, float], Callable[[], None]]:
        """Scores `split`.

        Args:
          split: name of a split of the data set.
          progress: whether to show a progress bar.
          between: is called after every image; what it raises ends the scoring.

        Returns:
          Fraction of each of `scores`, in their order; and a function that writes summaries to the TensorBoard writer
          in whose context it is called.

        Raises:
          DataError: the data can't be read.
        """
        panels = []

        def watch(scored):
            between()
            if scored.number < self.panels:
                ids = (scored.label, scored.predictions[evaluation.MAIN])
                shown = visualize.panels(scored.image, ids, self.dataset.spec)
                panels.append(visualize.side_by_side(shown, ["image", "label", "prediction"]))

        part, classes = self.workers.part(len(self.dataset.samples(split))), self.dataset.spec.num_classes
        devices = self.workers.several_devices()
        predict, streams = Spread(self.make_predictor(), devices), len(devices)
        result = evaluation.evaluate(predict, self.dataset, split, progress, watch=watch, streams=streams, part=part)
        mine = result.matrices.get(evaluation.MAIN, ConfusionMatrix(classes))  # none where there are few images
        matrix = ConfusionMatrix(classes, self.workers.summed(mine.counts))
        shown = known(matrix.iou())
        self.remark = f"mIoU over {shown} of {classes} classes" if shown < classes else ""
        values = {"miou": float(matrix.mean_iou()), "accuracy": float(matrix.pixel_accuracy())}
        return values, lambda: self._summarize(matrix, panels)

    def _summarize(self, matrix, panels):
        for name, iou in zip(self.dataset.spec.classes, matrix.iou()):
            if not math.isnan(iou):
                tf.summary.scalar(f"val_iou/{name}", np.float32(iou))
        for number, panel in enumerate(panels):
            tf.summary.image(f"validation/{number}", panel[None])


class ClassificationValidation:
    """Top-1 and top-5 accuracy on centre crops.

    Args:
      make_classifier: gives a `Classifier` for the weights of the moment; called for each validation.
      dataset: `Dataset` for classification.
      workers: as of `SegmentationValidation`.
    """

    scores = {"top1_accuracy": "top-1 accuracy", "top5_accuracy": "top-5 accuracy"}
    """As of `SegmentationValidation`."""
    remark = protocol = ""

    def __init__(self, make_classifier: Callable[[], Classifier], dataset: Dataset, workers: Workers) -> None:
        self.make_classifier, self.dataset, self.workers = make_classifier, dataset, workers

    def __call__(
        self, split: str, progress: bool, between: Callable[[], None] = lambda: None
    ) -> tuple[dict[str, float], Callable[[], None]]:
        """As of `SegmentationValidation`, `between` after every batch; there is nothing more to show."""
        part = self.workers.part(len(self.dataset.samples(split)))
        made = self.make_classifier()
        devices = self.workers.several_devices()
        result = classification.evaluate(
            made, self.dataset, split, progress, part=part, between=between, devices=devices
        )
        ranks = np.array([rank for _, rank in result.images], np.int64)
        images, *right = self.workers.summed(np.array([len(ranks), *(np.sum(ranks < k) for k in (1, 5))]))
        return {f"top{k}_accuracy": float(hits / images) for k, hits in zip((1, 5), right)}, lambda: None
