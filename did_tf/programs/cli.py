"""What the programs share: finding the experiment, overriding its settings, and telling errors in one line."""

from __future__ import annotations

from did_tf.programs import quiet  # noqa: F401  # isort: skip (first)

import contextlib
import functools
import importlib
import importlib.util
import inspect
import json
import os
import signal
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

from absl import flags, logging
from ml_collections import ConfigDict

import experiments
from data_pipelines.remote import is_remote
from data_pipelines.spec import DataError, DatasetSpec
from did_tf import api, models, settings, wiring
from did_tf.cluster import places
from did_tf.common import failures
from did_tf.common.errors import ConfigError, nearest
from did_tf.inference import crf
from did_tf.inference.refining import Refiner
from did_tf.programs.overrides import change, changes, idle_in_testing
from did_tf.runs.identity import flatten
from did_tf.runs.run_folder import RunFolder, default_run, split_name
from did_tf.wiring import Config
from experiments import base

flags.DEFINE_string("experiment", None, "Experiment, NAME or NAME:ARG (see experiments/), or the path of a .py file.")
flags.DEFINE_string("run", None, "Run folder, or a remote place, gs://BUCKET/RUN. Default: runs/EXPERIMENT.")
flags.DEFINE_string("data", None, "Folder of the data set, or remote place of records. Default: data/DATASET.")
flags.DEFINE_bool("debug", False, "Show the traceback of an error.")
FLAGS = flags.FLAGS
REMOTE = ("run", "runs", "data", "weights")
"""Flags that may be remote places. A program that has others says so likewise."""
AUTO = "auto"
"""Experiment that `did_tf plan` writes: AUTO for a user's own data, AUTO:DATASET for others."""
SETTINGS = True
"""Whether there are settings, which --help lists with the experiments. A program that takes none says so likewise."""
REMOTE_SETTINGS = ("config.dataset.prepared", "config.train.init", "config.train.encoder")
"""Settings that may be, whatever the program."""


def run(
    main: Callable[[Config, RunFolder], None], training: bool = True, used: Callable[[Config], Config] | None = None
) -> None:
    """Parses the command line, calls `main(config, run_folder)` and exits.

    Exit status: 0; 2 for bad input or configuration; 1 for a failure while running; 128 + n for signal n. Errors are
    one line on stderr unless --debug, see `failures.end`.

    Args:
      main: takes the resolved config and the `RunFolder`.
      training: whether settings come from the experiment; else they come from the run's config.json where it exists.
      used: gives of the settings those that a training uses, by which a note tells what has no effect; None for all.

    Raises:
      SystemExit: with the status, unless it is 0.
    """
    run_bare(lambda: main(*chosen(training, used)), sys.modules[main.__module__])


def run_bare(main: Callable[[], None], program: ModuleType | None = None) -> None:
    """As `run`, for programs that may do without an experiment: calls `main()`, which can ask for what is `chosen`.

    Args:
      main: takes nothing.
      program: module whose words and flags --help shows, if not that of `main`.

    Raises:
      SystemExit: as `run`.
    """
    program = program or sys.modules[main.__module__]
    try:
        _parse_and_run(main, program)
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
    except Exception as error:
        if FLAGS.is_parsed() and FLAGS.debug:
            raise
        failures.end(error, _run_folder())


def chosen(training: bool = True, used: Callable[[Config], Config] | None = None) -> tuple[Config, RunFolder]:
    """Resolved config and run folder of the experiment on the command line.

    Args:
      training, used: as for `run`.

    Raises:
      ConfigError: there is no experiment, no such one, no such setting, or one can't have its value.
    """
    if not FLAGS.experiment:
        raise ConfigError(f"no experiment given, --experiment=NAME (make: EXP): one of {', '.join(experiment_names())}")
    _check_known(FLAGS.experiment)
    path = FLAGS.run or default_run(FLAGS.experiment)
    run = wiring.open_run(path) if places.is_chief(os.environ) else RunFolder(Path(path).name)
    config = resolve(FLAGS.experiment, run, config_arguments(), training)
    folder = RunFolder(run.folder, FLAGS.experiment, defaults(config["model"]["name"]), run.mirror)
    if training:
        _note(settings.without_effect(used(config) if used else config, changes(config_arguments()), task_of(config)))
    elif folder.config.is_file() and folder.trained_by() not in (None, FLAGS.experiment):
        print(f"{folder.name} is of experiment {folder.trained_by()}: its settings apply, not {FLAGS.experiment}'s")
    wiring.set_data(config, FLAGS.data)
    return config, folder


def tell_idle(config: Config, protocols: Sequence[str] | None, task: str = "segmentation") -> None:
    """Prints a note for each setting of testing that is of no use, see `idle_in_testing`."""
    _note(idle_in_testing(config, protocols, changes(config_arguments()), task))


def make_refiner(config: Config, spec: DatasetSpec, wanted: bool) -> Refiner | None:
    """What refines by the settings `crf`, or None where that is not `wanted`, with a note on settings given for it.

    Raises `ConfigError` as `crf.make` does, and where images are classified.
    """
    if not wanted:
        given = (key for key in changes(config_arguments()) if key.startswith("crf."))
        _note(f"{key} has no effect: it needs --crf" for key in given)
        return None
    if spec.task == "classification":
        raise ConfigError(f"{spec.name} is for classification: no --crf")
    return Refiner(crf.make(spec, config["crf"]), spec.num_classes)


def defaults(model: str) -> Config:
    """Every setting with its default, the options of architecture `model` among them. Raises `ConfigError`."""
    return {**base.get_config().to_dict(), "model": {"name": model, **models.own_options(model)}}


def task_of(config: Config) -> str:
    """That of the data set; what data that can't be described are for is told later, with what is wrong with them."""
    with contextlib.suppress(DataError):
        return wiring.make_spec(config).task
    return "segmentation"


def check_given(model: str) -> None:
    """Raises `ConfigError` for a setting on the command line that there isn't, or that can't have its value.

    What it excludes of others is not looked at: these are not known yet, but for the architecture, `model`.
    """
    _changed(FLAGS.experiment, ConfigDict(defaults(model)), config_arguments(), settings.check_each)


def config_arguments() -> list[str]:
    """The settings on the command line, ["--config.a.b=1", ...]."""
    return [argument for argument in sys.argv[1:] if argument.startswith("--config.")]


def is_auto(name: str | None) -> bool:
    """Whether an experiment is planned, and its settings are those of its run's plan."""
    return split_name(name or "")[0] == AUTO


def planned_dataset(name: str | None) -> str:
    """Name of the data set that experiment AUTO[:DATASET] is of."""
    return split_name(name or AUTO)[1] or "folders"


def experiment_names() -> list[str]:
    """Names of all experiments that come with the project."""
    return sorted(experiment_modules())


def experiment_modules() -> dict[str, str]:
    """{name: module} of the experiments that come with the project: its own files, and those of every system."""
    root = Path(experiments.__file__).parent
    files = [path for path in (*root.glob("*.py"), *root.glob("*/*.py")) if path.stem not in ("__init__", "base")]
    return {path.stem: ".".join(("experiments", *path.relative_to(root).with_suffix("").parts)) for path in files}


def import_experiment(name: str) -> ModuleType:
    """Module of experiment NAME, or of a .py file. Raises `ConfigError` where there is none."""
    if name.endswith(".py"):
        return _import_file(name)
    modules = experiment_modules()
    if name not in modules:
        known = sorted(modules)
        raise ConfigError(f"unknown experiment {name!r}{nearest(name, known)}; known: {', '.join(known)}")
    return importlib.import_module(modules[name])


def load_experiment(name: str) -> ConfigDict:
    """ConfigDict of experiment NAME or NAME:ARG, with the model's options filled in. Raises `ConfigError`."""
    module_name, argument = split_name(name)
    module = import_experiment(module_name)
    if not hasattr(module, "get_config"):
        raise ConfigError(f"experiment {name!r} has no function get_config, which gives its settings")
    if argument and not inspect.signature(module.get_config).parameters:
        raise ConfigError(f"experiment {module_name!r} takes no argument, got {argument!r}")
    try:
        config = module.get_config(*filter(None, [argument]))
    except (TypeError, ValueError) as error:  # the former of a value that is of another kind than its default
        raise ConfigError(f"experiment {name!r}: {error}") from error
    except Exception as error:
        raise ConfigError(f"experiment {name!r}: {type(error).__name__}: {error}") from error
    options = models.own_options(config.model.name)
    config.model.update({key: value for key, value in options.items() if key not in config.model})
    return config


def resolve(name: str, run_folder: RunFolder, overrides: Sequence[str], training: bool = True) -> Config:
    """The settings of an experiment, or a run's own, with changes.

    Where these choose another model.name or dataset.name, that has its own defaults for all options.

    Args:
      name: of the experiment, NAME, NAME:ARG or the path of a .py file.
      run_folder: whose settings are taken where they are there and this isn't `training`.
      overrides: the changes, ["--config.a.b=1", ...].
      training: as for `run`.

    Raises:
      ConfigError: no such experiment or setting, a value that the setting can't have (`settings.check`), or the run's
        settings can't be read.
    """
    if not training and run_folder.config.is_file():
        config = api.settings_of(run_folder)  # alone: the experiment that a run is of may be somebody else's code
    else:
        config = load_experiment(_planned(run_folder) if is_auto(name) else name)
    return _changed(name, config, overrides, functools.partial(settings.check, training=training))


def _changed(name, config, overrides, check):
    """`config`, the settings of `name`, with changes, as plain dicts that `check` has nothing against."""
    try:
        change(config, changes(overrides))
        check(config.to_dict())
        return json.loads(config.to_json())
    except (RecursionError, TypeError) as error:
        raise ConfigError(f"the settings of {name} hold what a config.json can't: {error}") from None


def _check_known(name):
    """Raises `ConfigError` where there is no such experiment, whose settings a run's may replace. Runs no file."""
    if not is_auto(name) and not split_name(name)[0].endswith(".py"):
        load_experiment(name)


def _planned(run_folder):
    """The file of a run's plan. Raises `ConfigError` where it has none."""
    if not run_folder.plan.is_file():
        raise ConfigError(
            f"{run_folder.name} has no plan: did_tf train --experiment={AUTO} --data=DIR --hours=2 makes one and "
            "trains; to cross-validate, did_tf plan --data=DIR --hours=2 and --experiment=plan.py"
        )
    return str(run_folder.plan)


def _note(lines):
    print(*(f"note: {line}\n" for line in lines), sep="", end="")


def _parse_and_run(main, program):
    help_flags = {"--help", "-h"}
    arguments = FLAGS([a for a in sys.argv if a not in {*help_flags, *config_arguments()}])
    if len(arguments) > 1:
        way = "settings are given as --config.KEY=VALUE" if _takes_settings(program) else "--help says what goes where"
        raise ConfigError(f"unexpected argument {arguments[1]!r}: {way}")
    if help_flags & {*sys.argv}:
        print(_help(program))
        return
    logging.set_verbosity(logging.ERROR)
    _check_places(getattr(program, "REMOTE", REMOTE))
    _check_run()
    with wiring.runs_sent():
        main()


def _check_places(allowed):
    """Raises `ConfigError` where a flag or setting is a remote place that can't be one."""
    given = {f"config.{key}": text for key, text in changes(config_arguments()).items()}
    for name, value in {**given, **{flag: FLAGS[flag].value for flag in FLAGS}}.items():
        if is_remote(value) and name not in (*allowed, *REMOTE_SETTINGS):
            raise ConfigError(f"--{name}={value}: a remote place can be {', '.join(f'--{flag}' for flag in allowed)}")


def _check_run():
    """Raises `ConfigError` where the name of the run folder is no text, as TensorFlow wants it."""
    try:
        (FLAGS.run or "").encode()
    except UnicodeEncodeError:
        told = "its name is no text in UTF-8, and TensorFlow writes to no other"
        raise ConfigError(f"--run={FLAGS.run!a}: {told}") from None


def _help(program):
    """The program's words and flags, then, if it takes any, the settings of the experiment given, or those of all."""
    parts = [program.__doc__, FLAGS.module_help(program), FLAGS.module_help(__name__)]
    if not _takes_settings(program):
        return "\n".join(parts)
    if FLAGS.experiment and not is_auto(FLAGS.experiment):  # whose settings no plan has said yet
        parts.append(f"Settings of {FLAGS.experiment} (experiments/base.py explains them, did_tf/models/ the model's):")
        return "\n".join([*parts, *_listed(load_experiment(FLAGS.experiment))])
    parts += ["Experiments:", f"  {AUTO:30} Planned for your data, this machine and your --hours: see did_tf plan."]
    parts += map(_described, experiment_names())
    parts += ["", "Settings and their defaults (experiments/base.py explains them; --experiment=NAME --help: its own):"]
    parts += [*_listed(base.get_config()), "", "The models' options, --config.model.KEY=VALUE (did_tf/models/):"]
    for name in models.names():
        options = " ".join(f"{key}={value}".replace(" ", "") for key, value in models.own_options(name).items())
        parts.append(textwrap.fill(f"{name}: {options}", 100, initial_indent="  ", subsequent_indent="    "))
    return "\n".join(parts)


def _takes_settings(program):
    return getattr(program, "SETTINGS", SETTINGS)


def _described(experiment):
    module = import_experiment(experiment)
    name = f"{experiment}:ROW" if hasattr(module, "ROWS") else experiment
    assert module.__doc__  # every experiment says what it is of
    return f"  {name:30} {module.__doc__.splitlines()[0]}"


def _listed(config):
    """A line for each setting, and for each group that takes any key."""
    listed = {**{f"{group}.KEY": "VALUE" for group in settings.OPEN}, **flatten(config.to_dict())}
    return [f"  --config.{key}={value}" for key, value in sorted(listed.items()) if not key.startswith("paper.")]


def _import_file(path):
    if not Path(path).is_file():
        raise ConfigError(f"no experiment file {path}")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    assert spec and spec.loader  # which a file that ends with .py has
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (ImportError, SyntaxError) as error:
        raise ConfigError(f"experiment {path}: {error}; others are imported by folder, as experiments.did is") from None
    except Exception as error:
        raise ConfigError(f"experiment {path}: {type(error).__name__}: {error}") from error
    return module


def _run_folder():
    """That of the command line, or None where it says none, or is another process's: that of the workers' chief."""
    if not FLAGS.is_parsed() or not (FLAGS.run or FLAGS.experiment):
        return None
    return Path(FLAGS.run or default_run(FLAGS.experiment)) if places.is_chief(os.environ) else None
