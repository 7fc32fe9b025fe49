"""What the programs share: finding the experiment, overriding its settings, and telling errors in one line."""

from did_tf import quiet  # noqa: F401  # isort: skip (first)

import importlib
import importlib.util
import json
import re
import signal
import sys
from pathlib import Path

from absl import flags, logging
from ml_collections import ConfigDict, config_flags

import experiments
from data_pipelines import DataError
from did_tf import models
from did_tf.errors import ConfigError, nearest
from did_tf.run_folder import RunFolder, flatten, read_json
from experiments import base

flags.DEFINE_string("experiment", None, "Experiment, NAME or NAME:ARG (see experiments/), or the path of a .py file.")
flags.DEFINE_string("run", None, "Run folder. Default: runs/EXPERIMENT.")
flags.DEFINE_string("data", None, "Folder of the data set. Default: data/DATASET.")
flags.DEFINE_bool("debug", False, "Show the traceback of an error.")
FLAGS = flags.FLAGS

_FROM_DATA = ("mean", "std")  # options of every model that the data set decides


def run(main, training=True):
    """Parses the command line, calls `main(config, run_folder)` and exits.

    Exit status: 0; 2 for bad input or configuration; 1 for a failure while running; 128 + n for signal n. Errors are
    one line on stderr unless --debug.

    Args:
      main: takes the resolved config (a plain dict) and the `RunFolder`.
      training: whether settings come from the experiment; else they come from the run's config.json where it exists.
    """
    run_bare(lambda: main(*chosen(training)))


def run_bare(main):
    """As `run`, for programs that may do without an experiment: calls `main()`, which can ask for what is `chosen`."""
    try:
        _parse_and_run(main)
    except (ValueError, flags.Error) as error:  # ConfigError and DataError among them
        _fail(error, 2)
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
    except Exception as error:
        inner = re.search(r"DataError: ([^\n]+)", str(error))
        _fail(DataError(inner[1]) if inner else error, 2 if inner else 1)


def chosen(training=True):
    """(resolved config, `RunFolder`) of the experiment on the command line, as for `run`. Raises `ConfigError`."""
    if not FLAGS.experiment:
        raise ConfigError(f"no experiment given: EXP=NAME, one of {', '.join(experiment_names())}")
    folder = RunFolder(FLAGS.run or default_run(FLAGS.experiment), FLAGS.experiment)
    overrides = [a for a in sys.argv[1:] if a.startswith("--config.")]
    config = resolve(FLAGS.experiment, folder, overrides, training)
    if FLAGS.data:
        config["dataset"]["folder"] = FLAGS.data
    return config, folder


def experiment_names():
    """Names of all experiments that come with the project."""
    files = Path(experiments.__file__).parent.glob("*.py")
    return sorted(path.stem for path in files if path.stem not in ("__init__", "base"))


def load_experiment(name):
    """ConfigDict of experiment NAME or NAME:ARG, with the model's options filled in. Raises `ConfigError`."""
    module_name, _, argument = name.partition(":")
    module = _import(module_name)
    try:
        config = module.get_config(argument or None)
    except ValueError as error:
        raise ConfigError(f"experiment {name!r}: {error}") from None
    defaults = models.options(config.model.name)
    config.model.update({key: value for key, value in defaults.items() if key not in {*config.model, *_FROM_DATA}})
    return config


def default_run(name):
    """Run folder of experiment NAME[:ARG]: "did_table3:row7" -> runs/did_table3_row7."""
    module, _, argument = name.partition(":")
    return Path("runs") / "_".join(part for part in (Path(module).stem, Path(argument).name) if part)


def resolve(name, run_folder, overrides, training=True):
    """The plain dict of settings: the experiment's, or the run's own, with `overrides` (["--config.a.b=1", ...])."""
    config = load_experiment(name)
    if not training and run_folder.config.is_file():
        config = _settings_of(run_folder)
    _check_keys(overrides, config)
    values = flags.FlagValues()
    holder = config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=["", *overrides])
    values(["", *overrides])
    return json.loads(holder.value.to_json())


def _parse_and_run(main):
    if {"--help", "-h"} & set(sys.argv):
        print(_help())
        return
    arguments = FLAGS([a for a in sys.argv if not a.startswith("--config.")])
    if len(arguments) > 1:
        raise ConfigError(f"unexpected argument {arguments[1]!r}: settings are given as --config.KEY=VALUE")
    logging.set_verbosity(logging.ERROR)
    main()


def _help():
    program = sys.modules["__main__"]
    settings = flatten(base.get_config().to_dict())
    parts = [program.__doc__, FLAGS.module_help(program), FLAGS.module_help(__name__)]
    parts += ["Experiments:", *(f"  {name}" for name in experiment_names())]
    parts += ["", "Settings and their defaults (experiments/base.py explains them), and did's options:"]
    options = {key: value for key, value in models.options("did").items() if key not in _FROM_DATA}
    settings.update({f"model.{key}": value for key, value in options.items()})
    parts += [f"  --config.{key}={value}" for key, value in settings.items()]
    return "\n".join(parts)


def _import(name):
    if name.endswith(".py"):
        if not Path(name).is_file():
            raise ConfigError(f"no experiment file {name}")
        spec = importlib.util.spec_from_file_location(Path(name).stem, name)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    if name not in experiment_names():
        known = experiment_names()
        raise ConfigError(f"unknown experiment {name!r}{nearest(name, known)}; known: {', '.join(known)}")
    return importlib.import_module(f"experiments.{name}")


def _settings_of(run_folder):
    """A run's own settings; those that its file is too old to have, with their defaults."""
    config = base.get_config()
    with config.unlocked(), config.ignore_type():
        config.update(read_json(run_folder.config))
    return config


def _check_keys(overrides, config):
    """Raises `ConfigError` where an override names a setting that does not exist, naming the nearest one."""
    known = set(_keys(config))
    for override in overrides:
        key = override[len("--config.") :].partition("=")[0]
        if key not in known:
            raise ConfigError(f"unknown setting {key!r}{nearest(key, known)}; experiments/base.py lists them")


def _keys(config, prefix=""):
    for key, value in config.items():
        if isinstance(value, ConfigDict):
            yield from _keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _fail(error, status):
    if FLAGS.is_parsed() and FLAGS.debug:
        raise error
    print(f"error: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
    raise SystemExit(status)
