"""Data sets of a config."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import numpy as np

import data_pipelines
from data_pipelines.augment import Augmentation
from data_pipelines.own_data.description import read_description
from data_pipelines.own_data.parts import Part
from data_pipelines.records import Prepared
from data_pipelines.remote import is_remote
from data_pipelines.spec import DataError, Dataset, DatasetSpec
from did_tf.inference import export, inputs

Config = dict[str, Any]
"""Resolved settings, as in a run's config.json, a plain dict of the sections that experiments/base.py explains."""


def make_dataset(config: Config, training: bool = False) -> Dataset:
    """The data set of `config.dataset`. Raises `DataError`.

    For training (and the validation in it) that is the records of `dataset.prepared` where that is set; and what was
    made from the files, these records or statistics of the bands, must be of the files that are there. Whatever else
    there is to do takes the files, of which benchmarks need more than images and labels; but records at a remote place
    where no folder of files is named.
    """
    settings, progress = config["dataset"], config["train"]["progress"]
    if not (settings["prepared"] and (training or is_remote(settings["prepared"]) and not settings["folder"])):
        files = _load(settings)
        if training:
            files.check_statistics(progress)
        return files
    records = Prepared(settings["prepared"])
    records.check_source(settings["name"], settings["options"], make_spec(config))
    try:
        files = _load(settings)
    except DataError as error:
        print(f"note: the records can't be compared with their files: {error}", file=sys.stderr)
        return records
    files.check_statistics(progress)
    splits = f"{settings['train_split']}+{settings['val_split']}".split("+")
    records.check_files(files, filter(None, splits), progress)
    return records


def _load(settings):
    return data_pipelines.load(settings["name"], settings["folder"] or None, **settings["options"])


def make_spec(config: Config) -> DatasetSpec:
    """The `DatasetSpec` of `config.dataset`, whose files need not be there. Raises `DataError`."""
    settings = config["dataset"]
    return data_pipelines.spec_of(settings["name"], settings["folder"] or None, **settings["options"])


def folder_of(config: Config) -> str:
    """Folder of the data set, as `data_pipelines.load` takes it to be."""
    settings = config["dataset"]
    return settings["folder"] or f"data/{settings['name']}"


def make_parts(config: Config) -> tuple[Part, ...]:
    """The `Part`s of a user's own data, by its dataset.yaml (or `DataError`); none of other data sets."""
    return read_description(folder_of(config)).parts if config["dataset"]["name"] == "folders" else ()


def make_augmentation(config: Config) -> Augmentation:
    """The `Augmentation` of `config.data`. Raises `DataError` for a value out of its range."""
    names = [field.name for field in dataclasses.fields(Augmentation)]
    return Augmentation(**{name: config["data"][name] for name in names})


def example_images(config: Config, spec: DatasetSpec) -> list[np.ndarray]:
    """Two images to compare on, of the validation or else the training split; noise where there are no data."""
    splits = config["dataset"]["val_split"], config["dataset"]["train_split"].split("+")[0]
    return inputs.first_images(lambda: make_dataset(config), splits, 2) or export.random_images(spec)
