"""Every row of every table of the papers: `did_tf table [--tables=ladder_table1,duc_table2] [--markdown]`.

For each experiment: parameters and multiply-adds of its network and its receptive field, computed now, and the best
result that its runs have reached, beside the paper's figures. No data is read.
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

import json
import math
import re

from absl import flags
from tensorflow import keras
from tqdm import tqdm

from data_pipelines.spec import DatasetSpec
from did_tf import wiring
from did_tf.analysis import measures
from did_tf.common.errors import ConfigError, nearest
from did_tf.runs import results
from did_tf.runs.run_folder import RunFolder

flags.DEFINE_spaceseplist(
    "tables", [], "Families of experiments, such as did_table3. Default: all NAME_tableN.", comma_compat=True
)
flags.DEFINE_string("runs", "runs", "Folder of the run folders.")
flags.DEFINE_bool("markdown", False, "Print Markdown.")
FLAGS = flags.FLAGS

MIOU, TOP1 = "mIoU, %", "top-1 error, %"
NOTES = """
parameters: trainable, in millions, of all outputs. multiply-adds: of convolutions, for one training crop, in billions.
field: side of the theoretical receptive field; "all" is the whole image. view: what the classifier's kernel spans.
*: the run had other settings than its experiment has now. !: the run has other weights now than those scored.
(9 of 11): the mean is of so many classes, for the others are neither in the labels nor predicted.
last step: of its weights, where those of the column before had the best score of several on this split."""


def main() -> None:
    """Prints the tables. Raises `ConfigError` for an unknown table, and for flags that a table doesn't take."""
    if FLAGS.experiment or FLAGS.run or FLAGS.data or cli.config_arguments():
        raise ConfigError("a table is of experiments as they are: it takes --tables, --runs and --markdown alone")
    families = _families(FLAGS.tables)
    configs = {
        f"{family}:{row}": cli.resolve(f"{family}:{row}", RunFolder("none"), [])
        for family, module in families.items()
        for row in module.ROWS
    }
    computed = _compute(configs)
    for family, module in families.items():
        names = [f"{family}:{row}" for row in module.ROWS]
        rows = [_row(name, configs[name], computed[name]) for name in names]
        print(f"\n{'### ' if FLAGS.markdown else ''}{module.__doc__.splitlines()[0]}\n")
        print(_text(rows, FLAGS.markdown))
    print(NOTES)


def metric_of(config: wiring.Config) -> str:
    """Which figure counts with these settings: `results.TOP1`, an error, for classification, else `results.MIOU`."""
    return results.TOP1 if wiring.make_spec(config).task == "classification" else results.MIOU


def _families(chosen):
    """{name: module} of the experiments that have rows. Raises `ConfigError` for an unknown name."""
    modules = {name: cli.import_experiment(name) for name in cli.experiment_names()}
    known = [name for name, module in modules.items() if hasattr(module, "ROWS")]
    for name in chosen:
        if name not in known:
            raise ConfigError(f"no table {name!r}{nearest(name, known)}; known: {', '.join(known)}")
    return {name: modules[name] for name in chosen or known if chosen or re.search(r"_table\d+$", name)}


def _compute(configs):
    """{experiment: {figure: value}} of the networks; rows that share one share the work."""
    networks: dict[str, tuple[wiring.Config, DatasetSpec, list[str]]] = {}
    for name, config in configs.items():
        spec = wiring.make_spec(config)
        key = json.dumps([config["model"], spec.num_classes, spec.bands], sort_keys=True)
        networks.setdefault(key, (config, spec, []))[2].append(name)
    computed = {}
    for config, spec, names in tqdm(networks.values(), desc="networks", unit="network", disable=None):
        keras.backend.clear_session()
        model = wiring.make_model(config, spec)
        shared = {"parameters": measures.parameters(model), "field": measures.receptive_field(model)}
        for name in names:
            own = {"multiply_adds": measures.multiply_adds(model, *configs[name]["data"]["crop"])}
            if "field_of_view" in configs[name]["paper"]:
                own["field_of_view"] = measures.field_of_view(model)
            computed[name] = {**shared, **own}
    return computed


def _row(name, config, computed):
    """[(column, text)] of one experiment."""
    paper, metric = config["paper"], metric_of(config)
    result = results.best(name, config, metric, FLAGS.runs)
    return [
        ("experiment", name),
        ("parameters, M", f"{computed['parameters'] / 1e6:.2f}"),
        ("paper", _figure(paper.get("parameters"))),
        ("crop", "x".join(map(str, config["data"]["crop"]))),
        ("multiply-adds, G", f"{computed['multiply_adds'] / 1e9:.2f}"),
        ("field, px", _side(computed["field"])),
        ("view, px", _figure(computed.get("field_of_view"))),
        ("paper", _figure(paper.get("field_of_view"))),
        (MIOU if metric == results.MIOU else TOP1, _score(result)),
        ("last step", "-" if not result or result.last is None else f"{100 * result.last:.2f}"),
        ("paper", _figure(paper.get(metric))),
        ("measured on", result.where if result else "-"),
        ("paper's data", paper.get("data") or " ".join(filter(None, (config["dataset"]["name"], paper.get("split"))))),
    ]


def _score(result):
    if not result:
        return "-"
    known, classes = result.classes or (0, 0)
    left_out = f" ({known} of {classes})" if known < classes else ""
    return f"{'*' if result.altered else ''}{'!' if result.outdated else ''}{100 * result.score:.2f}{left_out}"


def _side(field):
    sides = ["all" if math.isinf(side) else f"{side:.0f}" for side in field]
    return sides[0] if sides[0] == sides[1] else "x".join(sides)


def _figure(value):
    return "-" if value is None else str(value)


def _text(rows, markdown):
    """The rows as aligned text, the first column to the left. Columns of figures that no row has are left out."""
    columns = [[column for column, _ in rows[0]], *([text for _, text in row] for row in rows)]
    kept = [column for column in zip(*columns) if column[0] in (MIOU, TOP1) or any(text != "-" for text in column[1:])]
    widths = [max(map(len, column)) for column in kept]
    lines = [[cell.rjust(width) for cell, width in zip(line, widths)] for line in zip(*kept)]
    lines = [[line[0].strip().ljust(widths[0]), *line[1:]] for line in lines]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(line)} |" if markdown else "  ".join(line) for line in lines)


def launch() -> None:
    """What the command line starts."""
    cli.run_bare(main)
