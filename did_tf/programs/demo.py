"""The whole story on drawn street scenes: train, evaluate, predict, export, serve. What `make demo` runs.

Each step is the command that a user would give; it is shown before it runs. Run again, it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import data_pipelines
from data_pipelines.remote import is_remote
from did_tf.common import visualize

EXPERIMENT = "did_synthetic"

# A program that serves a picture with TensorFlow and OpenCV alone: SAVED_MODEL IMAGE OUTPUT.
SERVE = """
import json, os, sys
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import cv2, numpy as np, tensorflow as tf
model, image, output = sys.argv[1:]
pixels = cv2.imread(image)[None, ..., ::-1]
classes = tf.saved_model.load(model).signatures["serving_default"](image=tf.constant(pixels))["classes"].numpy()[0]
data = json.load(open(os.path.join(model, "assets", "dataset.json")))
cv2.imwrite(output, np.array(data["palette"], np.uint8)[classes][..., ::-1])
shares = np.bincount(classes.ravel(), minlength=len(data["classes"])) / classes.size
print("served", image, "->", output)
print("  it sees", ", ".join(f"{name} {share:.0%}" for name, share in zip(data["classes"], shares) if share > 0.01))
"""


def main() -> None:
    """Runs the steps one after the other. Raises SystemExit, with the status of a step that fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", default="runs/demo", help="run folder (default: %(default)s)")
    given = parser.parse_args().run
    if is_remote(given):
        parser.exit(2, f"error: --run={given}: the run of a demo is a folder of this machine\n")
    run = Path(given)
    common = [f"--experiment={EXPERIMENT}", f"--run={run}"]
    _program("train", *common)
    _program("evaluate", *common, "--baselines")
    _program("predict", *common)
    _program("export", *common)
    print("\n$ a program with TensorFlow alone serves a scene that the network has not seen", flush=True)
    _serve(run)
    print(_summary(run))


def _serve(run):
    command = [sys.executable, "-c", SERVE, run / "saved_model", _draw_scene(run), run / "served.png"]
    done = subprocess.run([str(part) for part in command], stderr=subprocess.PIPE, text=True)
    if done.returncode:
        # Otherwise it holds TensorFlow's greetings alone.
        raise SystemExit(done.stderr)


def _program(command, *arguments):
    print(f"\n$ did_tf {command} {' '.join(arguments)}", flush=True)
    status = subprocess.run([sys.executable, "-m", "did_tf", command, *arguments]).returncode
    if status:  # the program has said why
        raise SystemExit(status if status > 0 else 128 - status)


def _draw_scene(run):
    options = json.loads((run / "config.json").read_text())["dataset"]["options"]
    dataset = data_pipelines.load("synthetic", **options)
    image, _ = dataset.read(dataset.samples("test")[0])
    visualize.save_png(run / "scene.png", image)
    return run / "scene.png"


def _summary(run):
    report = json.loads((run / "evaluation" / "val.json").read_text())
    lines = [f"mIoU on synthetic val: {100 * report['outputs']['main']['miou']:.1f} %"]
    lines += [f"  {name} gives {100 * miou:.1f} %" for name, miou in report["baselines"].items()]
    lines += [
        f"pictures:    {run / 'predictions'} (predictions), {run / 'evaluation'} (best, worst, confusion matrix)",
        f"curves:      tensorboard --logdir={run}",
        f"SavedModel:  {run / 'saved_model'}, which has just made {run / 'served.png'}",
    ]
    return "\n" + "\n".join(lines)


def launch() -> None:
    """What the command line starts."""
    main()
