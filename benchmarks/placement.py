"""What placement changes on CamVid: `python -m benchmarks.placement data/camvid runs/placement [SYSTEM ...]`.

First, how many labels of val at a score map's places are of another class where aligned corners put the features. Then
small networks of `camvid_budget`, each trained in every placement that is compared, from the same weights on the same
crops, whose size is no multiple of any stride plus one; FCRN's, which gains or loses by chance, from several seeds.
Runs that are in the folder already are not made again.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.arguments import parser_of

STEPS, CROP = 150, 100
SEEDS = {"fcrn50": 4}  # of 1 for the others
SYSTEMS = {  # placements, the paper's first, and what makes the network small
    "fcrn50": (("corners", "exact"), {"depth": 14, "width": 32, "dilation": 2}),
    "did": (("corners", "exact"), {"growth": 12, "units": (2, 2, 2, 2)}),
    "ladder121": (("areas", "exact"), {"growth": 12, "units": (2, 2, 2, 2), "width": 64}),
    "sunet64": (("areas", "exact"), {"filters": 16, "depth": 1, "widths": (64, 96, 128, 160)}),
}


def main():
    """Prints the share of labels, and a line for each placement."""
    parser = parser_of(__name__)
    parser.add_argument("data", help="folder of CamVid")
    parser.add_argument("runs", help="folder of the runs")
    parser.add_argument("systems", nargs="*", metavar="SYSTEM", help=f"of {', '.join(SYSTEMS)} (default: all)")
    data, runs, systems = vars(parser.parse_args()).values()
    if not systems:
        print(f"labels of val that are others: {100 * moved_labels(data):.1f} % at FCRN's stride of 8", flush=True)
    for system in systems or SYSTEMS:
        for placement in SYSTEMS[system][0]:
            seeds = range(SEEDS.get(system, 1))
            folders = [Path(runs, f"{system}_{placement}" + (f"_{seed}" if seed else "")) for seed in seeds]
            scores = [trained(system, placement, data, run, seed) for seed, run in enumerate(folders)]
            each = ", ".join(f"{100 * score:.1f}" for score in scores)
            print(f"{system:10} {placement:8} {100 * np.mean(scores):.1f} % mIoU ({each})", flush=True)


def moved_labels(data, stride=8):
    """Share of the labels at every `stride`-th pixel that have another class on a grid with aligned corners."""
    import data_pipelines
    from data_pipelines.spec import IGNORE
    from did_tf.models.placement import nearest_pixels

    dataset, moved, valid = data_pipelines.load("camvid", data), 0, 0
    for sample in dataset.samples("val"):
        label = dataset.read(sample)[1]
        counts = [-(-side // stride) for side in label.shape]
        corners = label[np.ix_(*(nearest_pixels(n, side) for n, side in zip(counts, label.shape)))]
        exact = label[::stride, ::stride]
        moved += np.sum((corners != exact) & (exact != IGNORE))
        valid += np.sum(exact != IGNORE)
    return moved / valid


def trained(system, placement, data, run, seed):
    """mIoU on whole images of val after a training into the folder `run`."""
    if not (run / "best" / "metrics.json").is_file():
        settings = {
            **{f"model.{key}": value for key, value in SYSTEMS[system][1].items()},
            "seed": seed,
            "model.placement": placement,
            "data.crop": (CROP, CROP),
            "schedule.learning_rate": 1e-3,
            "train.steps": STEPS,
            "train.validate_every": STEPS,
            "train.precision": "float32",
            "train.progress": False,
        }
        command = [sys.executable, "-m", "did_tf", "train", f"--experiment=camvid_budget:{system}", f"--data={data}"]
        given = [f"--config.{key}={value}" for key, value in settings.items()]
        subprocess.run([*command, f"--run={run}", *given], check=True, stdout=subprocess.DEVNULL)
    return json.loads((run / "best" / "metrics.json").read_text())["miou"]


if __name__ == "__main__":
    main()
