"""Labels a video: `did_tf video --run=RUN --input=file|folder --output=out.mp4 [--show=overlay] [--smooth=0.5]`.

The input is a video, or a folder of frames as pictures. The output has the frames of the input with the classes over
them, as many a second. It is there whole at the end, or, after Ctrl-C and errors, not at all.
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from absl import flags
from tqdm import tqdm

import did_tf
from data_pipelines.spec import DataError, voided
from data_pipelines.writing import check_writable, sweep
from did_tf import api, settings
from did_tf.common.errors import ConfigError, about
from did_tf.common.readout import readout_of
from did_tf.inference import video
from did_tf.inference.engines import ENGINES, PRECISIONS

flags.DEFINE_string("input", None, "Video, or folder of frames.")
flags.DEFINE_string("output", None, f"File of the result, which is not there yet: {' '.join(video.CODECS)}.")
flags.DEFINE_string("show", "overlay", f"One of {', '.join(video.SHOWN)}.")
flags.DEFINE_float("smooth", None, "Weight of the frames before, from 0 to less than 1. Default: none.")
flags.DEFINE_float("fps", None, "Frames per second. Default: of the video; of a folder 25.")
flags.DEFINE_integer("limit", None, "Take the first so many frames only.", lower_bound=1)
flags.DEFINE_string("protocol", "whole", f"One of {', '.join(settings.PROTOCOLS)}; settings: config.evaluate.")
flags.DEFINE_string("engine", "tensorflow", f"What computes the network: one of {', '.join(ENGINES)}.")
flags.DEFINE_string("precision", "float32", f"Of the network's features: one of {', '.join(PRECISIONS)}.")
FLAGS = flags.FLAGS
SETTINGS = False
"""See `cli.SETTINGS`."""


def main() -> None:
    """Writes the labelled video and prints how many frames a second that was.

    Raises:
      ConfigError, DataError: a flag is no good, the network takes no such frames, or frames can't be read; those that
        could be are in the output.
      OSError: it can't be written.
    """
    output = _output()
    frames = video.frames_of(FLAGS.input)
    rate = _rate(frames)
    model = did_tf.load(FLAGS.run, protocol=FLAGS.protocol, engine=FLAGS.engine, precision=FLAGS.precision)
    if (model.bands, model.dtype) != (3, np.uint8):
        raise ConfigError(
            f"{FLAGS.run} takes {model.bands} bands of {model.dtype}, and a video has 3 of uint8: label its frames by "
            "`did_tf predict`"
        )
    done, seconds = _label(frames, rate, _labelling(model, frames), model.spec, output)
    print(f"{done} frames in {seconds:.1f} s, {done / seconds:.2f} a second: {output}")
    if FLAGS.limit is None:
        frames.check(done, rate)


def _output():
    """Path of the output. Raises `ConfigError` where a flag is missing or no good."""
    for name in ("run", "input", "output"):
        if not FLAGS[name].value:
            raise ConfigError(f"--{name} is missing: did_tf video --run=RUN --input=film.mp4 --output=labelled.mp4")
    if FLAGS.experiment or FLAGS.data or cli.config_arguments():
        raise ConfigError("settings are those of the run: video takes --run, and no --experiment, --data or --config")
    if FLAGS.show not in video.SHOWN:
        raise ConfigError(f"--show={FLAGS.show}: it is one of {', '.join(video.SHOWN)}")
    if not 0 <= (FLAGS.smooth or 0) < 1:
        raise ConfigError(f"--smooth={FLAGS.smooth:g}: it is the weight of the frames before, from 0 to less than 1")
    output = Path(FLAGS.output)
    if output.suffix.lower() not in video.CODECS:
        raise ConfigError(f"--output={output}: its name must end with one of {' '.join(video.CODECS)}")
    if os.path.lexists(output):
        same = os.path.exists(FLAGS.input) and os.path.exists(output) and os.path.samefile(FLAGS.input, output)
        raise ConfigError(f"--output={output} is {'the input' if same else 'there already'}: pass another file")
    check_writable(output.parent, "pass another --output=file")
    return output


def _rate(frames):
    """Frames per second of the output. Raises `ConfigError`."""
    rate = frames.rate or video.RATE if FLAGS.fps is None else FLAGS.fps
    if not 0.01 <= rate <= 1000:
        raise ConfigError(f"{rate:g} frames per second: pass --fps from 0.01 to 1000")
    return rate


def _labelling(model: api.Model, frames: video.Frames) -> Callable[[np.ndarray], np.ndarray]:
    """Gives the classes [H, W] of the frame that came last, 255 without data; smoothed where that is asked for."""
    smoothing = video.Smoothing(FLAGS.smooth or 0, readout_of(model.spec))

    def filled(frame: np.ndarray) -> np.ndarray:
        """What the network sees: the mean where there is no data, as of the images that it has learnt from."""
        if frames.void is None:
            return frame
        return np.where(frames.void[..., None], model.spec.filling, frame).astype(frame.dtype)

    def smoothed(frame: np.ndarray) -> np.ndarray:
        found = model.predict(filled(frame), probabilities=True)
        if frames.void is not None:
            found[frames.void] = np.nan
        return smoothing(found)

    def alone(frame: np.ndarray) -> np.ndarray:
        return voided(model.see(*model.measured(filled(frame))), frames.void)

    return smoothed if FLAGS.smooth else alone


def _label(frames, rate, classes_of, spec, output):
    """(frames done, seconds that they took)."""
    show, start = video.SHOWN[FLAGS.show], time.perf_counter()
    total = min(filter(None, (frames.count, FLAGS.limit)), default=None)
    sweep(output.parent, output.name)
    with video.writing(output, rate) as writer:
        some = itertools.islice(frames, FLAGS.limit)
        for frame in tqdm(some, desc="video", unit="frame", total=total, disable=None):
            with about(f"frame {writer.done + 1}"):
                writer.write(show(frame, classes_of(frame), spec))
        if not writer.done:
            raise DataError(f"{FLAGS.input} has no frame that can be read")
        return writer.done, time.perf_counter() - start


def launch() -> None:
    """What the command line starts."""
    cli.run_bare(main)
