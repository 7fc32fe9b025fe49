"""The folds of a cross-validation: how its images are dealt, and the settings of each."""

from __future__ import annotations

from data_pipelines.own_data.folds import TRAIN, Folds, divide_into_folds
from data_pipelines.spec import AbsentSplit, DataError
from did_tf.common.errors import ConfigError
from did_tf.runs.folds import CrossValidation
from did_tf.wiring.data import Config, folder_of

OWN = "folders"
"""The data set whose dataset.yaml says how its images are divided."""


def make_folds(config: Config, count: int) -> Folds:
    """The folds that the images to learn from are dealt to: those of train_split and val_split, never of test.

    Args:
      config: resolved settings.
      count: of the folds.

    Raises:
      ConfigError: the data are none of the user's own, or a setting is of no use with folds.
      DataError: as `divide_into_folds`.
    """
    dataset, train = config["dataset"], config["train"]
    if count < 2:
        raise ConfigError(f"--folds={count}: there must be two or more, of which each is held out once")
    if dataset["name"] != OWN:
        raise ConfigError(
            f"cross-validation is for data of your own, dataset.name={OWN}, and this is {dataset['name']}, whose "
            "splits are published"
        )
    if dataset["prepared"]:
        raise ConfigError(f"dataset.prepared={dataset['prepared']}: records have splits of their own; leave it out")
    if train["extend"]:
        raise ConfigError(f"train.extend={train['extend']} is for one run: for other train.steps use another --run=dir")
    if train["patience"]:
        raise ConfigError(
            f"train.patience={train['patience']} would choose by the images that are held out, and flatter the score: "
            "leave it out; train.hours is of each fold"
        )
    learnt = list(dict.fromkeys(filter(None, [*dataset["train_split"].split("+"), dataset["val_split"]])))
    try:
        return divide_into_folds(folder_of(config), learnt, count, config["seed"])
    except AbsentSplit as error:
        wanted = " and ".join(f"dataset.{key}={dataset[key]}" for key in ("train_split", "val_split"))
        raise DataError(
            f"{error}: the images of {wanted} are dealt to folds; without a val split: --config.dataset.val_split="
        ) from None


def of_fold(config: Config, found: CrossValidation, number: int) -> Config:
    """The settings of a fold, which is not validated: weights that are chosen by what is held out flatter its score."""
    data = {"folder": str(found.data(number)), "train_split": TRAIN, "val_split": ""}
    return {**config, "dataset": {**config["dataset"], **data}}
