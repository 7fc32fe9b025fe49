"""What pseudo-labels bring on CamVid: `python -m benchmarks.pseudo_labels runs/pseudo_labels --minutes=10`.

The recipe of docs/how-to/pseudo-labels.md, as if some frames of train alone were labelled, evenly spaced in the list:

1. `did_camvid_quick` is trained on these (--labelled) alone;
2. it labels all frames of train where it is sure (--least_confidence), and is trained anew on the labelled frames and,
   with these pseudo-labels, on the others;
3. it is trained on all frames with their true labels, which nobody has who needs this: the most that can be hoped for.

Each trains as long as the others (--minutes, or --steps), from random weights, and is validated once, at the end, on
whole images of val: no weights are chosen. Labelling takes minutes that are not counted. Prints a line for each, and
how many pixels have a pseudo-label and how many of these are right; table.md and table.json are written into the folder
after each. What is there is not made again, and a training that was stopped goes on.
"""

from did_tf.programs import quiet  # noqa: F401  # isort: skip (first)

import json
from pathlib import Path

import numpy as np

import data_pipelines
from benchmarks import report, small_budget, trainings
from benchmarks.arguments import parser_of
from data_pipelines import IGNORE
from data_pipelines.datasets.camvid_classes import CLASSES, PALETTE
from data_pipelines.own_data.pseudo import BEFORE

LABELLED, PSEUDO, ALL = WAYS = ("some labels", "some labels, and pseudo-labels", "all labels")
"""What is learnt from, in the order of the table."""


def main(argv=None):
    """Trains what is missing, and prints the table."""
    parser = parser_of(__name__)
    parser.add_argument("folder", help="of the runs, the data's descriptions and the table")
    small_budget.add_arguments(parser)
    parser.add_argument("--labelled", type=int, default=60, help="frames of train (default: 60)")
    parser.add_argument("--least_confidence", type=float, default=0.9, help="as of did_tf predict (default: 0.9)")
    given = parser.parse_args(argv)
    data, folder = Path(small_budget.data_of(parser, given)).resolve(), Path(given.folder).resolve()
    settings, told = small_budget.budget_of(given.steps, given.minutes)
    names = [sample.name for sample in data_pipelines.load("camvid", data).samples("train")]
    if not 0 < given.labelled < len(names):
        parser.error(f"--labelled={given.labelled}: train has {len(names)} frames")
    found, quality = {way: [] for way in WAYS}, []
    for seed in range(given.seeds):
        here = folder / f"{told}_{seed}"
        for way in WAYS:
            run, predictions = places(here, way, given.labelled, given.least_confidence)
            learnt = names if way == ALL else chosen(names, given.labelled)
            if predictions:
                predict(places(here, LABELLED, given.labelled)[0], data, predictions, given.least_confidence)
            describe(run / "data", data, learnt, predictions)
            if predictions:
                quality.append(compared(run / "data", data))
            small_budget.train(run, run / "data", {**settings, "dataset.name": "folders", "seed": seed})
            found[way].append(small_budget.scores(run))
            print(line(way, found), flush=True)
            lines = [line(way, found) for way in WAYS if found[way]]
            runs = [run for one in found.values() for run in one]
            small_budget.write(folder, told, ["learnt from"], lines, runs, rows=found, pseudo_labels=quality)
    for seed, (kept, right) in enumerate(quality):
        print(f"seed {seed}: {100 * kept:.1f} % of the labelled pixels have a pseudo-label, {100 * right:.1f} % right")


def places(here, way, labelled, least=0.0):
    """(folder of a run, that of the pseudo-labels which it learns from or None)."""
    if way == PSEUDO:
        name = f"pseudo_{labelled}_{least:g}"
        return here / name, here / f"{name}_labels"
    return here / ("all" if way == ALL else f"labelled_{labelled}"), None


def chosen(names, count):
    """`count` of the names, evenly spaced, the first and the last among them."""
    return [names[place] for place in np.linspace(0, len(names) - 1, count).round().astype(int)]


def describe(folder, data, names, predictions):
    """Writes a dataset.yaml of CamVid in which those frames of train alone are labelled; val is val."""
    content = {
        "images": f"{data}/{{train,val}}",
        "labels": f"{data}/{{train,val}}annot",
        "classes": list(CLASSES),
        "palette": dict(zip(CLASSES, map(list, PALETTE))),
        "void": [len(CLASSES)],
        "splits": {"train": [f"train/{name}" for name in names], "val": "folder"},
    }
    if predictions:
        content["pseudo"] = {"images": f"{data}/train", "labels": str(predictions)}
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "dataset.json"
    if file.is_file() and (was := json.loads(file.read_text(encoding="utf-8"))["images"]) != content["images"]:
        print(f"note: {folder} was of {was}: a run that has ended on it is not made anew")
    file.write_text(json.dumps(content, indent=1), encoding="utf-8")


def predict(run, data, output, least):
    """Labels all frames of train by a run, those that are done excepted."""
    given = f"--experiment={small_budget.EXPERIMENT}", f"--run={run}", f"--input={data}/train", f"--output={output}"
    trainings.did_tf("predict", *given, "--write=label", f"--least_confidence={least}")


def compared(folder, data):
    """(share of the pixels with a true label that have a pseudo-label, share of these that is right)."""
    described, camvid = data_pipelines.load("folders", folder), data_pipelines.load("camvid", data)
    truth = {sample.name: sample for sample in camvid.samples("train")}
    counts = np.zeros(3, np.int64)
    for sample in described.samples("train"):
        if sample.name.startswith(BEFORE):
            label, true = described.read(sample)[1], camvid.read(truth[sample.name.removeprefix(BEFORE)])[1]
            known = true != IGNORE
            kept = known & (label != IGNORE)
            counts += [known.sum(), kept.sum(), (label[kept] == true[kept]).sum()]
    return float(counts[1] / counts[0]), float(counts[2] / counts[1])


def line(way, found):
    """A row of the table in Markdown, beside what was learnt from labels alone."""
    return report.markdown([way, *small_budget.figures(found[way], found[LABELLED][: len(found[way])])])


if __name__ == "__main__":
    main()
