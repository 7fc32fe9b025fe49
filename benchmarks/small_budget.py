"""Trainings of `did_camvid_quick` on CamVid at a small budget, in a table: what `augmentations` and others share.

Each makes as many steps, or takes as many minutes, as the others, and is validated once, at the end, on whole images of
val: no weights are chosen. One that has ended is not made again, and one that was stopped goes on.
"""

import json
import os
from pathlib import Path

import numpy as np

from benchmarks import arguments, report, trainings
from benchmarks.trainings import NEVER
from did_tf.runs.run_folder import RunFolder, read_json, read_metrics

EXPERIMENT = "did_camvid_quick"
FIGURES = ("val mIoU, %", "beside the first", "each seed", "steps", "crops/s")
"""Columns of `figures`."""


def add_arguments(parser, steps=400):
    """Adds --data, --seeds and the budget to a parser."""
    parser.add_argument("--data", help="folder of CamVid (default: that of DID_TF_CAMVID)")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each, which differ by the seed (default: 1)")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--steps", type=int, default=steps, help=f"of each run (default: {steps})")
    budget.add_argument("--minutes", type=arguments.minutes_of_training, help="of each run, in place of steps")


def data_of(parser, given):
    """The folder of CamVid; ends the program where none is named."""
    return (
        given.data
        or os.environ.get("DID_TF_CAMVID")
        or parser.error("--data, or DID_TF_CAMVID, must say where CamVid is")
    )


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


def train(run, data, settings):
    """A training into the folder `run`, unless it has ended; a line tells where that was on other data."""
    if not (run / "best" / "metrics.json").is_file():
        trainings.train(EXPERIMENT, data, run, settings)
        return
    was = RunFolder(run).settings()["dataset"]["folder"]
    if Path(was).resolve() != Path(data).resolve():
        print(f"note: {run} has ended, on {was} and not {data}: delete it to have it made anew")


def scores(run):
    """{"miou", "step", "images_per_second", "made": what each process of it was} of a run that has ended."""
    found = json.loads((run / "best" / "metrics.json").read_text())
    paces = [float(row["images_per_second"]) for row in read_metrics(run / "metrics.csv") if row["images_per_second"]]
    figures = {"miou": found["miou"], "step": found["step"], "images_per_second": float(np.median(paces))}
    return {**figures, "made": made(run)}


def made(run):
    """[{"git_commit", "machine", "packages"} of the process that began a run, and of each that went on with it]."""
    manifest = read_json(RunFolder(run).manifest)
    processes = [manifest, *manifest.get("continued", [])]
    return [{key: process.get(key) for key in ("git_commit", "machine", "packages")} for process in processes]


def figures(runs, first):
    """Cells under `FIGURES`: scores of runs with several seeds, beside those of the `first` with the same seeds."""
    miou, base = ([run["miou"] for run in one] for one in (runs, first))
    steps, pace = (np.mean([run[key] for run in runs]) for key in ("step", "images_per_second"))
    each = ", ".join(f"{100 * value:.1f}" for value in miou)
    more = f"{100 * (np.mean(miou) - np.mean(base)):+.1f}"
    return [f"{100 * np.mean(miou):.1f}", more, each, f"{steps:.0f}", f"{pace:.3g}"]


def write(folder, told, head, lines, runs, **content):
    """Writes table.md, of lines under the cells of a head, and table.json, of the content, anew.

    Above the table stands with what its `runs`, as of `scores`, were made: some may have ended long ago.
    """
    by = sorted({_told(one) for run in runs for one in run["made"]})
    table = [f"{EXPERIMENT}, {told} each  ", *by, "", *report.table([*head, *FIGURES], lines)]
    (folder / "table.md").write_text("\n".join(table) + "\n", encoding="utf-8")
    content = {"experiment": EXPERIMENT, "budget": told, **content}
    (folder / "table.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


def _told(process):
    """A line of table.md."""
    versions = ", ".join(f"{name} {version}" for name, version in (process["packages"] or {}).items())
    machine = process["machine"] or {}
    return f"{machine.get('system')}, {machine.get('cores')} cores, commit {process['git_commit']}; {versions}  "
