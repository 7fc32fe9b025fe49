"""What the runs on disk have reached: the best measured figure of an experiment, to stand beside its paper's."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from did_tf.runs import selection, weights
from did_tf.runs.identity import changed, flatten
from did_tf.runs.run_folder import RunFolder, damage_of, default_run, read_json

MIOU = "miou"
"""The figure that counts in segmentation."""
TOP1 = "top1_error"
"""The figure that counts in classification."""
BUILDINGS, MAXF = "building_iou", "maxf"
"""Those of the benchmarks Inria Aerial and KITTI road."""
_IN_TRAINING = {MIOU: lambda scores: scores["miou"], TOP1: lambda scores: 1 - scores["top1_accuracy"]}
_IN_REPORT = {
    BUILDINGS: lambda report: report["outputs"]["main"]["classes"]["building"]["iou"],
    MAXF: lambda report: report.get("official", {}).get("birds_eye", {}).get("urban_road", {}).get("maxf"),
}


@dataclasses.dataclass(frozen=True)
class Result:
    """A figure that a run has reached.

    Attributes:
      score: the figure that counts, a fraction.
      where: split, and protocol or "in training".
      altered: whether the run, or the report, had other settings than its experiment says now.
      run: its folder.
      outdated: whether the run has other weights to use than those that were scored.
      classes: (how many classes the mean is of, how many there are), where a report says it.
      last: the same score of the weights of the last step, where those that have `score` were chosen by their scores on
        the same split and both were measured.
      report: the file that says it, or None where training does.
    """

    score: float
    where: str
    altered: bool
    run: Path
    outdated: bool = False
    classes: tuple[int, int] | None = None
    last: float | None = None
    report: Path | None = None


def best(
    experiment: str | Sequence[str], config: Mapping[str, Any], metric: str, runs: Path | str = "runs"
) -> Result | None:
    """The best `Result` of the runs of an experiment, or None.

    Reports on the paper's split come first, of whole images or tiles, whichever is better; then those on the
    validation split and the best validation of training; and last what is outdated. Where nothing is held out for
    validation, as in training for a benchmark's server, only the paper's split counts.

    Args:
      experiment: its name, NAME or NAME:ARG; several where they have the same settings.
      config: its settings, plain and nested.
      metric: the figure that counts, `MIOU`, `TOP1`, `BUILDINGS` or `MAXF`.
      runs: folder of run folders. A run is the experiment's where its manifest says so, or, where that says nothing
        (older runs, and reports on weights of other runs), where it has the experiment's default name.

    Raises:
      ConfigError: a file of a run is damaged.
    """
    found = [found for run in _runs(experiment, runs) for found in _results(run, config, metric)]
    if not found:
        return None
    better = -1 if metric == TOP1 else 1
    _, result = max(found, key=lambda pair: (not pair[1].outdated, pair[0], better * pair[1].score))
    return result


def _runs(experiments, runs):
    names = [experiments] if isinstance(experiments, str) else experiments
    for path in sorted(Path(runs).glob("*/")):
        run = RunFolder(path)
        name = run.trained_by()
        if name in names or (name is None and run.folder.name in [default_run(known).name for known in names]):
            yield run


def _results(run, config, metric):
    """[(whether it is on the paper's split, Result)] of a run."""
    altered = _is_altered(run.settings() if run.config.is_file() else {}, config)
    for of_paper, figures in _scores(run, config, metric):
        if figures["score"] is not None:
            figures["altered"] = altered or figures.get("altered", False)
            yield of_paper, Result(**figures, run=run.folder)


def _is_altered(settings, config, protocol="", refined=False):
    """Whether settings of a run, or of its report by a protocol, are others than its experiment's are now.

    Those that are younger than the file had no effect on it, and those of a CRF unless the figure is `refined` by one.
    """
    now, using = flatten(config), {"train.validation": protocol} if protocol else {}
    was = {**now, **flatten(settings)}
    groups = ("evaluate.options.",) * bool(protocol) + ("crf.",) * refined
    options = [key for key in {*was, *now} if key.startswith(groups)]
    return bool(changed({**was, **using}, {**now, **using})) or any(was.get(key) != now.get(key) for key in options)


def _outdated(run, scored):
    """Whether the weights that were `scored`, as of `Weights.recorded`, were the run's own and are so no longer."""
    present = weights.in_run(run.folder) if scored.get("own") else None
    return present is not None and weights.digest(present) != scored["digest"]


def _scores(run, config, metric):
    """[(whether on the paper's split, what of a `Result` is known then)] of a run."""
    validation = config["dataset"]["val_split"]
    papers = config["paper"].get("split")
    for split in {papers, validation} - {None, ""}:
        for path in (run.evaluation / f"{split}.json", *run.evaluation.glob(f"*/{split}.json")):
            if path.is_file() and not path.parent.name.startswith("first_"):  # partial reports
                with damage_of(path):
                    report = read_json(path)
                    scored = report.get("identity", {})
                    refined = metric == MAXF and "crf" in report["protocol"]  # of the others the network's own counts
                    figures = {
                        "score": _number(_figure(report, metric)),
                        "where": f"{split}, {_way(report['protocol'], refined)}",
                        "classes": _classes(report["outputs"]["main"]),
                        "last": _last(report, metric),
                        "report": path,
                        "outdated": _outdated(run, scored.get("weights", {})),
                        "altered": _is_altered(
                            scored.get("settings", {}), config, report["protocol"].get("name", ""), refined
                        ),
                    }
                yield split == papers, figures
    if metric in _IN_TRAINING and (run.best / "metrics.json").is_file():
        scores = read_json(run.best / "metrics.json")
        if len(scores) > 1:  # without validation there is the step alone
            last, of = selection.last_scores(run), _IN_TRAINING[metric]
            scored, present = selection.steps_of_best(run)
            with damage_of(run.best / "metrics.json"):
                figures = {
                    "score": _number(of(scores)),
                    "where": f"{validation}, in training",
                    "last": of(last) if last else None,
                    "outdated": scored != present,
                }
            yield False, figures


def _number(figure):
    """A figure, or None for none. Raises TypeError for what is neither."""
    if figure is not None and (isinstance(figure, bool) or not isinstance(figure, (int, float))):
        raise TypeError
    return figure


def _way(protocol, refined):
    """How a report's figures were made, in which precision if it is another than float32, and whether by a CRF."""
    name, precision = protocol.get("name", "centre crops"), protocol.get("precision", "float32")
    return ", ".join([name, *[precision] * (precision != "float32"), *["CRF"] * refined])


def _last(report, metric):
    """`Result.last` of a report: what its "selection" says of the weights of the last step."""
    chosen = report.get("selection")
    if not chosen:
        return None
    return _figure(report, metric) if chosen["step"] == chosen["last_step"] else (chosen["last"] or {}).get(metric)


def _figure(report, metric):
    """The figure that counts of a report, a fraction, or None."""
    return _IN_REPORT[metric](report) if metric in _IN_REPORT else report["outputs"]["main"][metric]


def _classes(report):
    """`Result.classes` of a report on an output; None for classification."""
    ious = [figures["iou"] for figures in report.get("classes", {}).values()]
    return (sum(iou is not None for iou in ious), len(ious)) if ious else None


def figures(result: Result | None) -> dict[str, Any]:
    """All figures of the "main" output in the report of a `Result`, fractions; empty without a report."""
    return read_json(result.report)["outputs"]["main"] if result and result.report else {}


def provenance(result: Result) -> dict[str, Any]:
    """Where a `Result` comes from: "run", and "commit", "seed" and "step" of the weights, None where nothing says it.

    Raises ConfigError where a file of the run is no JSON.
    """
    run = RunFolder(result.run)
    scored = read_json(result.report).get("identity", {}).get("weights", {}) if result.report else {}
    made = read_json(run.manifest) if run.manifest.is_file() else {}
    best = read_json(run.best / "metrics.json") if not result.report else {}
    found = {**made, **best, **scored}
    return {
        "run": str(result.run),
        "commit": found.get("git_commit"),
        "seed": found.get("seed"),
        "step": found.get("step"),
    }
