"""What the commands about a network share: the network itself, and pictures."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from tensorflow import keras

from data_pipelines.spec import DatasetSpec
from did_tf import wiring
from did_tf.common import visualize
from did_tf.common.errors import ConfigError
from did_tf.runs import checkpoints, folds
from did_tf.runs.run_folder import RunFolder
from did_tf.wiring import Config


def network(config: Config, run: RunFolder) -> tuple[keras.Model, DatasetSpec, str]:
    """(model, spec, what its weights are): a run's network, or one with random weights where it has none.

    Raises `ConfigError` and `DataError` as `wiring.load_network` does, the former for a cross-validation too.
    """
    if folds.is_in(run.folder):
        raise ConfigError(f"{run.folder} is a cross-validation, of several networks: pass one, {run.folder}/fold-1")
    if (run.best / "weights.npz").is_file() or checkpoints.saved_steps(run.checkpoints):
        model, spec, _ = wiring.load_network(config, run.folder)
        return model, spec, "trained weights"
    keras.utils.set_random_seed(config["seed"])
    spec = wiring.make_spec(config)
    return wiring.make_model(config, spec, changes=config["evaluate"]["options"]), spec, "random weights"


def save_picture(path: Path, figure: Figure) -> None:
    """Writes a figure as PNG and says where. Raises OSError where it can't be written."""
    visualize.save_figure(path, figure)
    print(f"picture: {path}")
