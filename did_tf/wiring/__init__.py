"""From a resolved config (a plain dict) to the parts of a run: the one place that knows its sections by name."""

from did_tf.wiring.data import Config, example_images, folder_of, make_augmentation, make_dataset, make_parts, make_spec
from did_tf.wiring.exporting import make_gate, make_network, make_score, scored_split
from did_tf.wiring.folds import make_folds, of_fold
from did_tf.wiring.networks import (
    averaged_by,
    load_network,
    make_classifier,
    make_engine,
    make_fitting,
    make_labelling,
    make_model,
    make_predictor,
    make_validation,
    temperature_of,
)
from did_tf.wiring.places import open_run, runs_sent, set_data, weights_of
from did_tf.wiring.resolved import resolved
from did_tf.wiring.training import (
    make_pixel_loss,
    make_schedule,
    make_supervision,
    make_train_step,
    make_trainer,
    memory_kept,
    memory_needed,
)

__all__ = [
    "Config",
    "make_dataset",
    "folder_of",
    "make_spec",
    "make_parts",
    "make_augmentation",
    "example_images",
    "make_model",
    "load_network",
    "make_engine",
    "make_predictor",
    "make_fitting",
    "make_labelling",
    "make_classifier",
    "make_validation",
    "temperature_of",
    "averaged_by",
    "make_folds",
    "of_fold",
    "make_network",
    "make_gate",
    "make_score",
    "scored_split",
    "open_run",
    "runs_sent",
    "set_data",
    "weights_of",
    "resolved",
    "make_trainer",
    "make_supervision",
    "make_train_step",
    "make_schedule",
    "make_pixel_loss",
    "memory_kept",
    "memory_needed",
]
