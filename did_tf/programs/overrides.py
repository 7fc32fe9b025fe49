"""Changes of settings on the command line: --config.KEY=VALUE."""

from __future__ import annotations

import ast
import functools
import json
import operator
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from data_pipelines.programs.command import literal
from data_pipelines.remote import is_remote
from did_tf import models, settings
from did_tf.common.errors import ConfigError, nearest
from did_tf.runs import older
from did_tf.runs.identity import flatten
from experiments import base

_OF_TRAINING, _OF_BOTH = ("data.", "loss.", "optimizer.", "schedule.", "train."), ("data.crop", "train.progress")


def changes(overrides: Iterable[str]) -> dict[str, str]:
    """{key: text} of ["--config.KEY=TEXT", ...]; the last of a key counts. A flag's name alone sets it."""
    pairs = (override[len("--config.") :].partition("=") for override in overrides)
    return {key: text if equals else "True" for key, equals, text in pairs}


def change(config: ConfigDict, texts: Mapping[str, str]) -> None:
    """Sets in `config` what the texts of `changes` stand for; another model or data set brings its own options.

    Raises:
      ConfigError: there is no such setting, or no such model. Whether a setting may have its value, `settings.check`
        says.
    """
    _enter(texts, config)
    _check_keys(texts, config)
    for key, text in texts.items():
        _set(config, key, text)


def idle_in_testing(
    config: Mapping[str, Any], protocols: Sequence[str] | None, given: Collection[str], task: str
) -> list[str]:
    """A line for each setting of testing that is `given`, or not its default, and of no use.

    And for each of training that is given.

    Args:
      config: resolved settings.
      protocols: that are used; None where nothing is tested, and what is given alone is told.
      given: settings of the command line.
      task: of the data set.
    """
    told = [f"{key} has no effect: it is for training" for key in given if _is_of_training(key, config)]
    testing = [key for key in settings.OF_SEGMENTATION if key.startswith("evaluate.")]
    if protocols is None:
        unused = [key for key in given if key in testing or key.startswith("crf.")]
        return told + [f"{key} has no effect: it is for evaluate, predict and submit" for key in unused]
    own, now = flatten(json.loads(json.dumps(base.get_config().to_dict()))), flatten(config)
    keys = [key for key in testing if key in given or now[key] != own[key]]
    used = {"protocols": protocols} if task == "segmentation" else {}
    chosen = {"evaluate": {**config["evaluate"], **used}, "train": {**config["train"], "validation": ""}}
    told += settings.without_effect({**config, **chosen}, keys, task)
    wanted = config["evaluate"]["protocols"]
    if "evaluate.protocols" in given and task == "segmentation" and not {*wanted} <= {*protocols}:
        told.append(f"evaluate.protocols={wanted}: used here is {', '.join(protocols)}; --protocol=NAME says another")
    return told


def _is_of_training(key, config):
    """Whether a setting is of training alone. Testing reads files; but records where they are at a remote place."""
    prepared = config["dataset"]["prepared"]
    if key == "dataset.prepared":
        return bool(prepared) and not is_remote(prepared)
    return key == "seed" or key.startswith(_OF_TRAINING) and key not in _OF_BOTH


def _enter(texts, config):
    """Makes room in `config` for what `texts` bring with them: the options of another model or data set, new keys."""
    if (name := texts.get("model.name", config.model.name)) != config.model.name:
        config.model = ConfigDict({"name": name, **models.own_options(name)})
    if texts.get("dataset.name", config.dataset.name) != config.dataset.name:
        config.dataset.options = ConfigDict()
    known = dict(_items(config))
    for key in texts:
        if key.rpartition(".")[0] in settings.OPEN and key not in known:
            group, option = _place(config, key)
            group[option] = None


def _check_keys(texts, config):
    """Raises `ConfigError` where a change names a setting that does not exist, naming the nearest one."""
    known = dict(_items(config))
    for key in texts:
        if key in settings.OPEN:
            raise ConfigError(f"{key} is set key by key: --config.{key}.KEY=VALUE")
        if key not in known:
            if key in older.RENAMED:
                raise ConfigError(f"setting {key!r} is --config.{older.RENAMED[key]}")
            raise ConfigError(f"unknown setting {key!r}{nearest(key, known)}; --help lists them")


def _place(config, key):
    """(group, name in it) of the setting `key`."""
    *groups, option = key.split(".")
    return functools.reduce(operator.getitem, groups, config), option


def _set(config, key, text):
    group, option = _place(config, key)
    try:
        with config.ignore_type():
            group[option] = _value(text, group[option])
    except (OverflowError, TypeError, ValueError) as error:  # such as of a dict with keys that have dots
        raise ConfigError(f"{key}={text:.100}: {error}") from None


def _value(text, former):
    """What `text` stands for as the value of a setting that was `former`: itself where that is a text."""
    if isinstance(former, str):
        return text
    value = literal(text)
    if isinstance(value, dict):
        _refuse_repeats(text)
        return ConfigDict({str(name): item for name, item in value.items()}, allow_dotted_keys=True)
    return float(value) if isinstance(former, float) and type(value) is int and abs(value) < 2**53 else value


def _refuse_repeats(text):
    """Raises ValueError where a map, as Python writes it, has a key twice: Python takes the last."""
    parsed = ast.parse(text.strip(), mode="eval").body
    keys = [ast.dump(key) for key in parsed.keys if key] if isinstance(parsed, ast.Dict) else []
    if len({*keys}) < len(keys):
        raise ValueError("a key is there twice")


def _items(config, prefix=""):
    """(key with dots, value) of every setting."""
    for key, value in config.items():
        if isinstance(value, ConfigDict):
            yield from _items(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
