"""Writes an experiment's training and validation data as TFRecords: `did_tf prepare --experiment=did_inria`.

The data set, its options and its splits are the experiment's. `did_tf prepare --dataset=NAME --help` says how to do
without one.
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

from absl import flags

from data_pipelines.programs.prepare import prepare_splits
from did_tf import wiring
from did_tf.runs.run_folder import RunFolder

flags.DEFINE_string("output", None, "Folder of the records, or a remote place. Default: data/DATASET_prepared.")
flags.DEFINE_integer("shard_megabytes", 256, "Size of a shard.", lower_bound=1)
flags.DEFINE_bool("compress", False, "zlib, lossless: smaller, and slower to read.")
FLAGS = flags.FLAGS
REMOTE = ("run", "output")
"""See `cli.REMOTE`."""


def main(config: wiring.Config, run: RunFolder) -> None:
    """Writes what is not there yet of the splits that the experiment trains and validates on.

    Raises:
      DataError: the data can't be read, or the folder holds records of other settings.
      OSError: a record can't be written.
    """
    settings = config["dataset"]
    output = FLAGS.output or f"data/{settings['name']}_prepared"
    dataset, source = wiring.make_dataset(config), {key: settings[key] for key in ("name", "options")}
    splits = [*settings["train_split"].split("+"), *filter(None, [settings["val_split"]])]
    prepare_splits(dataset, dict.fromkeys(splits), output, source, FLAGS.shard_megabytes, FLAGS.compress)


def launch() -> None:
    """What the command line starts."""
    cli.run(main)
