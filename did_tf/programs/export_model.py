"""Exports a trained network: `did_tf export --experiment=did_camvid [--format=onnx,litert] [--output=dir] [--run=dir]`.

Writes a SavedModel, which TensorFlow alone can load, to RUN/saved_model; other formats, each checked, to RUN/exports.
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

import functools
from pathlib import Path
from typing import Any

from absl import flags

from did_tf import api, models, wiring
from did_tf.common.errors import ConfigError, Failure
from did_tf.common.text import aligned
from did_tf.inference import card, export, exports, formats
from did_tf.runs import folds, manifest
from did_tf.runs.run_folder import RunFolder, run_of

flags.DEFINE_list("format", "saved_model", f"Some of {', '.join(formats.NAMES)}, or {formats.ALL}.")
flags.DEFINE_list("precision", [], "Some of float32, float16, bfloat16, int8. Default: float32; of all formats, all.")
flags.DEFINE_string("output", None, "Folder of the export, or of several. Default: in the run, see above.")
flags.DEFINE_string("weights", None, "Weights file or run folder. Default: the best of the run.")
flags.DEFINE_bool("calibrated", False, "Probabilities at the run's temperature.")
flags.DEFINE_integer("limit", None, "Score the first so many images of the validation split only.", lower_bound=1)
FLAGS = flags.FLAGS


def main(config: wiring.Config, run: RunFolder) -> None:
    """Writes the formats and prints how close each is to the network.

    Raises:
      ConfigError, DataError: there are no weights, a flag is no good, a package is missing, or the output is something
        else than an export.
      ExportFailed: a format can't be written or is not what the network is.
      Failure: some of several formats were refused, each of which a line has told.
    """
    chosen = formats.choose(FLAGS.format, FLAGS.precision)
    if formats.ALL not in FLAGS.format:
        for form in chosen:
            form.check_packages()
    cli.tell_idle(config, None)
    gate, trained = _gate(config, run, chosen)
    split = wiring.scored_split(config) + (f" (first {FLAGS.limit} images)" if FLAGS.limit else "")
    describe = functools.partial(card.text, gate=gate, run=trained, split=split)
    if len(chosen) == 1:
        _write(chosen[0], gate, run, describe)
    else:
        _write_all(chosen, gate, FLAGS.output or run.folder / "exports", describe, split)


def _gate(config, run, chosen):
    """What the formats must pass; and the run that the weights are of."""
    source, is_scored = wiring.weights_of(FLAGS.weights, run), len(chosen) > 1 or not chosen[0].exact
    if is_scored and folds.is_in(source):
        raise ConfigError(
            f"{source} is a cross-validation, which has learnt from all images that formats are scored on: export one "
            f"exact format alone, such as --format={formats.SAVED_MODEL.name}"
        )
    model, spec, weights = wiring.load_network(config, source)
    api.tell_half(config)
    options = models.described({**config["model"], **config["evaluate"]["options"]})
    depends: dict[str, Any] = {"weights": weights.recorded(run.folder), "network": options, **manifest.version()}
    temperature = wiring.temperature_of(config, run, "whole", weights, alone=True) if FLAGS.calibrated else 1.0
    depends.update({"temperature": temperature} if FLAGS.calibrated else {})
    needs_images = any(form.precision == "int8" for form in chosen)
    network = wiring.make_network(config, model, spec, depends, needs_images, temperature)
    score = wiring.make_score(config, model, FLAGS.limit) if is_scored else None
    return wiring.make_gate(config, network, score), run_of(weights.file)


def _write(form, gate, run, describe):
    usual = run.saved_model if form is formats.SAVED_MODEL else run.folder / "exports" / form.folder
    result = export.write(form, gate, FLAGS.output or usual, functools.partial(describe, form))
    print(exports.told(form, result))


def _write_all(chosen, gate, folder, describe, split):
    rows = exports.write_all(chosen, gate, folder, describe, split)
    print(f"\n{aligned(exports.table(rows, gate), ruled=(1,))}\n\ntable: {Path(folder) / exports.TABLE}.json and .md")
    if refused := [row.form.folder for row in rows if row.result is None]:
        raise Failure(f"{len(refused)} of {len(rows)} formats were refused, see above: {', '.join(refused)}")


def launch() -> None:
    """What the command line starts."""
    cli.run(main, training=False)
