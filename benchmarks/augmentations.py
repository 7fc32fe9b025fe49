"""What each augmentation does on CamVid at a small budget: `python -m benchmarks.augmentations runs/augmentations`.

`did_camvid_quick` is trained without, and with one augmentation after the other, from the same weights on the same
crops, for as many steps (--steps) or minutes (--minutes) each: minutes count what an augmentation costs too. It is
validated once, at the end, on whole images of val: no weights are chosen. Prints a line for each; table.md and
table.json are written into the folder after each. Runs that are there are not made again, and one that was stopped goes
on.
"""

from did_tf.programs import quiet  # noqa: F401  # isort: skip (first)

import json
import os
from pathlib import Path

import numpy as np

from benchmarks import report
from benchmarks.arguments import parser_of
from benchmarks.run import versions
from benchmarks.trainings import NEVER, train
from did_tf.runs.manifest import git_commit
from did_tf.runs.run_folder import read_metrics

EXPERIMENT = "did_camvid_quick"
ROWS = {
    "none": {},
    "random erasing": {"data.erase": 0.5},
    "CutMix": {"data.cutmix": 0.5},
    "ClassMix": {"data.classmix": 0.5},
    "copy-paste": {"data.paste": 0.5, "data.paste_classes": "('pole','sign','car','pedestrian','bicyclist')"},
    "elastic": {"data.elastic": 8.0},
    "MixUp": {"data.mixup": 0.5},
}
"""{augmentation: settings beside those of the experiment}."""


def main(argv=None):
    """Trains what is missing, and prints the table."""
    parser = parser_of(__name__)
    parser.add_argument("runs", help="folder of the runs and the table")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ROWS)} (default: all); none always")
    parser.add_argument("--data", help="folder of CamVid (default: that of DID_TF_CAMVID)")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each, which differ by the seed (default: 1)")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--steps", type=int, default=400, help="of each run (default: 400)")
    budget.add_argument("--minutes", type=float, help="of each run, in place of steps")
    given = parser.parse_args(argv)
    data = (
        given.data
        or os.environ.get("DID_TF_CAMVID")
        or parser.error("--data, or DID_TF_CAMVID, must say where CamVid is")
    )
    if unknown := {*given.names} - {*ROWS}:
        parser.error(f"no augmentation {min(unknown)!r}")
    settings, told = budget_of(given.steps, given.minutes)
    rows = []
    for name in ROWS if not given.names else dict.fromkeys(["none", *given.names]):
        folders = [Path(given.runs, f"{name.replace(' ', '_')}_{told}_{seed}") for seed in range(given.seeds)]
        for seed, run in enumerate(folders):
            if not (run / "best" / "metrics.json").is_file():
                train(EXPERIMENT, data, run, {**settings, **ROWS[name], "seed": seed})
        rows.append({"name": name, "settings": ROWS[name], "runs": [scores(run) for run in folders]})
        write(Path(given.runs), told, rows)
        print(line(rows[-1], rows[0]), flush=True)


def budget_of(steps, minutes):
    """({setting: value}, the budget in words without blanks)."""
    if minutes:
        settings = {"train.hours": minutes / 60, "train.steps": NEVER, "train.validate_every": NEVER}
        return settings, f"{minutes:g}min"
    return {
        "train.steps": steps,
        "schedule.warmup": min(100, steps // 4),
        "train.validate_every": steps,
    }, f"{steps}steps"


def scores(run):
    """{"miou", "step", "images_per_second"} of a run that has ended."""
    found = json.loads((run / "best" / "metrics.json").read_text())
    paces = [float(row["images_per_second"]) for row in read_metrics(run / "metrics.csv") if row["images_per_second"]]
    return {"miou": found["miou"], "step": found["step"], "images_per_second": float(np.median(paces))}


def line(row, first):
    """A row of the table in Markdown: mIoU beside that of the `first` row, with the same seeds."""
    miou, base = ([run["miou"] for run in one["runs"]] for one in (row, first))
    settings = ", ".join(f"`{key}={value}`" for key, value in row["settings"].items()) or "-"
    each = ", ".join(f"{100 * value:.1f}" for value in miou)
    more = f"{100 * (np.mean(miou) - np.mean(base)):+.1f}"
    steps, pace = (np.mean([run[key] for run in row["runs"]]) for key in ("step", "images_per_second"))
    return f"| {row['name']} | {settings} | {100 * np.mean(miou):.1f} | {more} | {each} | {steps:.0f} | {pace:.3g} |"


def write(folder, told, rows):
    """Writes both files anew."""
    machine = report.machine(git_commit(), versions())
    head = ["augmentation", "settings", "val mIoU, %", "beside none", "each seed", "steps", "crops/s"]
    lines = [
        f"{EXPERIMENT}, {told} each; {report.header(machine)}",
        "",
        f"| {' | '.join(head)} |",
        "|---" * len(head) + "|",
    ]
    lines += [line(row, rows[0]) for row in rows]
    (folder / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    content = {"experiment": EXPERIMENT, "budget": told, "machine": machine, "rows": rows}
    (folder / "table.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
