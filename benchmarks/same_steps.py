"""What hundreds of updates come to, however they are computed: `python -m benchmarks.same_steps --data=data/camvid`.

A small DID is trained on CamVid in several ways, from the same weights on the same batches, each in a process of its
own: "plain", with Keras' own layers, optimizer and loss, and as did_tf does it. Prints:

  one step: how far the loss, the gradient and the change of the weights of an update are from plain's in float64, as
    parts of these: the least, the median and the most, of updates from where plain is after 0, 10, 20, ... of them
  to step N: how far the losses of the N first steps are from plain's at most, where each training goes its own way
  and the mean loss of its last 50, and the scores at its end on each fifth image of val

Trainings drift apart by rounding alone: what is "moved" starts from weights moved by a ten-millionth of themselves.
What normalises halves of the batch, each by its own statistics, is compared with plain that does. A way that has ended
is not made again, unless its folder is gone.
"""

from did_tf.programs import quiet  # noqa: F401  # isort: skip (first)

import argparse
import contextlib
import functools
import json
import os
import re
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import tensorflow as tf

from benchmarks import exact, report, small_budget, trainings
from benchmarks.arguments import parser_of
from benchmarks.equivalence import values_of
from benchmarks.ours import layers
from benchmarks.plain import PlainStep
from did_tf import wiring
from did_tf.common import compat, processor
from did_tf.programs import cli
from did_tf.runs import checkpoints
from did_tf.runs.run_folder import RunFolder
from did_tf.scoring import evaluation

EXPERIMENT, MOVED, LAST, EVERY, SPANS = "camvid_budget:did", 1e-7, 50, 10, (1, 10, 100)
SETTINGS = {
    "model.growth": 8,
    "model.units": "(2,2,2,2)",
    "data.crop": "(97,97)",
    "optimizer.options.epsilon": 2.5e-4,
    "train.precision": "float32",
    "train.devices": "cpu",
    "train.progress": False,
}
ALONE = ("loss", "gradient", "change")
HEAD = ["", *(f"one step: {what}" for what in ALONE), *(f"to step {n}" for n in SPANS), f"loss of the last {LAST}"]
HEAD += ["accuracy, %", "mIoU, %"]


class Way(NamedTuple):
    """A way to make the same updates.

    Attributes:
      beside: of `PLAIN`, what it is compared with.
      parts: of the batch that plain takes; 0 for did_tf's own `TrainStep`.
      moved: seed of what moves the weights; 0 for none.
      avx2: whether it is as on a processor with AVX2 alone, where the gradients of filters come by products.
    """

    beside: str = "plain"
    parts: int = 0
    settings: dict[str, Any] = {}
    moved: int = 0
    avx2: bool = False
    environment: dict[str, str] = {}


PLAIN = ("plain", "plain, in halves")
WHOLE, HALVES = PLAIN
WAYS = {
    WHOLE: Way(WHOLE, 1),
    **{f"plain, moved {number}": Way(WHOLE, 1, moved=number) for number in (1, 2, 3, 4)},
    "plain, without oneDNN": Way(WHOLE, 1, environment={"TF_ENABLE_ONEDNN_OPTS": "0"}),
    "did_tf": Way(),
    **{f"did_tf, moved {number}": Way(moved=number) for number in (1, 2)},
    "did_tf, filters by products": Way(avx2=True),
    "did_tf, train.recompute": Way(settings={"train.recompute": True}),
    "did_tf, two devices": Way(settings={"train.devices": "cpu*2", "train.sync_batch_norm": True}),
    "did_tf, float32_fast": Way(settings={"train.precision": "float32_fast"}),
    "did_tf, bfloat16": Way(settings={"train.precision": "bfloat16"}),
    HALVES: Way(HALVES, 2),
    "plain, in halves, moved 1": Way(HALVES, 2, moved=1),
    "did_tf, train.accumulate=2": Way(HALVES, settings={"train.accumulate": 2}),
    "did_tf, train.parts=2": Way(HALVES, settings={"train.parts": 2}),
}


def measured(way, overrides, steps, states):
    """What a way, a name of `WAYS`, comes to in so many steps with {key: value} that differ.

    Args:
      states: folder of what single updates start from and, in float64, come to; plain writes it.

    Returns:
      {"losses": of each step, "apart": of each of `states` how far [loss, gradient, change of the weights] are from
      those in float64, of which each is a part, "given": digests of the first weights and of all batches, "accuracy",
      "miou": in [0, 1]}.
    """
    told = WAYS[way]
    trainer, step, config = _started(told, {**overrides, "train.steps": steps, "schedule.warmup": min(20, steps // 2)})
    given, starts = [_digest(checkpoints.model_state(trainer.model).values()), 0], {}
    _move(trainer.model, told.moved)
    losses, batches = [], iter(trainer._batches(0))
    for number in range(steps):
        batch = next(batches)
        shares = [x for value in batch.values() for x in trainer.strategy.experimental_local_results(value)]
        given[1] = _digest(shares, given[1])
        if way in PLAIN and number % EVERY == 0:
            starts[number] = values_of(exact.state_of(step))
        losses.append(float(step(batch, number)[0]))
    scores = _scores(trainer, config)
    if starts:
        exact.write(trainer, config, told.parts, starts, states)
    apart = exact.apart(trainer, step, states, functools.partial(_move, seed=told.moved))
    return {"losses": losses, "apart": apart, "given": given, **scores}


def _started(way, overrides):
    """(trainer, step, resolved settings)."""
    settings = {**SETTINGS, **way.settings, **overrides}
    config = cli.resolve(EXPERIMENT, RunFolder("nowhere"), [f"--config.{key}={v}" for key, v in settings.items()])
    with tempfile.TemporaryDirectory() as folder, layers(*("kernels", "keras") if way.parts else ()):
        trainer = wiring.make_trainer(config, RunFolder(folder))
    return trainer, PlainStep(trainer, config["optimizer"], way.parts) if way.parts else trainer.train_step, config


def _digest(values, before=0):
    for value in values:
        before = zlib.crc32(tf.convert_to_tensor(value).numpy().tobytes(), before)
    return before


def _move(model, seed):
    """Moves the weights by a share of themselves, either way; none with seed 0."""
    draw = np.random.default_rng(seed)
    for weight in map(compat.tf_variable, model.trainable_variables if seed else []):
        weight.assign(weight.numpy() * (1 + MOVED * draw.choice([-1.0, 1.0], weight.shape)))


def _scores(trainer, config):
    dataset, split = trainer.loader.dataset, config["dataset"]["val_split"] or config["dataset"]["train_split"]
    with trainer.train_step.averaged_weights():
        predictor = wiring.make_predictor(config, trainer.model, outputs=["main"])
        found = evaluation.evaluate(predictor, dataset, split, False, part=slice(0, None, 5)).matrices["main"]
    return {"accuracy": float(found.pixel_accuracy()), "miou": float(found.mean_iou())}


def line(way, found):
    """Cells of a way under `HEAD`, of {way: what `measured` gives}. Raises ValueError where not the same was given."""
    mine, plain = found[way], found[WAYS[way].beside]
    if mine["given"] != plain["given"]:
        raise ValueError(f"{way} had other weights or batches than {WAYS[way].beside}")
    drift = np.abs(np.array(mine["losses"]) / plain["losses"] - 1)
    alone = [", ".join(f"{of(values):.0e}" for of in (np.min, np.median, np.max)) for values in zip(*mine["apart"])]
    shown = [f"{drift[:span].max():.0e}" if mine is not plain else "" for span in SPANS]
    scores = [f"{100 * mine[score]:.1f}" for score in ("accuracy", "miou")]
    return [way, *alone, *shown, f"{np.mean(mine['losses'][-LAST:]):.3f}", *scores]


def _made(way, data, steps, run):
    """Function of a log, for `trainings.has_result`: what `measured` gives, by a process of its own."""

    def make(log):
        told = json.dumps([way, {"dataset.folder": str(data)}, steps, str(run)])
        command = [sys.executable, "-m", "benchmarks.same_steps", "--one", told]
        environment = {**os.environ, **WAYS[way].environment}
        subprocess.run(command, check=True, stdout=log, stderr=log, env=environment)
        return json.loads((run / "found.json").read_text())

    return make


def _one(way, overrides, steps, run):
    with mock.patch.object(processor, "is_avx2_alone", lambda: True) if WAYS[way].avx2 else contextlib.nullcontext():
        found = measured(way, overrides, steps, _folder(Path(run).parent, WAYS[way].beside) / "states")
    Path(run, "found.json").write_text(json.dumps(found))


def _folder(folder, way):
    return folder / re.sub(r"\W+", "_", way)


def main():
    parser = parser_of(__name__)
    parser.add_argument("ways", nargs="*", metavar="WAY", help=f"of {'; '.join(WAYS)} (default: all)")
    parser.add_argument("--data", help="folder of CamVid (default: that of DID_TF_CAMVID)")
    parser.add_argument("--steps", type=int, default=300, help="of each way (default: 300)")
    parser.add_argument("--runs", type=Path, default=Path("runs/same_steps"), help="folder (default: runs/same_steps)")
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        return _one(*given.one)
    if unknown := {*given.ways} - {*WAYS}:
        parser.error(f"no way {', '.join(unknown)}; there are: {'; '.join(WAYS)}")
    data, ways, folder = small_budget.data_of(parser, given), given.ways or [*WAYS], given.runs / str(given.steps)
    needed = [way for way in WAYS if way in {*ways, *(WAYS[one].beside for one in ways)}]
    runs = {way: _folder(folder, way) for way in needed}
    missing = [
        way for way in needed if not trainings.has_result(way, runs[way], _made(way, data, given.steps, runs[way]))
    ]
    if missing:
        raise SystemExit(1)
    found = {way: json.loads((run / trainings.RESULT).read_text()) for way, run in runs.items()}
    print(*report.table(HEAD, [report.markdown(line(way, found)) for way in needed]), sep="\n")


if __name__ == "__main__":
    main()
