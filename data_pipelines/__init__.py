"""Registry of data sets: `load(name, ...)`. Everything about data lives here; nothing of did_tf is imported."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from data_pipelines.datasets.camvid import CamVid
from data_pipelines.datasets.cityscapes import Cityscapes
from data_pipelines.datasets.coco_for_voc import CocoForVOC
from data_pipelines.datasets.imagenet import ImageNet
from data_pipelines.datasets.inria_aerial import InriaAerial
from data_pipelines.datasets.kitti_road import KittiRoad
from data_pipelines.datasets.pascal_voc import PascalVOC
from data_pipelines.datasets.synthetic import Synthetic
from data_pipelines.own_data.folders import Folders
from data_pipelines.remote import is_remote
from data_pipelines.spec import IGNORE, DataError, Dataset, DatasetSpec, Sample

__all__ = ["IGNORE", "DataError", "Dataset", "DatasetSpec", "Sample", "load", "names", "spec_of"]

_DATASETS: dict[str, type[Dataset]] = {
    "camvid": CamVid,
    "cityscapes": Cityscapes,
    "coco_for_voc": CocoForVOC,
    "folders": Folders,
    "imagenet": ImageNet,
    "inria_aerial": InriaAerial,
    "kitti_road": KittiRoad,
    "pascal_voc": PascalVOC,
    "synthetic": Synthetic,
}


def names() -> list[str]:
    """Names that `load` takes, sorted."""
    return sorted(_DATASETS)


def load(name: str, folder: str | Path | None = None, /, **options: Any) -> Dataset:
    """Data set `name`.

    Args:
      name: one of `names()`.
      folder: where its files are; default `data/NAME`. Data sets that need no files ignore it.
      **options: of the data set's class.

    Returns:
      The data set; its images and labels are not read yet.

    Raises:
      DataError: unknown name or option, or no data in the folder (the message says how to get them).
    """
    arguments = _arguments(name, folder, options)
    return _DATASETS[name](**arguments)


def spec_of(name: str, folder: str | Path | None = None, /, **options: Any) -> DatasetSpec:
    """`DatasetSpec` of data set `name`, whose files need not be there unless the spec is made from them.

    Arguments and errors are those of `load`.
    """
    arguments = _arguments(name, folder, options)
    return _DATASETS[name].describe(**arguments)


def _arguments(name, folder, options):
    """What the class of data set `name` is called with. Raises `DataError` where it or an option is unknown."""
    if name not in _DATASETS:
        raise DataError(f"unknown dataset {name!r}; known: {', '.join(names())}")
    if is_remote(folder):
        raise DataError(
            f"the files of {name} can't be read at {folder}: prepare records on a machine that has the files, "
            f"did_tf prepare --dataset={name} --output=gs://BUCKET/FOLDER, and train with --data=gs://BUCKET/FOLDER"
        )
    known = inspect.signature(_DATASETS[name]).parameters
    for key, value in options.items():
        if key not in known or key == "folder":
            others = ", ".join(option for option in known if option != "folder") or "none"
            raise DataError(f"dataset {name!r} has no option {key!r}; known: {others}")
        kind = type(known[key].default)
        if kind in (bool, int, str) and type(value) is not kind:
            raise DataError(f"option {key!r} of dataset {name!r} must be of type {kind.__name__}, got {value!r}")
    return {"folder": folder or f"data/{name}", **options} if "folder" in known else options
