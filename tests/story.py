"""The way of an experiment from its data to a score, with a tiny network and two steps: for tests of data sets."""

from typing import NamedTuple

from small import SMALL

from did_tf import wiring
from did_tf.programs import cli
from did_tf.runs.run_folder import RunFolder
from did_tf.scoring import evaluation

TINY = {**SMALL, "did": {"growth": 4, "units": (1, 1, 1, 1), "decoder": "plain", "use_bias": False}}
SHORT = {
    "data.crop": (33, 33),
    "evaluate.scales": (1.0,),
    "schedule.warmup": 0,
    "train.steps": 2,
    "train.batch_size": 2,
    "train.accumulate": 1,
    "train.parts": 1,
    "train.encoder": "",
    "train.init": "",
    "train.log_every": 1,
    "train.validate_every": 2,
    "train.progress": False,
}


class Story(NamedTuple):
    """What came of it: the settings, the data set, how images are labelled, the scores, and the run folder."""

    config: dict
    dataset: object
    predictor: object
    evaluation: object
    run: RunFolder


def config(experiment, data, overrides=None):
    """Resolved settings of `experiment`, made small, with data in the folder `data`; overrides: {"a.b": value}."""
    resolved = cli.resolve(experiment, RunFolder("/nonexistent"), [])
    options = {f"model.{key}": value for key, value in TINY[resolved["model"]["name"]].items()}
    for key, value in {**options, **SHORT, "dataset.folder": str(data), **(overrides or {})}.items():
        *parents, last = key.split(".")
        node = resolved
        for parent in parents:
            node = node[parent]
        node[last] = value
    return resolved


def story(experiment, data, run, split="val", overrides=None, watch=None):
    """Trains, validates and evaluates on `split` under the experiment's last protocol; see `config`."""
    settings, run = config(experiment, data, overrides), RunFolder(run, experiment)
    wiring.make_trainer(settings, run).fit()
    model, _, _ = wiring.load_network(settings, run.folder)
    dataset = wiring.make_dataset(settings)
    predictor = wiring.make_predictor(settings, model, settings["evaluate"]["protocols"][-1])
    result = evaluation.evaluate(predictor, dataset, split, progress=False, watch=watch)
    return Story(settings, dataset, predictor, result, run)
