"""Inference of the paper's DID through every engine: `python -m benchmarks.inference [calls evaluate predict]`.

`calls`: milliseconds per image of the network alone, 321x321 and 360x480. `evaluate` and `predict`: of the commands
over 30 frames of CamVid's val, start of the program and pictures included. Each figure is of a process of its own; the
ways take turns, and the median of their rounds is told. Weights are new, which costs the same. `--before=DIR` also
measures the commands of another checkout. The last line is all of it as JSON.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.arguments import parser_of
from benchmarks.turns import spread
from data_pipelines.memory import cores

CLASSES, FRAMES, CALLS = 11, 30, 5
COMMANDS = ("evaluate", "predict")
SIZES = ((321, 321), (360, 480))
CORES = cores()
WAYS = [("model", 1), ("tensorflow", 1), ("tensorflow", CORES), ("openvino", 1), ("openvino", CORES)]
"""(engine, streams); "model" is a call of the Keras model, as training validates."""
_SELF = [sys.executable, "-m", "benchmarks.inference"]


def main(arguments=None):
    parser = parser_of(__name__)
    parser.add_argument("parts", nargs="*", default=["calls", *COMMANDS], help="calls evaluate predict (default: all)")
    parser.add_argument("--data", default="data/camvid", help="CamVid (default: data/camvid)")
    parser.add_argument("--before", help="another checkout, whose commands are measured too")
    parser.add_argument("--precision", default="float32", help="as of `did_tf evaluate` (default: float32)")
    parser.add_argument("--rounds", type=int, default=3, help="of turns (default: 3)")
    given = parser.parse_args(arguments)
    found = {}
    if "calls" in given.parts:
        found["calls"] = calls(given.precision, given.rounds)
    if chosen := [command for command in COMMANDS if command in given.parts]:
        found.update(commands(chosen, given.precision, given.rounds, Path(given.data).resolve(), given.before))
    print(json.dumps(found))


def calls(precision, rounds):
    """{size: {way: milliseconds per image}}."""
    ways = {f"{name} x{streams}": (name, streams) for name, streams in WAYS if name != "openvino" or _has_openvino()}
    found = {}
    for height, width in SIZES:
        times = _in_turns(ways, rounds, _child, height, width, precision)
        found[f"{height}x{width}"] = _tell(f"DID {height}x{width}, {precision}, ms per image", times)
    return found


def commands(chosen, precision, rounds, data, before=None):
    """{command: {way: milliseconds per image}}."""
    flags = {"tensorflow": ["--engine=tensorflow"], **({"openvino": ["--engine=openvino"]} if _has_openvino() else {})}
    ways = {name: (".", [*more, f"--precision={precision}"]) for name, more in flags.items()}
    ways = {**({"before": (before, [])} if before else {}), **ways}
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        run, frames = Path(folder, "run"), Path(folder, "frames")
        subprocess.run([*_SELF, "run", str(run)], check=True)
        frames.mkdir()
        for file in sorted((data / "val").glob("*.png"))[:FRAMES]:
            (frames / file.name).symlink_to(file)
        arguments = {
            "evaluate": [f"--data={data}", f"--limit={FRAMES}", "--protocol=whole"],
            "predict": [f"--data={data}", f"--input={frames}", f"--output={folder}/labelled"],
        }
        for command in chosen:
            given = [command, "--experiment=did_camvid", f"--run={run}", *arguments[command]]
            times = _in_turns(ways, rounds, _timed, Path(folder, "labelled"), given)
            found[command] = _tell(f"did_tf {command}, {FRAMES} frames of 360x480, {precision}, ms per frame", times)
    return found


def _in_turns(ways, rounds, measure, *more):
    times = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            times[name].append(measure(*way, *more))
    return times


def _tell(title, times):
    """Prints the medians with half the distance of the quartiles, and the ratio to the first; returns the medians."""
    print(f"\n{title}")
    medians = {name: float(np.median(values)) for name, values in times.items()}
    for name, values in times.items():
        ratio = medians[name] / next(iter(medians.values()))
        print(f"  {name:16} {medians[name]:7.0f} +- {spread(values):3.0f}  ratio {ratio:.2f}", flush=True)
    return medians


def _timed(checkout, flags, labelled, arguments):
    subprocess.run(["rm", "-rf", str(labelled)], check=True)
    began = time.perf_counter()
    command = [sys.executable, "-m", "did_tf", *arguments, *flags]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return 1000 * (time.perf_counter() - began) / FRAMES


def _has_openvino():
    import importlib.util

    return importlib.util.find_spec("openvino") is not None


def _child(*arguments):
    done = subprocess.run([*_SELF, "child", *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.split()[-1])


def _write_run(folder):
    """A run of did_camvid with new weights and no settings, so that other versions can read it."""
    from did_tf import wiring
    from did_tf.programs import cli
    from did_tf.runs import checkpoints
    from did_tf.runs.run_folder import RunFolder

    run = RunFolder(folder)
    config = cli.resolve("did_camvid", run, [])
    model = wiring.make_model(config, wiring.make_spec(config))
    checkpoints.write(run.best / "weights.npz", checkpoints.model_state(model))


def _calls(name, streams, height, width, precision):
    """Median milliseconds per image of rounds in which every stream has one image."""
    from did_tf.programs import quiet  # noqa: F401  # isort: skip (first)

    from did_tf import models
    from did_tf.common.streams import side_by_side
    from did_tf.inference import engines
    from did_tf.inference.predictor import Predictor
    from did_tf.training.distribution import set_precision

    engine = engines.choose("tensorflow" if name == "model" else name, precision, streams)
    set_precision(engine.precision_of_model)
    model = models.build("did", CLASSES)
    predictor = Predictor(model, forward=None if name == "model" else engine.forward(model, list(model.output)))
    image, times = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8), []
    for number in range(CALLS + 2):
        began = time.perf_counter()
        for _, get in side_by_side(predictor, [image] * streams, streams):
            get()
        times += [(time.perf_counter() - began) / streams] if number > 1 else []
    print(1000 * np.median(times))


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        _calls(sys.argv[2], *map(int, sys.argv[3:6]), sys.argv[6])
    elif sys.argv[1:2] == ["run"]:
        _write_run(sys.argv[2])
    else:
        main()
