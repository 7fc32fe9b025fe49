"""What the parts of a run are made from: splits that are apart, class weights that are what they are called."""

import contextlib
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
import tiny
from in_memory import InMemory, noise
from own_data import make_five_bands, write_png

from data_pipelines import load
from data_pipelines.datasets.synthetic import Synthetic
from data_pipelines.pipeline import Loader
from data_pipelines.records import Record
from data_pipelines.spec import IGNORE, DataError
from did_tf import models, settings, wiring
from did_tf.cluster.workers import Workers
from did_tf.common import processor
from did_tf.common.errors import ConfigError
from did_tf.inference import engines, memory
from did_tf.programs import cli
from did_tf.runs.run_folder import RunFolder

# What is named as if it held another split of the data set.
HOLDS = {"trainval": ("train", "val"), "trainaug": ("train",)}
ALONE = Workers(tf.distribute.get_strategy())


@pytest.fixture
def unread(monkeypatch):
    """No sample of synthetic is read, and no network built."""
    monkeypatch.setattr(Synthetic, "read", None)
    monkeypatch.setattr(wiring.training, "make_model", None)


class Asked(Exception):
    pass


@pytest.mark.parametrize("deterministic", [True, False])
def test_what_computes_is_chosen_after_how(monkeypatch, tmp_path, deterministic):
    """Operations are the same in every run from the first one on."""
    asked = []

    def stop(devices):
        raise Asked

    monkeypatch.setattr(wiring.training, "compute_deterministically", lambda: asked.append(True))
    monkeypatch.setattr(wiring.training, "make_strategy", stop)
    with pytest.raises(Asked):
        wiring.make_trainer(tiny.config(train__deterministic=deterministic), RunFolder(tmp_path))
    assert asked == [True] * deterministic


# Splits


@pytest.mark.parametrize(
    "train, val, told",
    [
        (
            "train+val",
            "val",
            "3 of 3 samples of 'val' are in 'val' too (val_00000): --config.dataset.val_split= trains",
        ),
        ("train", "train", "12 of 12 samples of 'train' are in 'train' too"),
    ],
)
def test_validation_on_what_is_trained_on_is_refused(unread, tmp_path, train, val, told):
    """A8: `best/` was chosen on learnt images, without a word."""
    config = tiny.config(dataset__train_split=train, dataset__val_split=val)
    with pytest.raises((ConfigError, DataError)) as caught:
        wiring.make_trainer(config, RunFolder(tmp_path))
    assert told in str(caught.value)


def test_joined_splits_that_overlap_are_refused(unread, tmp_path, monkeypatch):
    folder = make_five_bands(tmp_path / "data")
    data = load("folders", folder)
    monkeypatch.setattr(data, "samples", {"train": data.samples("train"), "all": data.samples("train")[2:3]}.get)
    config = tiny.config(dataset__train_split="train+all", dataset__val_split="")
    with pytest.raises(DataError, match="1 of 1 samples of 'all' are in 'train' too.*leave one out"):
        wiring.training._splits(config, data)


def test_splits_that_are_apart_are_taken(tmp_path):
    data = load("folders", make_five_bands(tmp_path / "data"))
    assert wiring.training._splits(tiny.config(), data) == ("train", "val")
    assert wiring.training._splits(tiny.config(dataset__val_split=""), data) == ("train", "")


def test_data_without_a_validation_split_say_how_they_are_trained_on(tmp_path):
    data = load("folders", make_five_bands(tmp_path / "data", count=2, splits={"train": 1.0}))
    told = "no split 'val'; known: train; --config.dataset.val_split= trains without validation"
    with pytest.raises(DataError, match=told):
        wiring.training._splits(tiny.config(), data)


def test_a_label_of_val_that_can_not_be_read_is_told_before_the_first_step(tmp_path, monkeypatch):
    """The first validation may be the last thing that a run does. One that goes on has read them."""
    folder, run = make_five_bands(tmp_path / "data"), RunFolder(tmp_path / "run")
    write_png(folder / "labels" / "scene07.png", np.full((64, 80), 77, np.uint8))  # no class; that of 06 has some
    config = tiny.config(dataset__name="folders", dataset__folder=str(folder), dataset__options={})
    with pytest.raises(DataError, match="^scene07: .*scene07.png.*; mend it, or take it out of the data$"):
        wiring.make_trainer(config, run)
    assert not run.folder.exists()
    monkeypatch.setattr(wiring.training, "saved_steps", lambda folder: [folder / "step_00000006.npz"])
    assert wiring.make_trainer(config, run).steps == config["train"]["steps"]


def test_no_experiment_validates_on_what_it_trains_on():
    modules = {name: cli.import_experiment(name) for name in cli.experiment_names()}
    for name, module in modules.items():
        for row in getattr(module, "ROWS", [None]):
            dataset = cli.load_experiment(f"{name}:{row}" if row else name).dataset
            trained = dataset.train_split.split("+")
            held = {*trained, *(part for split in trained for part in HOLDS.get(split, ()))}
            assert dataset.val_split not in held, name


# Class weights


def labels(*counts, size=(4, 5)):
    """A label map with so many pixels of class 0, 1, ... and void."""
    values = [number for number, count in enumerate(counts) for _ in range(count)]
    return np.array(values + [IGNORE] * (size[0] * size[1] - len(values)), np.uint8).reshape(size)


def weights(maps, balance, frequency="all", **changes):
    """Those that the loss has of a data set of these label maps."""
    pairs = {"train": [(noise(0, (4, 5)), label) for label in maps]}
    classes = changes.pop("classes", ("a", "b", "c"))
    data = InMemory(pairs, classes=classes, palette=((0, 0, 0),) * len(classes), **changes)
    config = tiny.config(loss__class_balance=balance, loss__class_frequency=frequency)
    return wiring.make_pixel_loss(config, Loader(data, "train", progress=False)).class_weights


MAPS = labels(10, 2), labels(8, 0, 4), labels(20)


@pytest.mark.parametrize("power", [0.4, 1.0])
def test_frequencies_among_all_pixels(power):
    found = weights(MAPS, power)
    np.testing.assert_allclose(found, [(4 / 38) ** power, (4 / 2) ** power, 1.0], rtol=1e-12)


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_segnets_frequencies_are_over_the_images_that_hold_the_class(power):
    """A7: what was called SegNet's balancing took all images, and weighed CamVid's fence twice."""
    # 38 of 60, 2 of 20 and 4 of 20 pixels, void among them.
    frequencies = np.array([38 / 60, 2 / 20, 4 / 20])
    np.testing.assert_allclose(weights(MAPS, power, "segnet"), (0.2 / frequencies) ** power, rtol=1e-12)


@pytest.mark.parametrize("frequency", ["all", "segnet"])
def test_no_weight_is_rounded_to_nothing(frequency):
    """A7: four digits gave a class of which there is much the weight 0.0, so that it was never trained."""
    maps = [np.zeros((400, 500), np.uint8)] * 2
    maps[0] = maps[0].copy()
    maps[0][0, :3] = (1, 1, 2)
    found = weights(maps, 1.0, frequency)
    assert 0 < found[0] < 5e-5 and found[1:] == (1.0, 2.0)


@pytest.mark.parametrize("frequency", ["all", "segnet"])
def test_classes_never_seen_weigh_one(frequency):
    assert weights([labels(15, 5)], 1.0, frequency)[2] == 1.0


def test_weights_of_zero_are_told(capsys):
    pairs = {"train": [(noise(0, (4, 5)), labels(10, 10))]}
    data = InMemory(pairs, classes=("a", "b", "c"), palette=((0, 0, 0),) * 3)
    config = tiny.config(loss__class_weights=(1.0, 0.0, 2))
    loss = wiring.make_pixel_loss(config, Loader(data, "train", progress=False))
    assert loss.class_weights == (1.0, 0.0, 2)
    assert capsys.readouterr().out == "classes of weight 0, which are not trained: b\n"


def test_what_makes_no_sense_for_classification_is_refused():
    one_label = {"task": "classification", "classes": ("a", "b", "c")}
    maps = [np.int32(0), np.int32(0), np.int32(1)]
    np.testing.assert_allclose(weights(maps, 1.0, **one_label), [0.75, 1.5, 1])
    with pytest.raises(ConfigError, match="class_frequency=segnet is for segmentation"):
        weights(maps, 1.0, "segnet", **one_label)
    loss = tiny.config(loss__terms={"focal": 1.0, "dice": 0.5, "lovasz": 1.0})["loss"]
    with pytest.raises(ConfigError, match="loss.terms: dice and lovasz need regions"):
        settings.check_loss(loss, InMemory({}, **one_label).spec)
    keep, spec = tiny.config(loss__ohem_keep=4, loss__ohem_scope="batch")["loss"], InMemory({}, **one_label).spec
    with pytest.raises(ConfigError, match="ohem_keep=4 keeps everything: .* one label per image, .*batch_size=4"):
        settings.check_loss(keep, spec, 4)
    settings.check_loss(keep, spec, 5)


def test_a_network_without_a_trained_part_is_refused(tmp_path):
    """FCRN has no decoder: factors of 0 for the others leave nothing."""
    fcrn = {"name": "fcrn", "depth": 14, "width": 4}
    config = tiny.config(model=fcrn, optimizer__multipliers={"encoder": 0, "head": 0.0})
    with pytest.raises(ConfigError, match="optimizer.multipliers leaves nothing to train"):
        wiring.make_trainer(config, RunFolder(tmp_path))


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"model__growth": 0}, "growth"),
        ({"loss__output_weights": {"mian": 1.0}}, "mian"),
        ({"data__crop": (9, 33)}, r"data\.crop=\(9, 33\)"),
        ({"loss__class_weights": (1.0, 2.0)}, "2 entries"),
        ({"data__hue": 0.1, "dataset__options": {"bands": 2}}, r"data\.hue"),
        ({"loss__resolution": "features", "loss__ohem_keep": 33 * 33 - 1}, "ohem_keep=1088 keeps everything"),
        ({"schedule__learning_rate": -1.0}, "learning_rate"),
        ({"optimizer__weight_decay": math.nan}, "weight_decay"),
        ({"train__init": "/nonexistent"}, r"train\.init: no run or weights file"),
        ({"train__encoder": "/nonexistent.h5"}, r"train\.encoder: no run or weights file"),
    ],
)
def test_nothing_is_read_for_settings_that_are_refused(tmp_path, monkeypatch, changes, told):
    monkeypatch.setattr(Synthetic, "read", None)
    with pytest.raises(ValueError, match=told):
        wiring.make_trainer(tiny.config(**changes), RunFolder(tmp_path))


@pytest.mark.parametrize("scope, labels", [("image", 162), ("batch", 648)])
def test_mining_leaves_something_out_of_features(scope, labels):
    """In two passes over 9x9 of them, of crops of 33x33 pixels."""

    def compared(label, shift):
        return {"main": label[:, ::4, ::4], "side": label[:, ::8, ::8]}

    weights = {"main": 0.5, "side": 0.5}
    supervision = SimpleNamespace(labels=compared, passes=((0, 0), (0, 1)), weights=weights)

    def check(keep):
        config = tiny.config(loss__ohem_keep=keep, loss__ohem_scope=scope, loss__resolution="features")
        wiring.training._check_keep(config, supervision)

    check(0)
    check(labels - 1)
    with pytest.raises(ConfigError, match=f"ohem_keep={labels} keeps everything: .* {labels} labels per {scope}$"):
        check(labels)


@pytest.mark.parametrize("cache", [True, False])
def test_what_the_cache_is_going_to_keep_is_known_by_headers(tmp_path, cache):
    """10 x 20 and 30 x 40 pixels of three bands and a label; what is drawn is as if it were nothing."""
    for name, size in (("a", (10, 20)), ("b", (30, 40))):
        write_png(tmp_path / "images" / f"{name}.png", np.zeros((*size, 3), np.uint8))
        write_png(tmp_path / "labels" / f"{name}.png", np.zeros(size, np.uint8))
    content = {"images": "images", "labels": "labels", "classes": ["x", "y"], "splits": {"train": ["a"], "more": ["b"]}}
    (tmp_path / "dataset.yaml").write_text(json.dumps(content))
    config = tiny.config(data__cache=cache, dataset__train_split="train+more")
    assert wiring.memory_kept(config, load("folders", tmp_path)) == 4 * (200 + 1200) * cache
    some = [Record("a", length=50), Record("b", length=7)]
    records = SimpleNamespace(spec=InMemory({}).spec, samples=lambda split: some, size=lambda sample: None)
    assert wiring.memory_kept(config, records) == 2 * 57 * cache
    assert wiring.memory_kept(tiny.config(data__cache=cache), Synthetic()) == 0


@pytest.mark.parametrize("devices", ["cpu", "gpu"])
def test_a_batch_and_the_cache_are_looked_at_together_on_a_cpu(tmp_path, monkeypatch, devices):
    def stop(*given):
        raise Asked(given[-1])

    monkeypatch.setattr(wiring.training, "is_on_cpu", lambda strategy: devices == "cpu")
    monkeypatch.setattr(wiring.training, "memory_kept", lambda config, dataset: 9)
    monkeypatch.setattr(wiring.training, "_with_room", stop)
    with pytest.raises(Asked, match="9" if devices == "cpu" else "0"):
        wiring.make_trainer(tiny.config(), RunFolder(tmp_path))


FREEZE = {"train__freeze_batch_norm": "all"}
ONE = [
    (1, {"train__parts": 2}),
    (1, {"train__accumulate": 2}),
    (2, {}),
    (2, {"train__batch_size": 4, "train__parts": 2, "train__sync_batch_norm": False}),
    (1, {"train__batch_size": 1, **FREEZE, "train__freeze_batch_norm_from": 5}),
]
SEVERAL = [
    (1, {}),
    (2, {"train__sync_batch_norm": True}),
    (1, {"train__batch_size": 4, "train__parts": 2}),
    (1, {"train__batch_size": 1, **FREEZE}),
]


@pytest.mark.parametrize("devices, changes, refused", [(*c, True) for c in ONE] + [(*c, False) for c in SEVERAL])
def test_batch_norm_must_see_more_than_one_position(devices, changes, refused):
    """The pyramid of a Ladder has a grid of one cell; its crop has 3x3 positions at the network's coarsest stride."""
    options = {"growth": 4, "units": (1, 1, 1, 2), "width": 8, "context": "spp"}
    config = tiny.config(**{"data__crop": (129, 129), "train__batch_size": 2, **changes})
    told = pytest.raises(ConfigError, match="batch norm of decoder.context.grid1.bn would see a single position")
    with told if refused else contextlib.nullcontext():
        strategy = SimpleNamespace(num_replicas_in_sync=devices)
        wiring.training._check_positions(config, strategy, models.build("ladder", 5, (None, None, 3), **options))


def test_a_training_on_single_positions_is_refused_before_anything_is_read(tmp_path, monkeypatch):
    """Of a Ladder at stride 64, whose crop is not larger."""
    monkeypatch.setattr(Synthetic, "read", None)
    ladder = {"name": "ladder", "growth": 4, "units": (1, 1, 1, 2), "width": 8}
    config = tiny.config(model=ladder, train__batch_size=2, train__parts=2)
    with pytest.raises(ConfigError, match="^batch norm of .* would see a single position"):
        wiring.make_trainer(config, RunFolder(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


# Protocols


def test_each_protocol_has_its_tiles_and_scales():
    config = tiny.config(evaluate__scales=(0.5, 1.25), evaluate__flip=True)
    model = wiring.make_model(config, wiring.make_spec(config))
    found = {name: wiring.make_predictor(config, model, name) for name in settings.PROTOCOLS}
    assert {name: (predictor.tile, predictor.scales) for name, predictor in found.items()} == {
        "whole": (None, (1.0,)),
        "scales": (None, (0.5, 1.25)),
        "tiles": ((33, 33), (0.5, 1.25)),
        "tiles_once": ((33, 33), (1.0,)),
    }
    assert all(predictor.flip for predictor in found.values())
    # At scale 1 alone, whole images at scales are whole images.
    config["evaluate"]["scales"], image = (1.0,), noise(0, (40, 50))
    once = wiring.make_predictor(config, model, "scales")(image)["main"]
    np.testing.assert_array_equal(once, found["whole"](image)["main"])
    with pytest.raises(ConfigError, match="unknown protocol 'crops'; known: whole, scales, tiles, tiles_once"):
        wiring.make_predictor(config, model, "crops")


# Validation


@pytest.mark.parametrize(
    ("protocol", "free", "tile"),
    [("whole", 1e12, None), ("tiles_once", 1e12, (33, 33)), ("whole", 4.5e8, (33, 33)), ("scales", 4.5e8, (33, 33))],
)
def test_validation_is_by_its_protocol_or_by_what_memory_allows(protocol, free, tile, monkeypatch, capsys):
    monkeypatch.setattr(memory, "free_memory", lambda: free)
    height = 800 if free < 1e9 else 48
    config = tiny.config(train__validation=protocol, dataset__options__height=height, dataset__options__width=height)
    dataset = wiring.make_dataset(config)
    validation = wiring.make_validation(config, wiring.make_model(config, dataset.spec), dataset, ALONE)
    predictor = validation.make_predictor()
    assert predictor.tile == tile and predictor.scales == (1.0,)
    assert ("(protocol tiles_once)" in capsys.readouterr().err) == (free < 1e9)


@pytest.mark.parametrize("constant", [False, True])
def test_each_validation_is_of_the_weights_of_its_moment(monkeypatch, constant):
    """Also where oneDNN computes, for which they are constants."""
    monkeypatch.setattr(processor, "onednn_is_asked_for", lambda: constant)
    config = tiny.config()
    dataset = wiring.make_dataset(config)
    model = wiring.make_model(config, dataset.spec)
    validation = wiring.make_validation(config, model, dataset, ALONE)
    image = noise(1, (48, 64))
    for _ in range(2):
        model.set_weights([1.1 * value for value in model.get_weights()])
        expected = wiring.make_predictor(config, model)(image)["main"]
        np.testing.assert_allclose(validation.make_predictor()(image)["main"], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("protocols", "sizes"), [(["whole"], 2), (["tiles", "scales"], 2), (["tiles", "tiles_once"], 1), ([], 1)]
)
def test_an_engine_is_chosen_by_how_much_there_is_to_do(protocols, sizes, monkeypatch):
    monkeypatch.setattr(engines, "choose", lambda name, precision, streams, *work: work)
    images = {"a": (10, 20), "b": (10, 20), "c": (5, 4)}
    assert wiring.make_engine(tiny.config(), "auto", "float32", protocols, images, 1) == (420, sizes)
    assert wiring.make_engine(tiny.config(), "auto", "float32", protocols, {}, 1)[0] is None
