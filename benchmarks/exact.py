"""Single updates against the same ones in float64, from states that a training with `PlainStep` went through."""

import numpy as np

from benchmarks.equivalence import values_of
from benchmarks.peers import reference
from benchmarks.plain import PlainStep
from did_tf.common import compat
from did_tf.runs import checkpoints

KEPT = 0.9
"""Of Adam's mean of the gradients, in each update."""


def state_of(step):
    """{name: variable} of a `TrainStep` or `PlainStep` with Adam, its means of the gradients by themselves too."""
    means = map(compat.tf_variable, step.optimizer._momentums)
    return {**step.state(), **{f"mean/{number}": mean for number, mean in enumerate(means)}}


def write(trainer, config, parts, starts, folder):
    """Writes updates in float64 from `starts`, {their number: {name: array}}, of batches in so many parts."""
    weights = values_of({compat.path(v): compat.tf_variable(v) for v in trainer.model.weights})
    model = reference.wide(config, trainer.loader.dataset.spec, weights)
    step = PlainStep(trainer, config["optimizer"], parts, model)
    folder.mkdir(parents=True, exist_ok=True)
    for number, start in starts.items():
        loss, _, end = _updated(trainer, step, number, start)
        both = {f"{which}{name}": value for which, state in enumerate((start, end)) for name, value in state.items()}
        np.savez(folder / f"{number:06}.npz", loss=loss, **both)


def apart(trainer, step, folder, move):
    """Of each update in `folder` how far a step's [loss, gradient, change of the weights] are from float64's.

    Of the loss as a part of it, of the others the norm of the difference as a part of theirs. `move` is called with the
    network before each.
    """
    return [_apart(trainer, step, path, move) for path in sorted(folder.glob("*.npz"))]


def _apart(trainer, step, path, move):
    saved = dict(np.load(path))
    start, exact = ({key[1:]: value for key, value in saved.items() if key[0] == which} for which in "01")
    loss, before, after = _updated(trainer, step, int(path.stem), start, move)
    gradients = [_joined(x, "mean/") - KEPT * _joined(start, "mean/") for x in (after, exact)]
    pairs = (after, before), (exact, start)
    changes = [_joined(x, checkpoints.MODEL) - _joined(y, checkpoints.MODEL) for x, y in pairs]
    norm = np.linalg.norm
    return [abs(loss / saved["loss"] - 1), *(norm(mine - right) / norm(right) for mine, right in (gradients, changes))]


def _updated(trainer, step, number, start, move=lambda model: None):
    """(loss, state before, state after) of the update of that number from a state."""
    state = state_of(step)
    for name, value in start.items():
        state[name].assign(value)
    move(step.model)
    before = values_of(state)
    return float(step(next(iter(trainer._batches(number))), number)[0]), before, values_of(state)


def _joined(state, prefix):
    chosen = [name for name in sorted(state) if name.startswith(prefix) and "moving" not in name]
    return np.concatenate([state[name].ravel().astype(np.float64) for name in chosen])
