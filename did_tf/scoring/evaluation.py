"""A `Predictor` on a split of a data set: scores, and a report with pictures.

Scores are fractions in the objects and files, and percent where people read them; a paper's figures are percent.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from data_pipelines.spec import Dataset, Sample, voided
from did_tf.common import visualize
from did_tf.common.damage import Damage
from did_tf.common.errors import about
from did_tf.common.files import write_json
from did_tf.common.readout import HALF, readout_of
from did_tf.common.streams import side_by_side
from did_tf.common.text import aligned, beside, of_paper, percent
from did_tf.scoring import bootstrap
from did_tf.scoring.bootstrap import Interval
from did_tf.scoring.metrics import ConfusionMatrix, left_out

MAIN, BLEND = "main", "blend"
"""The output that counts, which every network has, and the mean of all of a network's outputs."""
REFINED = "main+crf"
"""What a CRF makes of the output that counts."""
LAST = "last step"
"""Column of the output that counts by the weights of the last step, beside those that were chosen."""
PANEL = 1024
"""Pixels of a side that images in pictures are thinned out to where they are larger."""

Predict = Callable[[np.ndarray], Mapping[str, np.ndarray]]
"""A `Predictor`, or what else gives the probabilities [H, W, L] of an image [H, W, bands] by output name."""


@dataclasses.dataclass
class Evaluation:
    """What `evaluate` measured.

    Attributes:
      matrices: output name -> ConfusionMatrix over all images; "main" first, and "blend" last if there are several.
      images: (name, mIoU of "main" on that image alone) in the order of the split; NaN where all pixels are ignored.
      overlaps: of "main" on each image alone, [2, C] as of `ConfusionMatrix.overlaps`.
      groups: of each image, as of `Dataset.together`.
    """

    matrices: dict[str, ConfusionMatrix]
    images: list[tuple[str, float]]
    overlaps: list[np.ndarray] = dataclasses.field(default_factory=list)
    groups: list[Hashable] | None = None

    def interval(self) -> Interval | None:
        """Of the mIoU of "main", see `bootstrap.interval`."""
        return bootstrap.interval(self.overlaps, groups=self.groups)


@dataclasses.dataclass
class Scored:
    """One image as `evaluate` met it.

    Attributes:
      number: of the image in its split, from 0.
      sample: what it was read from.
      image: [H, W, bands] of the data set's dtype.
      label: [H, W] uint8, class ids and 255.
      probabilities: output name -> [H, W, L] float32, of classes or regions.
      predictions: output name -> class ids [H, W].
      mask: [H, W] bool, where the image has no data; None where that is not known apart.
    """

    number: int
    sample: Sample
    image: np.ndarray
    label: np.ndarray
    probabilities: Mapping[str, np.ndarray]
    predictions: dict[str, np.ndarray]
    mask: np.ndarray | None = None


def evaluate(
    predictor: Predict,
    dataset: Dataset,
    split: str,
    progress: bool = True,
    limit: int | None = None,
    watch: Callable[[Scored], object] | None = None,
    streams: int = 1,
    part: slice = slice(None),
) -> Evaluation:
    """Scores every output of `predictor` on `split`; of several also the mean of their probabilities, "blend".

    Args:
      predictor: `Predictor`, or a function of an image that gives its dict of probabilities.
      dataset: `Dataset` for segmentation.
      split: name of one of its splits.
      progress: whether to show a progress bar.
      limit: take the first so many images only.
      watch: function that is given each image's `Scored`, for pictures and further scores; in the order of the split.
      streams: how many images are under way at once, from as many threads.
      part: which of these images.

    Raises:
      DataError: images or labels can't be read. All others are read first, and a line on stderr names each that can't:
        scores of the rest would be those of another split.
      NotFinite: the network gives probabilities that are not finite; the message names the image.
    """
    samples = dataset.samples(split)[:limit][part]
    damage, result = Damage(), Evaluation({}, [], [], dataset.together(samples))
    shown = tqdm(samples, desc=split, unit="image", disable=not progress)
    score = functools.partial(_score, predictor, dataset, damage)
    for (_, sample), found in side_by_side(score, enumerate(shown), streams):
        scored = None
        with damage.of(sample.name):
            scored, counted = found()
        if scored is None or damage.reasons:
            continue
        for output, matrix in counted.items():
            result.matrices[output] = result.matrices[output] + matrix if output in result.matrices else matrix
        result.images.append((sample.name, counted[MAIN].mean_iou()))
        result.overlaps.append(counted[MAIN].overlaps())
        if watch:
            watch(scored)
    damage.tell(f"{split} has no score without: mend it, or take it out of the data")
    return result


def write_report(
    evaluation: Evaluation,
    dataset: Dataset,
    predictor: Predict,
    folder: str | Path,
    split: str,
    protocol: Mapping[str, Any],
    paper: Mapping[str, Any] | None = None,
    pictures: int = 3,
    refine: Callable[[np.ndarray, np.ndarray, np.ndarray | None], np.ndarray] | None = None,
    **more: Any,
) -> None:
    """Writes the report on `split` into `folder`, each file at once or not at all.

    - SPLIT.json: protocol, outputs (`ConfusionMatrix.report`), interval, images, the paper's figures and `more`.
    - SPLIT_confusion.png: the confusion matrix of "main", each row as percent of its true class.
    - SPLIT_best_K.png, SPLIT_worst_K.png: the images with the best and worst mIoU, each with its label and all outputs
      from coarse to fine (figures 3 and 4 of did.md; with a CRF, figure 7 of duc_hdc.md).

    Args:
      evaluation: from `evaluate`.
      dataset, predictor, split: as for `evaluate`.
      folder: is created where there is none.
      protocol: dict of how the scores came about (tile, scales, ...), JSON-serialisable.
      paper: dict of the paper's figures in percent, or None.
      pictures: how many of the best, and of the worst.
      refine: function of an image, the probabilities of "main" and the mask of what has no data (or None) that gives
        those of `REFINED`, for the pictures; or None.
      **more: further entries of the JSON file, such as baselines.

    Raises:
      OSError: a file can't be written.
    """
    folder, classes = Path(folder), dataset.spec.classes
    write_json(folder / f"{split}.json", _report(evaluation, classes, split, protocol, paper, more))
    visualize.save_figure(
        folder / f"{split}_confusion.png", visualize.confusion(evaluation.matrices[MAIN].counts, classes)
    )

    samples = dataset.samples(split)
    scores = [score for _, score in evaluation.images]
    ranked = sorted((i for i, score in enumerate(scores) if not np.isnan(score)), key=lambda i: -scores[i])
    for kind, chosen in (("best", ranked[:pictures]), ("worst", ranked[::-1][:pictures])):
        for old in folder.glob(f"{split}_{kind}_[0-9]*.png"):  # an earlier report may have had more
            old.unlink()
        for number, i in enumerate(chosen, 1):
            panels = _panels(dataset, samples[i], predictor, scores[i], refine)
            visualize.save_png(folder / f"{split}_{kind}_{number}.png", panels)


def table(
    evaluation: Evaluation,
    classes: Sequence[str],
    paper: Mapping[str, Any] | None = None,
    last: ConfusionMatrix | None = None,
) -> str:
    """Text to print: IoU per class and the overall figures, in percent, a column per output.

    Below a mean that leaves out classes, which are nowhere in the labels (for mIoU: nor predicted), each column says
    how many it is of.

    Args:
      evaluation: from `evaluate`.
      classes: class names.
      paper: the paper's figures in percent, such as {"miou": 68.3, "accuracy": 92.6, "mean_accuracy": 76.1, "classes":
        {"sky": 93.8}, "split": "test"}, or None. They get a column of their own.
      last: of "main" by the weights of the last step, for a column of its own; None for none.
    """
    columns, paper = {**evaluation.matrices, **({LAST: last} if last else {})}, paper or {}
    matrices = columns.values()
    ious, recalls = [[of(matrix) for matrix in matrices] for of in (ConfusionMatrix.iou, ConfusionMatrix.recall)]
    per_class = [[name, *map(percent, values)] for name, *values in zip(classes, *ious)]
    means, accuracies = left_out(ious), left_out(recalls)
    cells = [
        ["IoU, %", *columns],
        *per_class,
        ["mIoU", *(percent(matrix.mean_iou()) for matrix in matrices)],
        *means,
        ["pixel accuracy", *(percent(matrix.pixel_accuracy()) for matrix in matrices)],
        ["mean accuracy", *(percent(matrix.mean_accuracy()) for matrix in matrices)],
        *accuracies,
    ]
    figures = [paper.get("classes", {}).get(name) for name in classes]
    figures += [paper.get("miou"), *[None] * len(means), paper.get("accuracy"), paper.get("mean_accuracy")]
    return aligned(beside(cells, of_paper(paper), [*figures, *[None] * len(accuracies)]), ruled=(1, 1 + len(classes)))


def told_interval(found: Interval | None, outputs: Collection[str] = (MAIN,)) -> str:
    """A line to print, which says that it is of "main" where there are other `outputs`."""
    line = str(found) if found else f"no 95 % interval of the mIoU: it takes {bootstrap.TAKES}"
    return line.replace("of the mIoU", f"of {MAIN}'s mIoU") if len(outputs) > 1 else line


def coarse_to_fine(outputs: Collection[str]) -> list[str]:
    """Outputs in the order of pictures: side outputs, which count down towards "main", then what comes of it."""
    last = (MAIN, BLEND, REFINED)
    return [*sorted({*outputs} - {*last}, reverse=True), *(name for name in last if name in outputs)]


def _score(predictor, dataset, damage, numbered):
    """(`Scored`, output name -> its ConfusionMatrix) of (number, sample); None and {} once others can't be read."""
    number, sample = numbered
    image, label, mask = dataset.read_unmasked(sample)
    label = voided(label, mask)
    if damage.reasons:
        return None, {}
    with about(sample.name):
        probabilities = predictor(image)
    predictions, counted = _predictions(probabilities, readout_of(dataset.spec)), {}
    for output, prediction in predictions.items():
        counted[output] = ConfusionMatrix(dataset.spec.num_classes)
        counted[output].update(label, prediction)
    return Scored(number, sample, image, label, probabilities, predictions, mask), counted


def _predictions(probabilities, readout):
    """Output name -> class ids [H, W]: "main" first, then the other outputs and, if there are any, the blend."""
    ordered = {MAIN: probabilities[MAIN], **probabilities}
    if len(ordered) > 1:
        # The sum has its maximum where the mean has it; a region is there where it is above half of their number.
        ordered[BLEND] = sum(probabilities.values())
    halves = {output: HALF * (len(probabilities) if output == BLEND else 1) for output in ordered}
    kind = np.uint8 if probabilities[MAIN].shape[-1] <= 256 else np.uint16
    return {output: readout.classes(values, halves[output]).astype(kind) for output, values in ordered.items()}


def _report(evaluation, classes, split, protocol, paper, more):
    interval = evaluation.interval()
    return {
        "split": split,
        "protocol": protocol,
        "outputs": {output: matrix.report(classes) for output, matrix in evaluation.matrices.items()},
        "interval": interval.report(classes) if interval else None,
        "images": [{"name": name, "miou": None if np.isnan(miou) else miou} for name, miou in evaluation.images],
        "paper": paper,
        **more,
    }


def _panels(dataset, sample, predictor, score, refine):
    """Image, label and all outputs in a row."""
    image, label, mask = dataset.read_unmasked(sample)
    probabilities = predictor(image)
    seen = _predictions(probabilities, readout_of(dataset.spec))
    if refine:
        seen[REFINED] = refine(image, probabilities[MAIN], mask).argmax(axis=-1)
    order, step = coarse_to_fine(seen), -(-max(label.shape) // PANEL)
    pictures = visualize.panels(
        image[::step, ::step],
        (shown[::step, ::step] for shown in (label, *(seen[name] for name in order))),
        dataset.spec,
    )
    if mask is not None:
        for picture in pictures:
            picture[mask[::step, ::step]] = visualize.void_colour(dataset.spec)
    titles = {MAIN: f"{MAIN if len(order) > 1 else 'prediction'}, mIoU {percent(score)} %"}
    return visualize.side_by_side(pictures, (sample.name, "label", *(titles.get(name, name) for name in order)))
