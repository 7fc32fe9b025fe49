"""did_tf beside others, at an equal time: `make bench-peers DATA=data/camvid OUTPUT=runs/comparison ARGS=--minutes=20`.

Each contestant learns from random weights on the training split for so many minutes, alone on all cores of this
machine, from the start of its process to its end. Nothing is validated meanwhile and no weights are chosen: the last
step's label the images of val, once, in float32, and one program scores the labels of all. Others read the same images
and labels as PNG files and run in environments of their own (.bench-env). What they are, and what is not equal, says
docs/explanation/comparison.md.

A contestant whose result is in the folder is not run again; one that was stopped begins anew. table.md and table.json,
with all results of the folder, are written after each. A folder is of one data set.
"""

from did_tf.programs import quiet  # noqa: F401  # isort: skip (first)

import sys
from pathlib import Path

import data_pipelines
from benchmarks import contestants, neutral, report, trainings
from benchmarks.arguments import minutes_of_training, parser_of, without_gpus
from benchmarks.contestants import Task
from benchmarks.peers import contest
from data_pipelines.spec import DataError
from did_tf.runs.manifest import git_commit

HEAD = (
    *("contestant", "budget, min", "used, min", "val mIoU, %", "95 % interval", "accuracy, %", "steps", "crops of"),
    *("crops", "parameters", "before it, min", "versions"),
)


def main(argv=None):
    """Runs who is missing; writes the table after each, and prints it at the end."""
    given, chosen = _arguments(argv)
    folder = Path(given.folder)
    try:
        dataset = data_pipelines.load(given.dataset, given.data)
        neutral.export(dataset, folder / "data")
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    task = Task(given.dataset, given.data, folder / "data", given.minutes, given.seed)
    for contestant in chosen.values():
        contestant.install()
    failed = [name for name, contestant in chosen.items() if not _has_result(folder, name, contestant, task)]
    print((folder / "table.md").read_text() if results(folder) else "no result")
    raise SystemExit(bool(failed))


def _arguments(argv):
    parser = parser_of(__name__)
    parser.add_argument("folder", help="of the runs and the table")
    parser.add_argument("names", nargs="*", metavar="NAME", help="of contestants (default: all but the further ones)")
    parser.add_argument("--data", required=True, help="folder of the data set")
    parser.add_argument("--dataset", choices=contestants.OWN, default="camvid", help="its name (default: camvid)")
    parser.add_argument("--minutes", type=minutes_of_training, default=20, help="of each training (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="of each training (default: 0)")
    given = parser.parse_intermixed_args(argv)
    known = contestants.known(given.dataset)
    if unknown := {*given.names} - {*known}:
        parser.error(f"no contestant {min(unknown)!r}; known: {', '.join(known)}")
    return given, {name: known[name] for name in given.names or contestants.usual(given.dataset)}


def _has_result(folder, name, contestant, task):
    """Whether there is one, which is made where it is missing."""
    run = folder / f"{name}_{task.minutes:g}min_{task.seed}"
    there = trainings.has_result(name, run, lambda log: {"name": name, **compete(contestant, task, run, log)})
    report.write_table(folder, HEAD, results(folder), line)
    return there


def compete(contestant, task, run, log):
    """What a contestant's result is, of a run that begins. `log` is a file for what it says."""
    machine = report.machine(git_commit(), {})
    before = trainings.minutes(contestant.prepare, task, run, log)
    used = trainings.minutes(contestant.train, task, run, log)
    contestant.label(task, run, log)
    classes, trained = contest.facts(task.data)["classes"], contestant.trained(run)
    scores = neutral.scores(task.data / "val" / "labels", run / "labels", classes)
    times = {"minutes": task.minutes, "used": used, "before": before}
    return {**times, "dataset": task.dataset, "seed": task.seed, **trained, "scores": scores, "machine": machine}


def results(folder):
    """All that are in the folder: the shortest time first, the best of each first."""
    return sorted(trainings.results(folder), key=lambda result: (result["minutes"], -result["scores"]["miou"]))


def line(result):
    """Its row in Markdown."""
    scores, crop = result["scores"], "x".join(map(str, result["crop"]))
    cells = (
        *(result["name"], f"{result['minutes']:g}", f"{result['used']:.1f}", f"{100 * scores['miou']:.1f}"),
        *(report.interval(scores["interval"]), f"{100 * scores['pixel_accuracy']:.1f}", f"{result['steps']:,}", crop),
        *(f"{result['crops']:,}", f"{result['parameters'] / 1e6:.2f}M", f"{result['before']:.1f}"),
        ", ".join(f"{name} {version}" for name, version in result["versions"].items()),
    )
    return report.markdown(cells)


if __name__ == "__main__":
    without_gpus()
    main()
