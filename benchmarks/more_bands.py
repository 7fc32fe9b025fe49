"""What more bands bring to a plan: `python -m benchmarks.more_bands runs/more_bands --minutes=5`.

Two data sets are drawn, see `benchmarks.drawn_bands`: `fields`, of five bands of 16 bits, and `bench`, photographs and
depth. Each has a class that one band alone tells from another. So each is learnt twice, with all bands and with red,
green and blue alone, by the public commands as its user gives them: `describe-data`, names in the dataset.yaml that it
has drafted, `train --experiment=auto:folders --hours=...`, `evaluate`. Every training is given so many minutes, from
the start of its process to its end, planning included, alone on all cores of this machine, as by
`benchmarks.comparison`: nothing is validated meanwhile, and the last step's weights count.

table.md and table.json, with all results of the folder, are written after each training. What has a result is not run
again; a training that was stopped begins anew.
"""

from did_tf.programs import quiet  # noqa: F401  # isort: skip (first)

import json
import re
from pathlib import Path

from benchmarks import drawn_bands, report, trainings
from benchmarks.arguments import minutes_of_training, parser_of
from benchmarks.contestants import AUTO, Own, Task
from did_tf.common.files import write_file
from did_tf.runs.manifest import git_commit
from did_tf.runs.run_folder import RunFolder

HEAD = (
    *("data set", "bands", "planned, min", "used, min", "off, %", "steps", "crops of", "crops", "val mIoU, %"),
    *("95 % interval", "class", "its IoU, %"),
)
OWN = Own(AUTO)


def main(argv=None):
    """Draws and runs what is missing, and writes the table after each."""
    given = _arguments(argv)
    folder, failed = Path(given.folder).resolve(), False
    for name in given.names or drawn_bands.SETS:
        drawn = drawn_bands.SETS[name]
        drawn_bands.write(drawn, folder / "data" / name)
        for way in drawn.ways:
            failed |= not _has_result(drawn, way, folder, given.minutes, given.seed)
            report.write_table(folder, HEAD, trainings.results(folder), line)
    print((folder / "table.md").read_text())
    raise SystemExit(failed)


def _arguments(argv):
    parser = parser_of(__name__)
    parser.add_argument("folder", help="of the data sets, the runs and the table")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(drawn_bands.SETS)} (default: all)")
    parser.add_argument("--minutes", type=minutes_of_training, default=5, help="of each training (default: 5)")
    parser.add_argument("--seed", type=int, default=0, help="of each training (default: 0)")
    given = parser.parse_intermixed_args(argv)
    if unknown := {*given.names} - {*drawn_bands.SETS}:
        parser.error(f"no data set {min(unknown)!r}; known: {', '.join(drawn_bands.SETS)}")
    return given


def _has_result(drawn, way, folder, minutes, seed):
    run = folder / f"{drawn.name}_{way}_{minutes:g}min_{seed}"

    def make(log):
        data = described(drawn, way, folder / "data", log)
        return learnt(drawn, way, Task("folders", str(data), None, minutes, seed), run, log)

    return trainings.has_result(run.name, run, make)


def described(drawn, way, data, log=None):
    """Folder of the dataset.yaml of the bands of a `way`, beside what is drawn.

    Args:
      drawn: `drawn_bands.Drawn`.
      way: one of its `ways`.
      data: folder of the folder of what is drawn.
      log: file for what the command says.
    """
    source, folder = data / drawn.name, data / f"{drawn.name}_{way}"
    file, extras = folder / "dataset.yaml", [str(source / extra) for extra in drawn.ways[way].extras]
    if not file.is_file():
        given = [f"--images={source / drawn.ways[way].images}", f"--labels={source / drawn_bands.LABELS}"]
        given += [f"--folder={folder}", *(["--extras", *extras] if extras else [])]
        trainings.did_tf("describe-data", *given, log=log)
    write_file(file, named(file.read_text(), drawn).encode())
    return folder


def named(text, drawn):
    """A dataset.yaml as `describe-data` has drafted it, with the names that only its user knows."""
    drafted = {f"class_{number}": name for number, name in enumerate(drawn.classes)}
    drafted |= {f"band_{number}": name for number, name in enumerate(drawn.bands, 1)}
    return re.sub(r"\b(class|band)_\d+\b", lambda found: drafted[found[0]], text)


def learnt(drawn, way, task, run, log):
    """What the result of a run is, which is trained and evaluated."""
    machine = report.machine(git_commit(), {})
    used = trainings.minutes(OWN.train, task, run, log)
    given = f"--experiment={AUTO}:{task.dataset}", f"--run={run}", f"--data={task.source}", "--protocol=whole"
    trainings.did_tf("evaluate", *given, log=log)
    scores = json.loads((RunFolder(run).evaluation / "val.json").read_text())
    told = {key: getattr(drawn, key) for key in ("name", "telling", "alike", "band")}
    times = {"minutes": task.minutes, "used": used, "seed": task.seed}
    scores = {**scores["outputs"]["main"], "interval": scores["interval"]}
    return {**told, "bands": drawn.ways[way].bands, **times, **OWN.trained(run), "scores": scores, "machine": machine}


def line(result):
    """Its row in Markdown."""
    minutes, used, scores = (result[key] for key in ("minutes", "used", "scores"))
    cells = (
        *(result["name"], result["bands"], f"{minutes:g}", f"{used:.2f}", f"{100 * (used / minutes - 1):+.1f}"),
        *(f"{result['steps']:,}", "x".join(map(str, result["crop"])), f"{result['crops']:,}"),
        *(f"{100 * scores['miou']:.1f}", report.interval(scores["interval"] and scores["interval"]["miou"])),
        *(result["telling"], f"{100 * scores['classes'][result['telling']]['iou']:.1f}"),
    )
    return report.markdown(cells)


if __name__ == "__main__":
    main()
