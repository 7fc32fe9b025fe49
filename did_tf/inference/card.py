"""The model card of an exported network: what its run, its weights and the gate say, and nothing else."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from data_pipelines.spec import COLOURS
from did_tf import models
from did_tf.common.text import percent
from did_tf.inference.contract import Network
from did_tf.inference.export import Export
from did_tf.inference.formats import Format
from did_tf.inference.gate import Gate
from did_tf.runs import selection
from did_tf.runs.run_folder import RunFolder, read_json
from did_tf.runs.weights import digest

UNKNOWN = "not recorded"
NO_REPORTS = ("_crf.json", "_calibration.json")
"""Ends of names of files beside reports: of `search-crf` and of `evaluate --calibration`."""


def text(form: Format, result: Export, gate: Gate, run: RunFolder, split: str) -> str:
    """Markdown that says what was exported: network, data, command, classes, input, output, scores and limits.

    Args:
      form: that it was exported in.
      result: what the gate has found.
      gate: that it has passed.
      run: folder of the run that the weights are of; what it lacks is "not recorded".
      split: that scores were measured on, for people.

    Raises:
      ConfigError: a file of the run is damaged.
    """
    network = gate.network
    title = f"# {network.model.name}, {network.spec.name}: {form.label}"
    parts = [
        title,
        _table(("", ""), _origin(network, run)),
        "## Classes",
        _classes(network.spec),
        "## Input",
        "\n".join(_input(network, form)),
        "## Output",
        "\n".join(_output(network, form)),
        "## Scores",
        "\n".join(_scores(form, result, gate, run, split)),
        "## Limits",
        "\n".join(_limits(network, run)),
    ]
    return "\n\n".join(parts) + "\n"


def _origin(network, run):
    """(what, where from) of the network."""
    weights = network.identity.get("weights", {})
    made = read_json(run.manifest) if run.manifest.is_file() else {}
    data, packages = weights.get("data") or made.get("data", {}), made.get("packages", {})
    options = network.identity.get("network", {})
    yield "network", ", ".join(f"{key}={json.dumps(value)}" for key, value in options.items()) or UNKNOWN
    yield "trained on", _data(network.spec.name, data)
    program, *arguments = made.get("command") or [""]
    yield "command", f"`{program} {shlex.join(arguments)}`" if program else UNKNOWN
    yield "experiment", made.get("experiment") or UNKNOWN
    yield "commit", weights.get("git_commit") or made.get("git_commit") or UNKNOWN
    yield "versions", ", ".join(f"{name} {version}" for name, version in packages.items()) or UNKNOWN
    yield "seed, step", f"{_or_unknown(weights.get('seed'))}, {_or_unknown(weights.get('step'))}"
    yield "weights", f"{weights.get('file', UNKNOWN)}, digest {weights.get('digest', UNKNOWN)}"
    yield (
        "exported by",
        f"did_tf {network.identity.get('did_tf', UNKNOWN)}, commit {_or_unknown(network.identity.get('git_commit'))}",
    )


def _data(name, data):
    if "samples" not in data:
        return name
    return f"{name}, split {data.get('split', UNKNOWN)}: {data['samples']} images, fingerprint {data['fingerprint']}"


def _classes(spec):
    colours = [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in spec.palette] or [""] * spec.num_classes
    rows = zip(map(str, range(spec.num_classes)), spec.classes, map(str, spec.output_ids), colours)
    return _table(("class", "name", "id in label files", "colour"), rows)


def _input(network: Network, form: Format) -> Iterator[str]:
    spec = network.spec
    bands = ", ".join(spec.band_names or (COLOURS if spec.bands == len(COLOURS) else ("unnamed",)))
    dtype = "float32" if form.name == "litert" and spec.dtype == "uint16" else spec.dtype
    yield f"- `image`: {dtype} [N, height, width, {spec.bands}], any N, height and width. Bands: {bands}."
    measured = " (value * scale + offset, where a TIFF has such tags)" if spec.dtype == "float32" else ""
    yield f"- Pixel values as they are in files{measured}: the network normalises, by"
    yield f"  mean {_listed(spec.mean)} and deviation {_listed(spec.std)}."
    if spec.nodata is not None:
        value = repr(spec.nodata).removesuffix(".0")  # all its digits: it is to be put into images
        yield f"- {value} stands for no data; a pixel is void where {spec.nodata_rule} of its bands have it."


def _output(network: Network, form: Format) -> Iterator[str]:
    places = "[N, height, width" if network.segments else "[N"
    spec = network.spec
    kind = "uint8" if spec.num_classes <= 256 else "int32"
    yield f"- `classes`: {kind} {places}], numbers of the table above; 255 where there is no data."
    told = f"of {', '.join(spec.logits)}, each by itself" if spec.regions else "they add up to 1"
    yield f"- `probabilities`: float32 {places}, {len(spec.logits)}]; {told}, or are 0 where there is"
    yield "  no data."
    if spec.sets:
        yield "- A pixel's class is the one whose regions are the likeliest to be there, and no others:"
        yield f"  {_of_sets(spec)}."
    elif spec.regions:
        yield "- A pixel's class is that of the last region whose probability is above 0.5:"
        yield f"  {_painted(spec)}."
    if network.temperature != 1:
        yield f"- Logits are divided by {network.temperature:.4g} for probabilities: a temperature that was fitted on"
        yield "  validation images, so that the network is as sure as it is often right. Classes are the same without."
    yield f"- Run by {form.runtime} alone."


def _painted(spec):
    """What each region paints, in their order, and what is beneath them."""
    beneath, *painted = (spec.classes[number] for number in spec.painting)
    return ", ".join(f"{name} -> {own}" for name, own in zip(("none", *spec.logits), (beneath, *painted)))


def _of_sets(spec):
    told = []
    for number, regions in spec.sets:
        names = [name for name, there in zip(spec.logits, regions) if there]
        told.append(f"{' and '.join(names) or 'none'} -> {spec.classes[number]}")
    return ", ".join(told)


def _scores(form, result, gate, run, split):
    what = "mIoU" if gate.network.segments else "accuracy"
    yield f"- Compared with the checkpoint in float32 on {gate.source}, at several odd and even sizes: probabilities"
    yield f"  within {result.difference:.1g}, {percent(result.labels)} % of the labels are others."
    if math.isnan(result.score):
        yield f"- {what} of this file: not measured."
    else:
        how = "whole images" if gate.network.segments else "centre crops"
        yield f"- {what} on split {split}, {how}: {percent(result.score)} % of this file,"
        yield f"  {percent(gate.score)} % of the checkpoint in float32."
    for report in _reports(run, gate.network.identity):
        yield f"- Of the run's weights, by its reports: {report}."


def _reports(run: RunFolder, identity: Mapping[str, Any]) -> Iterator[str]:
    """What the weights of an export were scored with: in training, and by `did_tf evaluate` under each protocol.

    Older reports don't say whose scores they are, and are taken to be of these; those of other options are left out.
    """
    exported = identity.get("weights", {}).get("digest")
    best, chosen = run.best / "metrics.json", run.best / "weights.npz"
    own = digest(chosen) if chosen.is_file() else None
    if best.is_file() and _is_of(own, exported) and (own is None or len({*selection.steps_of_best(run)}) == 1):
        told = read_json(best)
        figures = [f"{key} {percent(told[key])} %" for key in told if key != "step"]
        averaged = _averaged(run.settings().get("evaluate", {}) if run.config.is_file() else {})
        step = f"step {told.get('step')}: {', '.join(figures) or 'no scores'}"
        yield f"best validation in training{averaged}, {step}"
    for path in sorted([*run.evaluation.glob("*.json"), *run.evaluation.glob("*/*.json")]):
        if path.name.endswith(NO_REPORTS):
            continue
        report = read_json(path, "outputs", "protocol")
        scored = report.get("identity", {}).get("weights", {}).get("digest")
        protocol = report["protocol"]
        is_same = _is_of(scored, exported) and not _differ(protocol.get("model", {}), identity.get("network", {}))
        if path.parent.name.startswith("first_") or not is_same:
            continue
        figures = report["outputs"].get("main", {})
        scores = [key for key in ("miou", "top1_error") if figures.get(key) is not None]
        score = next((f"{key} {percent(figures[key])} %" for key in scores), "")
        how = f"protocol {protocol.get('name', 'centre crops')}{_averaged(protocol)}"
        yield f"{path.relative_to(run.folder).as_posix()}, {how}: {score}"


def _is_of(scored, exported):
    """Whether scores of weights with one digest say something of those with another; None where nothing tells it."""
    return None in (scored, exported) or scored == exported


def _differ(scored, exported):
    """Whether options that a network computes by, of those that both records have, are others."""
    both = ({*scored} & {*exported}) - {*models.TRAINING_OPTIONS}
    return any(scored[key] != exported[key] for key in both)


def _averaged(told):
    """What scores were averaged over that no export does, by settings of testing."""
    ways = " and ".join(key for key in ("flip", "turns") if told.get(key))
    return f" with {ways}, which this file has not" if ways else ""


def _limits(network: Network, run: RunFolder) -> Iterator[str]:
    file = Path(network.identity.get("weights", {}).get("file", ""))
    chosen = selection.of_run(run) if file.resolve().parent == run.best.resolve() else None
    if chosen:
        yield f"- Chosen: {chosen}."
    settings = run.settings() if run.config.is_file() else {}
    if settings.get("dataset", {}).get("options", {}).get("half"):
        yield "- It has learnt from frames at half size (dataset.options.half): shrink images first."
    if network.segments:
        yield "- An image is labelled whole: memory grows with its size."
    yield "- It knows images like those it was trained on. On others its probabilities say nothing of how right it is."
    yield f"- Licence of the data: {UNKNOWN}; ask whoever published {network.spec.name}."


def _table(heads, rows):
    lines = [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in (heads, *rows)]
    return "\n".join([lines[0], "|---" * len(heads) + "|", *lines[1:]])


def _cell(content: Any) -> str:
    return str(content).replace("|", "\\|").replace("\n", " ")


def _listed(values):
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"


def _or_unknown(value):
    return UNKNOWN if value is None else str(value)
