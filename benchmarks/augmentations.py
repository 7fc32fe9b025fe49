"""What each augmentation does on CamVid at a small budget: `python -m benchmarks.augmentations runs/augmentations`.

`did_camvid_quick` is trained without, and with one augmentation after the other, from the same weights on the same
crops, for as many steps (--steps) or minutes (--minutes) each: minutes count what an augmentation costs too. It is
validated once, at the end, on whole images of val: no weights are chosen. Prints a line for each; table.md and
table.json are written into the folder after each. Runs that are there are not made again, and one that was stopped goes
on.
"""

from did_tf.programs import quiet  # noqa: F401  # isort: skip (first)

from pathlib import Path

from benchmarks import report, small_budget
from benchmarks.arguments import parser_of

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
    small_budget.add_arguments(parser)
    given = parser.parse_intermixed_args(argv)
    data = small_budget.data_of(parser, given)
    if unknown := {*given.names} - {*ROWS}:
        parser.error(f"no augmentation {min(unknown)!r}")
    settings, told = small_budget.budget_of(given.steps, given.minutes)
    rows = []
    for name in ROWS if not given.names else dict.fromkeys(["none", *given.names]):
        folders = [Path(given.runs, f"{name.replace(' ', '_')}_{told}_{seed}") for seed in range(given.seeds)]
        for seed, run in enumerate(folders):
            small_budget.train(run, data, {**settings, **ROWS[name], "seed": seed})
        rows.append({"name": name, "settings": ROWS[name], "runs": [small_budget.scores(run) for run in folders]})
        lines = [line(row, rows[0]) for row in rows]
        runs = [run for row in rows for run in row["runs"]]
        small_budget.write(Path(given.runs), told, ["augmentation", "settings"], lines, runs, rows=rows)
        print(lines[-1], flush=True)


def line(row, first):
    """A row of the table in Markdown."""
    settings = ", ".join(f"`{key}={value}`" for key, value in row["settings"].items()) or "-"
    return report.markdown([row["name"], settings, *small_budget.figures(row["runs"], first["runs"])])


if __name__ == "__main__":
    main()
