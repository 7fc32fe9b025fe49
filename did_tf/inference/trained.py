"""Weights that were trained earlier, for the network that they were trained in or one that is meant to differ."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_pipelines.spec import DatasetSpec
from did_tf import models
from did_tf.runs import folds, identity, manifest, weights
from did_tf.runs.weights import Weights


def find(source: str | Path, network: Mapping[str, Any], changes: Mapping[str, Any], spec: DatasetSpec) -> Weights:
    """The weights file of `source`, which is checked to be of the network and the data that it is to be used with.

    Says so in a line where the file says nothing of them.

    Args:
      source: run folder or weights file, see `weights.file_of`.
      network: "name" of the model, and options.
      changes: options in place of those, which are meant to differ from those of training.
      spec: of the data set.

    Raises:
      ConfigError: there are no weights; or they were trained in a network with other options, those of `changes` and
        `models.TRAINING_OPTIONS` excepted, or for other classes or pixels than those of `spec`.
    """
    file = weights.file_of(source)
    found = weights.identity_of(file)
    if found is None:
        print(f"{file} does not say what network it is of: that it is the one of the settings is not checked")
        return Weights(file, None)
    now, free = models.described({**network, **changes}), {*changes, *models.TRAINING_OPTIONS}
    identity.check_network(file, models.described(found["network"]), now, free, "evaluate.options")
    own = folds.data_of(file)
    more = f"; it is of a fold, which has data of its own: leave --data out, or pass --data={own}" if own else ""
    identity.check_data(file, found["data"], manifest.facts(spec), spec.name, more)
    return Weights(file, found)
