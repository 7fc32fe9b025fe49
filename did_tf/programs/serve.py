"""Labels images that come by HTTP: `did_tf serve RUN [--host=127.0.0.1] [--port=8000]`.

RUN is a run folder, or a SavedModel of `did_tf export`; it stands first, or is given as --run=RUN. POST an image to
/predict, or open the address in a browser. Ctrl-C or SIGTERM ends it when what is under way is done. There is no
authentication.
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

import sys
from typing import Any

from absl import flags

from data_pipelines import extras
from did_tf import api, settings
from did_tf.common.errors import ConfigError
from did_tf.inference.engines import ENGINES, PRECISIONS

flags.DEFINE_string("host", "127.0.0.1", "Interface to listen at: this machine alone; 0.0.0.0 for all.")
flags.DEFINE_integer("port", 8000, "Port to listen at; 0 for any that is free.")
flags.DEFINE_string("protocol", "whole", f"One of {', '.join(settings.PROTOCOLS)}; settings: config.evaluate.")
flags.DEFINE_string("engine", "tensorflow", f"What computes the network: one of {', '.join(ENGINES)}.")
flags.DEFINE_string("precision", "float32", f"Of the network's features: one of {', '.join(PRECISIONS)}.")
flags.DEFINE_bool("calibrated", False, "?format=confidence at the run's temperature.")
flags.DEFINE_float("max_mb", 64.0, "Size of an image's file, in millions of bytes.")
flags.DEFINE_integer("max_pixels", 25000000, "Pixels of an image.")
flags.DEFINE_integer("queue", 32, "Requests under way; more are told to come again.")
flags.DEFINE_integer("batch", 1, "Images of one size that go through the network together.")
flags.DEFINE_float("send_seconds", 30.0, "In which a request must have been sent, and more of an answer taken.")
flags.DEFINE_float("wait_seconds", 60.0, "That an image waits for its turn.")
flags.DEFINE_integer("grace_seconds", 30, "In which what is under way is finished at the end.")
FLAGS = flags.FLAGS
SETTINGS = False
"""See `cli.SETTINGS`."""


def main() -> None:
    """Serves until a signal comes.

    Raises:
      ConfigError, DataError: a flag is no good, packages are missing, there is no such run, or the port is taken.
      SystemExit: with 128 + the signal.
    """
    try:
        from did_tf.serving import limits, running
    except ImportError as error:
        raise ConfigError(f"`did_tf serve` needs further packages ({error}): {extras.install('serve')}") from None
    if not FLAGS.run:
        raise ConfigError("no run given: did_tf serve RUN (make: RUN), a run folder or a SavedModel of `did_tf export`")
    if FLAGS.experiment or FLAGS.data or cli.config_arguments():
        raise ConfigError("settings are those of the run: serve takes RUN, and no --experiment, --data or --config")
    given: dict[str, Any] = {name: FLAGS[name].value for name in limits.names()}
    allowed = limits.Limits(**given)
    listener = running.bound(FLAGS.host, FLAGS.port)
    with listener:
        how = {"protocol": FLAGS.protocol, "engine": FLAGS.engine, "precision": FLAGS.precision}
        model = api.load(FLAGS.run, **how, together=allowed.batch, calibrated=FLAGS.calibrated)
        if not running.is_private(listener):
            print(f"note: --host={FLAGS.host}: whoever reaches this machine can use it, there is no authentication")
        status = 128 + running.serve(model, listener, allowed)
    raise SystemExit(status)


def launch() -> None:
    """What the command line starts."""
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        sys.argv[1] = f"--run={sys.argv[1]}"
    cli.run_bare(main)
