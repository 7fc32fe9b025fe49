"""Every row of every table of the papers: `did_tf table [--tables=ladder_table1,duc_table2] [--markdown]`.

For each experiment: parameters and multiply-adds of its network and its receptive field, computed now, and the best
result that its runs have reached, beside the paper's figures. No data is read. `--output=docs/reference` writes all
that as a ledger, with where each result comes from and the command of each row.
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

import importlib
import json
import math
import re
import shlex
from pathlib import Path

from absl import flags
from tensorflow import keras
from tqdm import tqdm

from data_pipelines.spec import DatasetSpec
from did_tf import wiring
from did_tf.analysis import cost, measures
from did_tf.common.errors import ConfigError, nearest
from did_tf.runs import ledger, results
from did_tf.runs.run_folder import RunFolder
from did_tf.scoring import official

flags.DEFINE_spaceseplist(
    "tables", [], "Families of experiments, such as did_table3. Default: all that the papers have.", comma_compat=True
)
flags.DEFINE_string("runs", "runs", "Folder of the run folders.")
flags.DEFINE_bool("markdown", False, "Print Markdown.")
flags.DEFINE_string(
    "output",
    None,
    "Folder for ledger.md and ledger.csv, or one such file, in place of printing.",
    allow_override=True,  # show-data has one as well, and tests import both
)
FLAGS = flags.FLAGS
REMOTE = ()
"""See `cli.REMOTE`."""
SETTINGS = False
"""See `cli.SETTINGS`."""

TITLES = {
    results.MIOU: "mIoU, %",
    results.TOP1: "top-1 error, %",
    results.BUILDINGS: "IoU of buildings, %",
    results.MAXF: "MaxF, %",
}
FURTHER_FIGURES = {
    "accuracy": ("accuracy, %", "pixel_accuracy"),
    "mean_accuracy": ("mean accuracy, %", "mean_accuracy"),
    "top5_error": ("top-5 error, %", "top5_error"),
}
"""{the paper's figure: its column, and what a report calls it}."""
ORIGIN = ("run", "commit", "seed", "step", "starts from", "command")
"""Columns of the ledger alone, the last ones."""
FURTHER = math.inf
"""Number of the table of what a paper has outside of its tables."""
NOTES = """
parameters: trainable, in millions, of all outputs. multiply-adds: of convolutions, for one training crop, in billions.
inference, training: what its features take of memory, at once and for the backward pass, in float32 (`make cost`).
field: side of the theoretical receptive field; "all" is the whole image. view: what the classifier's kernel spans.
*: the run or its report had other settings than its experiment now. !: the run has other weights now than those scored.
(9 of 11): the mean is of so many classes, for the others are neither in the labels nor predicted.
last step: of its weights, where those that are scored had the best score of several on this split."""


def main() -> None:
    """Prints the tables, or writes them. Raises `ConfigError` for an unknown table, and for flags without a use."""
    if FLAGS.experiment or FLAGS.run or FLAGS.data or cli.config_arguments():
        raise ConfigError("a table is of experiments as they are: it takes --tables, --runs, --markdown and --output")
    if FLAGS.runs != "runs" and not Path(FLAGS.runs).is_dir():
        print(f"note: there is no folder --runs={FLAGS.runs}: no row has a result")
    files = ledger.files(FLAGS.output) if FLAGS.output else []
    configs = _configs()
    tables = _chosen(FLAGS.tables, configs) if FLAGS.tables else _by_paper(configs)
    computed = _compute({name: configs[name] for names in tables.values() for name in names})
    same = _same(configs)
    found = {
        title: [_row(same[name], name, configs[name], computed[name]) for name in names]
        for title, names in tables.items()
    }
    if files:
        ledger.write(files, found, NOTES, _command())
        print(f"wrote {' and '.join(map(str, files))}")
        return
    for title, rows in found.items():
        print(f"\n{'### ' if FLAGS.markdown else ''}{title}\n")
        print(ledger.text([row[: -len(ORIGIN)] for row in rows], FLAGS.markdown, [*TITLES.values()]))
    print(NOTES)


def _command():
    """What writes the same ledger anew."""
    given = {
        "OUTPUT": FLAGS.output,
        "TABLE": " ".join(FLAGS.tables),
        "ARGS": "" if FLAGS.runs == "runs" else f"--runs={shlex.quote(FLAGS.runs)}",
    }
    return " ".join(["make table", *(f"{name}={shlex.quote(text)}" for name, text in given.items() if text)])


def metric_of(config: wiring.Config) -> str:
    """Which figure counts with these settings: that of its benchmark where the paper has it, else as of the task."""
    if found := [metric for metric in (results.BUILDINGS, results.MAXF) if metric in config["paper"]]:
        return found[0]
    return results.TOP1 if wiring.make_spec(config).task == "classification" else results.MIOU


def _configs():
    """{experiment: settings} of all rows of tables, and of what else has a place in a paper."""
    modules = {name: cli.import_experiment(name) for name in cli.experiment_names()}
    rows = {name: getattr(module, "ROWS", [None]) for name, module in modules.items()}
    names = [f"{name}:{row}" if row else name for name in modules for row in rows[name]]
    configs = {name: cli.resolve(name, RunFolder("none"), []) for name in names}
    return {name: config for name, config in configs.items() if ":" in name or config["paper"].get("row")}


def _chosen(families, configs):
    """{title: experiments} of families. Raises `ConfigError` for an unknown one."""
    known = list(dict.fromkeys(name.partition(":")[0] for name in configs if ":" in name))
    for family in families:
        if family not in known:
            raise ConfigError(f"no table {family!r}{nearest(family, known)}; known: {', '.join(known)}")
    return {_said(family): [name for name in configs if name.startswith(f"{family}:")] for family in families}


def _by_paper(configs):
    """{title: experiments} of every table of the papers; of those with equal settings in one row, the table's own."""
    places = [(*place, name) for name, config in configs.items() for place in _places(name, config)]
    tables: dict[tuple[str, float], dict[str, str]] = {}
    for system, number, row, name in sorted(places, key=lambda place: (place[:3], "_table" not in place[3])):
        key = json.dumps([row, configs[name]["paper"].get("row"), _settings(configs[name])])
        tables.setdefault((system, number), {}).setdefault(key, name)
    return {_title(*place): [*rows.values()] for place, rows in tables.items()}


def _places(name, config):
    """[(system, number of the table, number of the row)] of an experiment in the papers."""
    experiment, row = name.partition(":")[0], config["paper"].get("row")
    if not row:
        family = re.fullmatch(r"(\w+)_table(\d+)", experiment)
        return [(family[1], int(family[2]), 0)] if family else []
    system = cli.experiment_modules()[experiment].split(".")[1]
    found = re.findall(r"(?:(\w+)\.md )?Table (\d+)(?: row (\d+))?", row)
    return [(paper or system, int(number), int(row or 0)) for paper, number, row in found] or [(system, FURTHER, 0)]


def _family(system, number):
    return f"{system}_table{number}"


def _title(system, number):
    """What a table of a paper is called: as its family of experiments, where it has one."""
    if _family(system, number) in cli.experiment_modules():
        return _said(_family(system, number))
    paper = importlib.import_module(f"experiments.{system}").__doc__
    return f"{paper}, outside its tables" if number == FURTHER else f"{paper}, Table {number}"


def _said(experiment):
    """The first line of what an experiment says of itself."""
    return (cli.import_experiment(experiment).__doc__ or experiment).splitlines()[0].rstrip(".")


def _same(configs):
    """{experiment: all that have the same settings}, whose runs are its runs too."""
    groups: dict[str, list[str]] = {}
    for name, config in configs.items():
        groups.setdefault(_settings(config), []).append(name)
    return {name: names for names in groups.values() for name in names}


def _settings(config):
    return json.dumps({key: value for key, value in config.items() if key != "paper"}, sort_keys=True)


def _compute(configs):
    """{experiment: {figure: value}} of the networks; rows that share one share the work."""
    networks: dict[str, tuple[wiring.Config, DatasetSpec, list[str]]] = {}
    for name, config in configs.items():
        spec = wiring.make_spec(config)
        key = json.dumps([config["model"], len(spec.logits), spec.bands], sort_keys=True)
        networks.setdefault(key, (config, spec, []))[2].append(name)
    computed = {}
    for config, spec, names in tqdm(networks.values(), desc="networks", unit="network", disable=None):
        keras.backend.clear_session()
        model = wiring.make_model(config, spec)
        shared = {"parameters": measures.parameters(model), "field": measures.receptive_field(model)}
        for name in names:
            crop = configs[name]["data"]["crop"]
            own = {"multiply_adds": measures.multiply_adds(model, *crop), "features": cost.columns(model, crop)}
            if "field_of_view" in configs[name]["paper"]:
                own["field_of_view"] = measures.field_of_view(model)
            computed[name] = {**shared, **own}
    return computed


def _row(names, name, config, computed):
    """[(column, text)] of one experiment, whose runs are those of `names`; the last are `ORIGIN`'s."""
    paper, metric = config["paper"], metric_of(config)
    result = results.best(names, config, metric, FLAGS.runs)
    further = results.figures(result)
    cells = [
        ("experiment", name),
        ("row", _figure(paper.get("row"))),
        ("parameters, M", f"{computed['parameters'] / 1e6:.2f}"),
        ("paper", _figure(paper.get("parameters"))),
        ("crop", "x".join(map(str, config["data"]["crop"]))),
        ("multiply-adds, G", f"{computed['multiply_adds'] / 1e9:.2f}"),
        *computed["features"].items(),
        ("field, px", _side(computed["field"])),
        ("view, px", _figure(computed.get("field_of_view"))),
        ("paper", _figure(paper.get("field_of_view"))),
        (TITLES[metric], _score(result)),
        ("paper", _figure(paper.get(metric))),
        ("last step", _percent(result.last if result else None)),
        *(
            cell
            for key, (title, ours) in FURTHER_FIGURES.items()
            for cell in ((title, _percent(further.get(ours))), ("paper", _figure(paper.get(key))))
        ),
        ("measured on", result.where if result else "-"),
        ("paper's data", paper.get("data") or " ".join(filter(None, (config["dataset"]["name"], paper.get("split"))))),
    ]
    return [*cells, *zip(ORIGIN, _origin(name, config, result))]


def _origin(name, config, result):
    """Texts of `ORIGIN`'s columns: where a result comes from, and how to get one."""
    found = results.provenance(result) if result else {}
    train, data, split = config["train"], config["dataset"], config["paper"].get("split") or "val"
    submitted = split == "test" and official.find(data["name"])
    way = f"make {'submit' if submitted else 'evaluate'} EXP={name}"
    start = " ".join(filter(None, (train["init"], train["encoder"])))
    commands = f"make train EXP={name} && {way}{'' if split == 'val' else f' SPLIT={split}'}"
    return [*(_figure(found.get(key)) for key in ("run", "commit", "seed", "step")), start or "-", commands]


def _score(result):
    if not result:
        return "-"
    known, classes = result.classes or (0, 0)
    left_out = f" ({known} of {classes})" if known < classes else ""
    return f"{'*' if result.altered else ''}{'!' if result.outdated else ''}{100 * result.score:.2f}{left_out}"


def _side(field):
    sides = ["all" if math.isinf(side) else f"{side:.0f}" for side in field]
    return sides[0] if sides[0] == sides[1] else "x".join(sides)


def _percent(fraction):
    return "-" if fraction is None else f"{100 * fraction:.2f}"


def _figure(value):
    return "-" if value is None else str(value)


def launch() -> None:
    """What the command line starts."""
    cli.run_bare(main)
