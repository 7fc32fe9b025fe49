"""Scores a trained network: `did_tf evaluate --experiment=did_camvid [--split=test] [--run=dir]`.

Reports go to RUN/evaluation, those of protocols other than "whole" to a subfolder, and so do partial ones (--limit).
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

import contextlib
import dataclasses
import functools
import sys
from typing import Any

from absl import flags
from tensorflow import keras

from data_pipelines.learnable import check_scored
from data_pipelines.records import Prepared
from data_pipelines.spec import DataError, Dataset, Sample
from did_tf import settings, wiring
from did_tf.common import visualize
from did_tf.common.errors import ConfigError, NotFinite, nearest
from did_tf.common.readout import readout_of
from did_tf.inference import memory
from did_tf.inference.engines import ENGINES, PRECISIONS, USUAL, Engine
from did_tf.inference.refining import RefinedScores
from did_tf.runs import folds, manifest, selection, temperature
from did_tf.runs.run_folder import RunFolder, apart, read_json
from did_tf.runs.selection import Selection
from did_tf.runs.weights import Weights
from did_tf.scoring import baselines, calibration, classification, evaluation, official, surfaces
from did_tf.scoring.calibration import Calibration
from did_tf.scoring.details import DetailScores
from did_tf.scoring.metrics import ConfusionMatrix
from did_tf.scoring.overlapping import RegionScores
from did_tf.scoring.surfaces import SurfaceScores

flags.DEFINE_string("split", "val", "Split of the data set.")
flags.DEFINE_string("weights", None, "Weights file or run folder. Default: the best of the run.")
flags.DEFINE_string("protocol", None, f"One of {', '.join(settings.PROTOCOLS)}. Default: config.evaluate.protocols.")
flags.DEFINE_integer("limit", None, "Take the first so many images only.", lower_bound=1)
flags.DEFINE_bool("last_step", True, "Also score the last step's weights where the best were chosen on the split.")
flags.DEFINE_bool("baselines", False, "Also score the most frequent class, and colour alone.")
flags.DEFINE_bool("details", False, "Also score the borders of the classes, and objects by their size.")
flags.DEFINE_bool("calibration", False, "Also score how sure the network is; on val, fit a temperature.")
flags.DEFINE_bool("surfaces", False, "Also score how far borders are off: Hausdorff-95, normalised surface distance.")
flags.DEFINE_float("tolerance", 2.0, "Pixels that a border may be off, of --surfaces.", lower_bound=0)
flags.DEFINE_bool("crf", False, "Also score a fully connected CRF over the output that counts: config.crf.")
flags.DEFINE_string("engine", "auto", f"What computes the network: one of {', '.join(ENGINES)}.")
flags.DEFINE_string("precision", "float32", f"Of the network's features: one of {', '.join(PRECISIONS)}.")
FLAGS = flags.FLAGS

OF_PIXELS = ("protocol", "baselines", "details", "surfaces", "calibration")
"""Flags that are of segmentation alone."""
CALIBRATION_PICTURE = "{}_calibration.png"
OFFICIAL, CALIBRATION = "official", "calibration"
"""Entries of the report: scores of the data set's own benchmark, and whether the network is as sure as it is right."""
NOT_TAKEN = "no command takes it, for it is of another precision than float32, or of some images alone"


def main(config: wiring.Config, run: RunFolder) -> None:
    """Evaluates under every protocol; prints the scores and writes the reports.

    Raises:
      ConfigError, DataError, ValueError: a flag or setting is no good, there are no weights, or the data can't be read.
      OSError: a report can't be written.
    """
    source, dataset = wiring.weights_of(FLAGS.weights, run), wiring.make_dataset(config)
    check_scored(dataset, FLAGS.split, FLAGS.limit)  # before anything is built
    folds.check_unseen(source, dataset.samples(FLAGS.split)[: FLAGS.limit], FLAGS.split)
    _check_paper(config, dataset)
    if FLAGS.surfaces:
        surfaces.package()
    if FLAGS.calibration:
        calibration.check(dataset.spec)
    if FLAGS.crf and FLAGS.calibration:
        raise ConfigError("calibration is of the network's own probabilities: --calibration goes without --crf")
    segments, samples = dataset.spec.task == "segmentation", dataset.samples(FLAGS.split)[: FLAGS.limit]
    if FLAGS.calibration and _fits(config):
        calibration.check_labelled(dataset, samples)
    refiner = cli.make_refiner(config, dataset.spec, FLAGS.crf)
    crop = tuple(config["data"]["crop"])
    sizes = memory.sizes_of(dataset, samples) if segments else {sample.name: crop for sample in samples}
    protocols = [FLAGS.protocol] if FLAGS.protocol else config["evaluate"]["protocols"]
    ways = protocols if segments else []  # crops go one after the other
    engine = wiring.make_engine(config, FLAGS.engine, FLAGS.precision, ways, sizes, len(sizes))
    model, _, weights = wiring.load_network(config, source, engine.precision_of_model)
    subject = Subject(config["dataset"]["name"], dataset, model, weights, engine)
    if not segments:
        _classify(config, run, subject)
        return
    baselines = _baselines(config, dataset) if FLAGS.baselines else None
    cli.tell_idle(config, protocols)
    done = set()
    for protocol in protocols:
        subject.engine = dataclasses.replace(engine)  # which tells what has computed for this protocol alone
        fitting = wiring.make_fitting(config, model, dataset.spec, protocol, engine=subject.engine, refiner=refiner)
        way = fitting.all(sizes)
        if way not in done:
            _evaluate(config, run, subject, fitting.make(way), way, baselines, refiner)
        done.add(way)


@dataclasses.dataclass
class Subject:
    """What is scored.

    Attributes:
      name: of the data set, in the settings.
      dataset: `Dataset`, of which that of --split, and of its samples those of --limit.
      model: the network.
      weights: that it has.
      engine: what computes it.
    """

    name: str
    dataset: Dataset
    model: keras.Model
    weights: Weights
    engine: Engine

    @property
    def samples(self) -> list[Sample]:
        """Those that are scored."""
        return self.dataset.samples(FLAGS.split)[: FLAGS.limit]

    @functools.cached_property
    def content(self) -> dict[str, Any]:
        """What the samples are, see `manifest.content`; after they were read, which tells all that are damaged."""
        return manifest.content(self.dataset, self.samples, FLAGS.split)

    @functools.cached_property
    def learnt(self) -> str:
        """A line where the weights have learnt from these samples, or may have, see `selection.learnt`."""
        with contextlib.suppress(ConfigError, DataError):  # the run, and what it was trained on, need not be there
            return selection.learnt(self.weights.file, self.weights, self.dataset, self.samples, FLAGS.split)
        return ""

    @functools.cached_property
    def selection(self) -> Selection | None:
        """How the weights were chosen, if by their scores on these samples, and no training has replaced them since."""
        found = selection.of(self.weights.file, self.name, self.content, FLAGS.limit is not None)
        scored = (self.weights.identity or {}).get("step")
        if found is None or scored in (None, found.step):
            return found
        now = f"{self.weights.file} is of step {found.step} meanwhile"
        print(f"note: {now}: how the weights of step {scored}, which are scored here, were chosen is not told")
        return None


def _evaluate(config, run, subject, predictor, protocol, baselines, refiner):
    dataset, engine = subject.dataset, subject.engine
    further = _further_scores(config, run, subject, protocol)

    def take(sample, label, probabilities):
        for scores in further.values():
            scores.update(sample, label, probabilities)

    refined = RefinedScores({evaluation.REFINED: refiner.crf}, refiner, take if further else None) if refiner else None

    def watch(scored):
        if refined:
            refined.update(scored)
        else:
            take(scored.sample, scored.label, scored.probabilities[evaluation.MAIN])

    result = _scored(engine, predictor, dataset, watch)
    others = {**_of_regions(dataset.spec, result), **further}
    told = engine.told()
    if refined:
        result.matrices.update(refined.matrices())
    paper, images = _paper(config), len(result.images)
    report = functools.partial(ConfusionMatrix.report, class_names=dataset.spec.classes)
    last, chosen = _of_last_step(subject, lambda: _main_alone(config, subject, protocol), report)
    print(f"\n{dataset.spec.name} {FLAGS.split}, {images} images, protocol {protocol!r}{_unusual(told)}")
    _tell(subject, paper)
    print(evaluation.table(result, dataset.spec.classes, paper, last))
    print(evaluation.told_interval(result.interval(), result.matrices))
    after = ", after the CRF" if refined else ""
    for name, scores in others.items():
        print(f"\n{scores.title}{after}\n{scores.table(paper) if name == OFFICIAL else scores.table()}")
    folder = _report_folder(run, protocol, engine)
    details = {
        "name": protocol,
        **predictor.told(),
        **told,
        "images": images,
        **_network(config, subject.weights),
    }
    details.update({"crf": config["crf"]} if refiner else {})
    more = {"baselines": baselines, **{name: scores.scores() for name, scores in others.items()}}
    more.update(selection=chosen, identity=_identity(config, run, subject))
    evaluation.write_report(result, dataset, predictor, folder, FLAGS.split, details, paper, refine=refiner, **more)
    if FLAGS.calibration:
        _write_calibration(config, run, further[CALIBRATION], folder, protocol, subject.weights)
    else:
        _sweep_calibration(folder, subject.weights)
    print(f"report: {folder / FLAGS.split}.json and pictures beside it")


def _of_regions(spec, result):
    """{entry of the report: their scores}, where there are regions."""
    return {"regions": RegionScores(spec, result.matrices[evaluation.MAIN])} if spec.regions else {}


def _further_scores(config, run, subject, protocol):
    """{entry of the report: scores} beside the confusion matrix: the benchmark's own, and others if asked for."""
    dataset = subject.dataset
    further: dict[str, Any] = {"details": DetailScores(dataset)} if FLAGS.details else {}
    if FLAGS.surfaces:
        further["surfaces"] = SurfaceScores(dataset.spec, FLAGS.tolerance)
    if FLAGS.calibration:
        further[CALIBRATION] = _calibration(config, run, subject, protocol)
    benchmark = official.find(dataset.spec.name)
    if benchmark and isinstance(dataset, Prepared):
        print(f"no scores of {benchmark.title}, which are of files: records have images and labels alone")
    elif benchmark and benchmark.scores_samples_of(dataset, FLAGS.split):
        further[OFFICIAL] = benchmark(dataset)
    elif benchmark:
        more = "; where they overlap, the table counts pixels more than once"
        told = more if any(sample.window for sample in subject.samples) else ""
        print(f"{FLAGS.split} has parts of images: no scores of {benchmark.title}, which are of whole ones{told}")
    return further


def _calibration(config, run, subject, protocol):
    """`Calibration` that fits a temperature on the validation split, and takes the run's own to look at another."""
    given = None if _fits(config) else wiring.temperature_of(config, run, protocol, subject.weights)
    return Calibration(subject.dataset.spec, len(subject.samples), given)


def _fits(config):
    """Whether a temperature is fitted on --split."""
    return FLAGS.split == (config["dataset"]["val_split"] or "val")


def _write_calibration(config, run, found, folder, protocol, weights):
    visualize.save_figure(folder / CALIBRATION_PICTURE.format(FLAGS.split), found.figure())
    if found.measured.halves:
        path = folder / temperature.name_of(FLAGS.split)
        averaged = wiring.averaged_by(config, protocol)
        temperature.write(path, FLAGS.split, protocol, weights.digest, found.scores(), averaged)
        is_taken = path == temperature.file_of(run, protocol, FLAGS.split)
        print(f"temperature: {path}; {_taken(protocol) if is_taken else NOT_TAKEN}")


def _sweep_calibration(folder, weights):
    """Deletes the picture of an earlier calibration, unless the temperature beside it is of the weights."""
    path, own = folder / temperature.name_of(FLAGS.split), False
    with contextlib.suppress(ConfigError):  # a damaged one is of none
        own = path.is_file() and read_json(path).get("weights") == weights.digest
    if not own:
        (folder / CALIBRATION_PICTURE.format(FLAGS.split)).unlink(missing_ok=True)


def _taken(protocol):
    """Which commands take the temperature of a protocol: an exported network sees images whole."""
    if protocol == "whole":
        return "`predict`, `serve` and `export` take it with --calibrated"
    return f"`predict` and `serve` take it with --calibrated --protocol={protocol}"


def _main_alone(config, subject, protocol):
    """Confusion matrix of the output that counts, by the weights that the network has."""
    of, readout = [evaluation.MAIN], readout_of(subject.dataset.spec)
    predictor = wiring.make_predictor(config, subject.model, protocol, of, subject.engine, readout)
    return _scored(subject.engine, predictor, subject.dataset).matrices[evaluation.MAIN]


def _scored(engine, predictor, dataset, watch=None):
    streams, show, limit = engine.images_at_once(predictor), sys.stderr.isatty(), FLAGS.limit
    return evaluation.evaluate(predictor, dataset, FLAGS.split, show, limit, watch, streams)


def _of_last_step(subject, score, figures):
    """(what `score()` gives for the weights of the last step, or None; entry of the report on how weights were chosen).

    Args:
      subject: whose network has the last step's weights while it is scored, where others were chosen.
      score: function that scores it.
      figures: function that makes of the score what goes into the report.
    """
    found = subject.selection
    if not found:
        return None, None
    entry = {key: getattr(found, key) for key in ("split", "validations", "step", "last_step")}
    if not FLAGS.last_step or found.is_last or not found.checkpoint:
        return None, {**entry, "last": None}
    try:
        with found.last_weights(subject.model) as digest:
            last = score()
    except (ConfigError, NotFinite) as error:
        print(f"note: the weights of the last step have no scores: {error}")
        return None, {**entry, "last": None}
    return last, {**entry, "last": {**figures(last), "weights": digest}}


def _tell(subject, paper):
    """Lines on how the weights were chosen, whether they know the images, and which the paper's are of."""
    if subject.selection:
        print(subject.selection)
    if paper and paper["split"] != FLAGS.split:
        print(f"the paper's figures are of {paper['split']}, which has other images than {FLAGS.split}")
    if subject.learnt:
        print(f"note: {subject.learnt}")


def _classify(config, run, subject):
    dataset, engine = subject.dataset, subject.engine
    if given := [name for name in OF_PIXELS if FLAGS[name].value]:
        raise ConfigError(f"{dataset.spec.name} is for classification: no --{given[0]}")
    cli.tell_idle(config, [], dataset.spec.task)

    def score():  # anew, for it may be of other weights
        classifier = wiring.make_classifier(config, subject.model, engine)
        return classification.evaluate(classifier, dataset, FLAGS.split, sys.stderr.isatty(), FLAGS.limit)

    result, told = score(), engine.told()
    paper, folder = _paper(config), _report_folder(run, "whole", engine)
    last, chosen = _of_last_step(subject, score, classification.errors)
    print(f"\n{dataset.spec.name} {FLAGS.split}, {len(result.images)} images, centre crops{_unusual(told)}")
    _tell(subject, paper)
    print(classification.table(result, paper, last))
    print(classification.told_interval(result))
    classifier = wiring.make_classifier(config, subject.model)
    details = {
        "crop": classifier.crop,
        "resize": classifier.resize,
        **told,
        **_network(config, subject.weights),
    }
    more = {"selection": chosen, "identity": _identity(config, run, subject)}
    classification.write_report(result, folder, FLAGS.split, details, paper, **more)
    print(f"report: {folder / FLAGS.split}.json")


def _network(config, weights):
    """The weights and the options of the model, which need not be those of training."""
    return {"weights": str(weights.file), "model": {**config["model"], **config["evaluate"]["options"]}}


def _identity(config, run, subject):
    """What the scores depend on: the weights, the images and labels, the settings and the version."""
    weights = subject.weights.recorded(run.folder)
    return {"weights": weights, "data": subject.content, "settings": config, **manifest.version()}


def _paper(config):
    """The paper's figures, which may be of another split, or None."""
    return config["paper"] if "split" in config["paper"] else None


def _check_paper(config, dataset):
    """Raises `ConfigError` where the paper has a figure of a class that there isn't."""
    classes = dataset.spec.classes
    for name in config["paper"].get("classes", {}):
        if name not in classes:
            raise ConfigError(
                f"paper.classes has {name!r}, which is no class of {dataset.spec.name}{nearest(name, classes)}"
            )


def _unusual(told):
    return "".join(f", {told[key]}" for key, usual in USUAL.items() if told[key] != usual)


def _report_folder(run, protocol, engine):
    """Figures of another precision than float32 have a folder of their own."""
    name = "_".join([protocol, *([engine.precision] if "precision" in engine.unusual() else [])])
    return apart(run.evaluation, name, FLAGS.limit)


def _baselines(config, dataset):
    train_split = config["dataset"]["train_split"].split("+")[0]
    found = baselines.baselines(dataset, train_split, FLAGS.split, FLAGS.limit)
    print(f"\nbaselines, fitted on {train_split}")
    print("\n".join(f"{name}: mIoU {100 * miou:.1f} %" for name, miou in found.items()))
    return found


def launch() -> None:
    """What the command line starts."""
    cli.run(main, training=False)
