"""What a result depends on, compared where an earlier one is used: a run that goes on, weights that are loaded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from did_tf.common.errors import ConfigError

MAY_DIFFER: Mapping[str, str] = {
    "dataset.folder": "where the same samples lie: their content is compared",
    "dataset.prepared": "records or files of the same samples: their content is compared",
    "data.cache": "the same pairs, read once or again and again",
    "train.devices": "a name: how many devices compute is compared, and another kind of them is told",
    "train.recompute": "the same update, its features kept or computed again: rounding may differ",
    "train.jit_compile": "the same update, compiled or not: rounding may differ",
    "train.patience": "where the same updates end",
    "train.progress": "shown, not learnt from",
    "train.panels": "shown, not learnt from",
    "train.checkpoint_every": "when the same state is saved",
    "train.keep_checkpoints": "which of the same states stay on the disk",
    "evaluate.protocols": "not used in training",
    "evaluate.scales": "not used in training while train.validation is whole or tiles_once",
    "evaluate.overlap": "not used in training while train.validation is whole or scales",
    "evaluate.blend": "not used in training while train.validation is whole or scales",
    "evaluate.options": "not used in training, whose validation is of the network as it is trained",
    "crf": "not used in training",
    "paper": "the paper's figures, for reports alone",
    "command": "how the same settings were given",
    "machine": "recorded; results of other machines are the same but for rounding",
    "devices": "their number is compared, and another kind of them is told: rounding may differ",
    "python": "recorded; it computes nothing itself",
    "packages": "told where did_tf, TensorFlow or Keras differ: rounding may differ",
    "git_commit": "told: rounding may differ",
}
"""{setting, group of settings or fact of manifest.json: why it may differ within a run}; nothing else may."""
PROTOCOLS_WITH: Mapping[str, tuple[str, ...]] = {
    "evaluate.scales": ("scales", "tiles"),
    "evaluate.overlap": ("tiles", "tiles_once"),
    "evaluate.blend": ("tiles", "tiles_once"),
}
"""{setting of testing: the protocols that use it}."""
STEPS, EXTEND = "train.steps", "train.extend"
_TOLD_PACKAGES = ("did_tf", "tensorflow", "tensorflow-cpu", "keras")
_CONTENT = ("split", "samples", "fingerprint", "meaning")


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}, every key with `prefix` before it."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat.update(flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat


def last_step(train: Mapping[str, Any]) -> int:
    """How many steps a training makes by its section `train`, which of an older run may lack "extend"."""
    return train["steps"] + train.get("extend", 0)


def may_differ(name: str) -> bool:
    """Whether `MAY_DIFFER` has the setting or fact `name`, or a group that it is of."""
    return any(name == known or name.startswith(f"{known}.") for known in MAY_DIFFER)


def changed(old: Mapping[str, Any], new: Mapping[str, Any], protocol: str = "") -> list[str]:
    """Settings that differ between two configs, as from JSON, nested or flat, and may not differ within a run.

    `protocol` is the one that validation went by, where that is known: for lack of memory it may be another than the
    settings say.
    """
    old, new = flatten(old), flatten(new)
    validation = protocol or old.get("train.validation", "whole")
    used = [key for key, protocols in PROTOCOLS_WITH.items() if validation in protocols]
    different = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    return [key for key in different if not may_differ(key) or key in used]


def check_settings(
    folder: object, old: Mapping[str, Any], new: Mapping[str, Any], made: int | None = 0, protocol: str = ""
) -> None:
    """Raises `ConfigError` where settings of a run are `changed`, but that it is extended when it has all of its steps.

    Of a run without validation, as a fold is, those of testing may differ too: nothing of its training uses them.

    Args:
      folder: of the run, for messages.
      old, new: two configs as from JSON.
      made: steps that the run has made; None for what can't be extended.
      protocol: as of `changed`.
    """
    old, new = flatten(old), flatten(new)
    validated = old.get("dataset.val_split", "val")
    keys = [key for key in changed(old, new, protocol) if validated or not key.startswith("evaluate.")]
    steps, more = old.get(STEPS, 0) + old.get(EXTEND, 0), new.get(EXTEND, 0) - old.get(EXTEND, 0)
    if keys == [EXTEND] and more > 0 and made is not None and made >= steps:
        return
    if keys:
        told = differences(old, new, keys)
        raise ConfigError(f"{folder} was started with other settings: {told}; {_way_on(old, new, keys, made, steps)}")


def differences(old: Mapping[str, Any], new: Mapping[str, Any], keys: Iterable[str]) -> str:
    """ "KEY (VALUE, now VALUE), ..." of the first few `keys` of two flat configs, in one line."""
    return " ".join(_listed([f"{key} ({old.get(key)}, now {new.get(key)})" for key in keys]).split())


def _way_on(old, new, keys, made, steps):
    """What to do about settings, `keys`, that are others than those of the run, which has `made` some of its steps."""
    if made is None:
        return "put them back, or use another --run=dir"
    if keys == [STEPS] and new[STEPS] > old[STEPS]:
        setting = f"--config.{STEPS}={old[STEPS]} --config.{EXTEND}={new[STEPS] - old[STEPS]}"
        return f"when it has all of its {steps} steps it is extended by {setting}; else use another --run=dir"
    if keys == [EXTEND] and new[EXTEND] < old[EXTEND]:
        return f"it was extended already: --config.{EXTEND}={old[EXTEND]}, or more"
    if keys == [EXTEND]:
        return f"it has made {made} of its {steps} steps, and is extended when it has made all"
    return "use another --run=dir"


def check_facts(folder: object, was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Compares the facts of a run that goes on with those that it was started with.

    Args:
      folder: of the run, for messages.
      was: its manifest.json.
      now: what `manifest.make` gives in this process, as from JSON.

    Returns:
      Lines to tell of what differs and may.

    Raises:
      ConfigError: training or validation data, protocol of validation, class weights, seed or number of devices are
        others; or the run is of a version that made other samples of the same data.
    """
    if was.get("draws", 1) != now["draws"]:
        raise ConfigError(
            f"{folder} was started by a version that drew crops and light otherwise: go on with that version, or from "
            f"its weights in another run, --run=dir --config.train.init={folder}"
        )
    if found := data_difference(was.get("data", {}), now["data"]):
        raise ConfigError(_other_data(folder, "training", found))
    for what, key in (("training", "data"), ("validation", "validation")):
        _check_content(folder, what, was.get(key), now[key])
    _check_protocol(folder, was.get("validation"), now["validation"])
    _check_equal(folder, "class weights", was.get("class_weights"), now["class_weights"], "class_weights" in was)
    _check_equal(folder, "seed", was.get("seed"), now["seed"], "seed" in was)
    replicas = was.get("replicas", len(was.get("devices", now["devices"])))
    if replicas != now["replicas"]:
        raise ConfigError(
            f"{folder} was started on {replicas} devices, here are {now['replicas']}: batch statistics, dropout and "
            "the order of sums depend on their number; set train.devices to as many, or train anew with --run=dir"
        )
    return _told(_latest(was), now)


def data_difference(was: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What first differs of two `manifest.facts`, in words, empty where nothing does. Facts that `was` lacks don't.

    But for regions, which are told where there are some alone: beside classes their lack says that there were none.
    """
    none: list[object] = []
    if "classes" in was and (old := was.get("regions", none)) != (value := now.get("regions", none)):
        return f"regions are {value or 'none'!s:.60} and were {old or 'none'!s:.60}"
    for key, value in now.items():
        old = was.get(key, value)
        if key in _CONTENT or old == value:
            continue
        if key == "classes" and len(old) == len(value):
            number = next(i for i, (a, b) in enumerate(zip(old, value)) if a != b)
            return f"class {number} is {value[number]!r} and was {old[number]!r}"
        return f"{key} {'are' if key == 'classes' else 'is'} {value!s:.60} and was {old!s:.60}"
    return ""


def network_differences(was: Mapping[str, Any], now: Mapping[str, Any], free: Collection[str] = ()) -> list[str]:
    """ "OPTION (A, here B)" for each option in which two networks differ.

    Args:
      was, now: {"name": of the model, and every option with its value}, as from JSON.
      free: options that are not compared. Networks of another name differ in that alone.
    """
    keys = ["name"] if was.get("name") != now["name"] else sorted({*was, *now} - {*free})
    return [f"{key} ({was.get(key)}, here {now.get(key)})" for key in keys if was.get(key) != now.get(key)]


def check_network(
    weights: object, was: Mapping[str, Any], now: Mapping[str, Any], free: Collection[str], setting: str
) -> None:
    """Raises `ConfigError` where the network that `weights` were trained in is another.

    Args:
      weights: their file, for the message.
      was, now, free: as of `network_differences`.
      setting: that names options which are meant to differ.
    """
    if found := network_differences(was, now, free):
        raise ConfigError(
            f"{weights} is of another network: {_listed(found)}; set model.OPTION as it was trained, or name in "
            f"{setting} what is meant to differ"
        )


def check_data(weights: object, was: Mapping[str, Any], now: Mapping[str, Any], name: str, more: str = "") -> None:
    """Raises `ConfigError` where the data of `weights`, `manifest.facts`, are others than those of data set `name`.

    Its message ends with `more`, what else to do about it.
    """
    if found := data_difference(was, now):
        raise ConfigError(
            f"{weights} was trained on other data than {name} is: {found}; put the data's description back as it was, "
            f"or train anew{more}"
        )


def content_difference(was: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> str:
    """What first differs of two `manifest.content`, in words; empty where nothing does, or one of them is not known."""
    if not (was and now):
        return ""
    for fact in ("split", "samples"):
        if was.get(fact) != now.get(fact):
            return f"{fact} {now.get(fact)!r}, and it was {was.get(fact)!r}"
    if was["fingerprint"] != now["fingerprint"]:
        return f"samples of {now.get('split')} have other content"
    return "" if was["meaning"] == now["meaning"] else f"samples of {now.get('split')} are read in another way"


def _check_content(folder, what, old, new):
    """Raises `ConfigError` where the samples of the training or validation data are others."""
    if found := content_difference(old, new):
        raise ConfigError(_other_data(folder, what, found))


def _check_protocol(folder, old, new):
    """Raises `ConfigError` where images went by another protocol in validation: the best score would be of two."""
    was, now = ((of or {}).get("protocol") for of in (old, new))
    if was and now and was != now:
        raise ConfigError(
            f"{folder} was validated by protocol {was!r:.40}, and memory suffices for {now!r} alone: best/ would be of "
            "scores of both; free as much memory as there was, or train anew with --run=dir"
        )


def _other_data(folder, what, found):
    return (
        f"the {what} data are not those that {folder} was started with: {found}; put them back, or go on with these "
        f"from its weights in another run, --run=dir --config.train.init={folder}"
    )


def _check_equal(folder, what, old, new, known):
    if known and old != new:
        raise ConfigError(
            f"{folder} was started with {what} {old!s:.80}, and here is {new!s:.80}; use another --run=dir"
        )


def _latest(manifest):
    return {**manifest, **(manifest.get("continued") or [{}])[-1]}


def _told(was, now):
    """Lines on versions and devices that are others than those of the last process."""
    pairs = [(name, *(of.get("packages", {}).get(name) for of in (was, now))) for name in _TOLD_PACKAGES]
    pairs.append(("commit", was.get("git_commit"), now["git_commit"]))
    pairs.append(("devices", _kinds(was.get("devices", now["devices"])), _kinds(now["devices"])))
    found = [f"{name} {new} (was {old})" for name, old, new in pairs if was.get("packages") and old != new]
    return [f"going on with {', '.join(found)}: rounding may differ"] if found else []


def _kinds(devices):
    """ "GPU" of TensorFlow's names of devices."""
    return "+".join(sorted({device.rpartition("device:")[2].partition(":")[0] for device in devices}))


def _listed(found):
    return f"{', '.join(found[:3])}{f' and {len(found) - 3} more' if len(found) > 3 else ''}"
