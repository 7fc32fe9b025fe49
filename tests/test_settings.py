"""Every setting has a kind and a range, and what excludes or needs another says so: before data are read."""

import json
import math

import numpy as np
import pytest
import tiny

from data_pipelines import DataError
from data_pipelines.augment import Augmentation
from did_tf import models, settings, wiring
from did_tf.common.errors import ConfigError
from did_tf.inference import crf
from did_tf.programs import cli
from did_tf.runs.run_folder import RunFolder, flatten
from experiments import base


def test_every_setting_has_a_kind_and_every_kind_a_setting():
    config = base.get_config().to_dict()
    listed = {*flatten(config)} | {*settings.OPEN, "paper"}
    assert set(settings.KINDS) == listed
    for key, value in flatten(config).items():
        settings.KINDS[key].check(key, value)


NAN, INF = math.nan, math.inf
REFUSED = {
    "seed": (-1, 2**31, 1.5, True),
    "dataset.name": ("", 3),
    "dataset.train_split": ("", "train+", ("train",)),
    "dataset.val_split": ("val+train", None),
    "data.crop": ((33,), 33, (33.0, 33), (0, 33), (True, True), "33"),
    "data.scale": ((1.5, 0.7), (0, 1), (NAN, 1), (1, INF), 1.0, "ab"),
    "data.rotation": (-1, 181, NAN, True),
    "data.area": ((0, 1), (0.5,), (0.5, 2), 0.5),
    "data.ratio": ((2, 1), (-1, 1), (0, 1)),
    "data.cache": (1, "yes"),
    "loss.terms": ({"dice": -1}, {"dice": NAN}, {"dice": "1"}, {"dize": 1.0}, ("dice",), "dice"),
    "loss.label_smoothing": (-0.1, 1, NAN, True),
    "loss.focal_gamma": (-0.1, 11, NAN),
    "loss.tversky_alpha": (-0.1, 11, NAN),
    "loss.tversky_beta": (0, 11, NAN),
    "loss.ohem_threshold": (-0.1, 1, 1.1, NAN, True),
    "loss.ohem_keep": (-1, 0.5, INF),
    "loss.ohem_scope": ("crop",),
    "loss.class_balance": (-1, 3, NAN, True),
    "loss.class_frequency": ("eigen", ""),
    "loss.class_weights": ((-1, *(1,) * 10), (NAN,) * 11, "1" * 11, 1.0),
    "loss.output_weights": ({"main": -1}, {"main": NAN}, {"main": "1"}, (1,)),
    "crf.iterations": (0, 1.5, True),
    "crf.appearance_weight": (-1, INF),
    "crf.appearance_xy": (0, 201, NAN),
    "crf.appearance_colour": (0.5, 256, "3"),
    "optimizer.weight_decay": (-1e-4, NAN, INF, True),
    "optimizer.multipliers": ({"encoder": -1}, {"encoder": NAN}, {"backbone": 1}),
    "optimizer.undecayed": ("head", ("head", "head"), ("logits",)),
    "optimizer.clip_norm": (-1, NAN, INF),
    "schedule.learning_rate": (0, -1e-3, NAN, INF, 1e39, 1e-40, True, "1e-3"),
    "schedule.warmup": (-1, 0.5),
    "schedule.boundaries": ((0.0,), (1.0,), (), (0.5, 0.5), 0.5, (NAN,)),
    "schedule.divisor": (0, -10, 0.5, NAN),
    "schedule.power": (0, -1, INF),
    "schedule.final": (0, 1.5, NAN),
    "train.steps": (0, -1, 1.5, True, "10", 2**31),
    "train.hours": (-1, NAN, float("inf"), "2"),
    "train.patience": (-1, 1.5, NAN, True),
    "train.batch_size": (0, 4.0),
    "train.accumulate": (0,),
    "train.parts": (0,),
    "train.ema": (1, -0.1, NAN),
    "train.devices": ("tpu", "cpu*0", "gpu:x", ""),
    "train.freeze_batch_norm": (True, "no"),
    "train.freeze_batch_norm_from": (-1, 1.5),
    "train.keep_checkpoints": (0,),
    "train.panels": (-1,),
    "evaluate.protocols": ("whole", (), ("whole", "whole"), ("crops",)),
    "evaluate.scales": ((), (0,), (-1,), (NAN,), 1.0),
    "evaluate.overlap": (1, -0.1, NAN),
    "evaluate.flip": ("True", 1),
}


@pytest.mark.parametrize("key, value", [(key, value) for key, values in REFUSED.items() for value in values])
def test_a_value_out_of_its_range_is_refused_by_name(key, value):
    """A9: negative rates, decays and norms were accepted, and so was much else."""
    config = tiny.config(**{key.replace(".", "__"): value})
    with pytest.raises(ConfigError) as caught:
        settings.check(config)
    assert str(caught.value).startswith(f"{key} must be ") and "\n" not in str(caught.value)


def test_coordinates_of_the_crfs_lattice_fit_into_16_bits_at_the_ends_of_all_settings():
    """The package's permutohedral lattice has them as short, scaled by sqrt(2/3) (d + 1) / sqrt((j + 1) (j + 2))."""
    least, most = 1.0, 200.0
    for key in ("appearance_xy", "smoothness_xy", "appearance_colour"):
        kind = settings.KINDS[f"crf.{key}"]
        assert kind.holds(least) and not kind.holds(0.99 * least)
        assert key == "appearance_colour" or (kind.holds(most) and not kind.holds(1.01 * most))
    bands, side = crf.MOST_BANDS, crf.TILE + 2 * crf.REACH * most
    features = [side / least] * 2 + [max(map(abs, crf._CLIP)) / least] * bands
    scaled = [value / np.sqrt((j + 1) * (j + 2)) for j, value in enumerate(features)]
    assert np.sqrt(2 / 3) * (len(features) + 1) * sum(scaled) < 2**15


WEIGHTS = (1.0,) * 11
TOGETHER = [
    ({"loss__class_weights": WEIGHTS, "loss__class_balance": 0.4}, "class_weights and loss.class_balance exclude"),
    ({"data__cutmix": 0.6, "data__mixup": 0.5}, r"data.cutmix, .* at most 1, got 0.6 \+ 0 \+ 0 \+ 0.5$"),
    ({"data__paste": 0.5}, "data.paste=0.5 needs data.paste_classes"),
    ({"data__elastic": 1.4}, "data.elastic=1.4 would fold crops .* 11 pixels apart: at most an eighth of that, 1.38"),
    ({"data__elastic": 1.0, "data__area": (0.1, 1.0)}, "data.elastic and data.area exclude each other"),
    ({"loss__class_weights": (0.0,) * 11}, "one above 0"),
    ({"loss__output_weights": {"main": 0.0}}, "leaves nothing to train"),
    ({"loss__terms": {"cross_entropy": 0.0}}, "loss.terms leaves nothing to train"),
    ({"loss__terms": {"dice": 1.0, "focal": 0.0}, "loss__ohem_keep": 9}, "ohem_threshold choose pixels, and dice of"),
    ({"loss__terms": {"lovasz": 1.0}, "loss__ohem_threshold": 0.5}, "add one of cross_entropy, focal"),
    ({"loss__ohem_keep": 33 * 33}, "keeps everything: data.crop has 1089 pixels per image"),
    ({"loss__ohem_keep": 4 * 33 * 33, "loss__ohem_scope": "batch"}, "4356 pixels per batch"),
    ({"data__mixup": 0.5, "loss__ohem_keep": 9, "loss__ohem_scope": "batch"}, "mixup and loss.ohem_scope=batch excl"),
    ({"schedule__warmup": 20}, r"must be less than train.steps=20: shorten it too, as --config.schedule.warmup=2\b"),
    ({"schedule__boundaries": (0.6, 0.3)}, "boundaries must rise"),
    ({"schedule__name": "step", "schedule__warmup": 15}, "begin at step 13 of train.steps=20, within"),
    ({"train__batch_size": 3, "train__accumulate": 2}, "use a multiple of 2"),
    ({"train__batch_size": 6, "train__accumulate": 2, "train__parts": 2}, "use a multiple of 4"),
    ({"train__init": "runs/a", "train__encoder": "imagenet"}, "would replace the encoder of train.init=runs/a"),
    ({"train__sync_batch_norm": True, "train__freeze_batch_norm": "all"}, "nothing to do"),
    ({"train__freeze_batch_norm": "all", "train__freeze_batch_norm_from": 20}, "must be less than train.steps=20"),
    ({"train__jit_compile": True, "train__recompute": True}, "train.jit_compile and train.recompute exclude"),
    ({"train__jit_compile": True, "loss__terms": {"boundary": 0.1}}, "train.jit_compile and boundary of loss.terms"),
    ({"train__hours": 0.5, "train__deterministic": True}, "train.hours=0.5 and train.deterministic exclude"),
    ({"train__shifted_passes": True}, 'needs loss.resolution="features"'),
    ({"optimizer__multipliers": dict.fromkeys(models.PARTS, 0)}, "leaves nothing to train"),
    ({"optimizer__options": {"learning_rate": 1}}, "set schedule.learning_rate instead"),
    ({"optimizer__options": {"weight_decay": 1}}, "set optimizer.weight_decay instead"),
    ({"optimizer__options": {"global_clipnorm": 1}}, "set optimizer.clip_norm instead"),
    ({"optimizer__options": {"use_ema": True}}, "set train.ema instead"),
    ({"optimizer__options": {"beta_1": 1.0}}, r"optimizer.options.beta_1 must be a number in \[0, 1\), got 1.0"),
    ({"optimizer__options": {"epsilon": 0}}, "epsilon must be a number in"),
    ({"optimizer__options": {"momentum": 0.9}}, "optimizer 'adam' has no option 'momentum'"),
    ({"optimizer__options": {"beta1": 0.9}}, "did you mean 'beta_1'"),
    ({"optimizer__options": {"jit_compile": True}}, "has no option 'jit_compile'"),
    ({"optimizer__name": "sgd", "optimizer__options": {"nesterov": True}}, "nesterov needs optimizer.options.momentum"),
    ({"optimizer__name": "lion9"}, "unknown optimizer 'lion9'"),
    ({"dataset__train_split": "train+train"}, "has a split twice"),
    ({"dataset__val_split": "test"}, "for `evaluate` alone"),
    ({"model__growth": 4.5}, "model.growth must be a whole number, got 4.5"),
    ({"model__units": 4}, "model.units must be a tuple of values, each a whole number, got 4"),
    ({"model__grwth": 4}, "model: model 'did' has no option 'grwth', did you mean 'growth'"),
    ({"evaluate__options": {"growth": "x"}}, "evaluate.options.growth must be a whole number, got 'x'"),
    ({"train__stepz": 4}, "unknown setting 'train.stepz', did you mean 'train.steps'"),
]


@pytest.mark.parametrize("changes, message", TOGETHER)
def test_settings_that_are_at_odds_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        settings.check(tiny.config(**changes))


@pytest.mark.parametrize(
    ("key", "may"),
    [
        ("model.dropout", True),
        ("model.growth", False),
        ("data.balance", True),
        ("train.batch_size", False),
        ("loss.terms.dice", True),
        ("optimizer.options.epsilon", True),
        ("dataset.options.height", False),
        ("dataset.options.none", False),
    ],
)
def test_which_settings_may_be_fractions(key, may):
    assert settings.may_be(tiny.config(optimizer__options={"epsilon": 0.01}), key, 0.5) is may


def test_a_setting_that_is_missing_is_named():
    config = tiny.config()
    del config["schedule"]["power"]
    with pytest.raises(ConfigError, match=r"the setting schedule\.power is missing"):
        settings.check(config)


def test_testing_looks_at_what_it_uses_alone():
    """A run of an older version, with settings that training refuses or doesn't know, can still be evaluated."""
    config = tiny.config(schedule__learning_rate=-1.0, loss__class_weights=(1,), train__gone=1)
    del config["loss"]["class_frequency"]
    settings.check(config, training=False)
    config["evaluate"]["overlap"] = 1.0
    with pytest.raises(ConfigError, match=r"evaluate\.overlap"):
        settings.check(config, training=False)


def test_what_is_set_and_changes_nothing_is_told():
    changes = {"schedule__power": 2.0, "loss__ohem_scope": "batch", "data__ratio": (1.0, 2.0), "data__aspect": 0.1}
    changes |= {"data__light_bands": ("red",), "loss__terms": {"dice": 1.0}, "loss__label_smoothing": 0.1}
    changes |= {"data__erase_area": (0.1, 0.2)}
    changes |= {"loss__focal_gamma": 1.0, "loss__tversky_alpha": 0.5, "loss__tversky_beta": 0.5}
    changes |= {"train__patience": 3, "dataset__val_split": ""}
    keys = [key.replace("__", ".") for key in changes]
    told = settings.without_effect(tiny.config(**changes), keys)
    assert told == [
        "data.ratio=(1.0, 2.0) has no effect: it needs data.area",
        "data.light_bands=('red',) has no effect: it needs data.brightness or data.contrast",
        "data.erase_area=(0.1, 0.2) has no effect: it needs data.erase",
        "loss.label_smoothing=0.1 has no effect: it needs loss.terms.cross_entropy",
        "loss.focal_gamma=1.0 has no effect: it needs loss.terms.focal",
        "loss.tversky_alpha=0.5 has no effect: it needs loss.terms.tversky",
        "loss.tversky_beta=0.5 has no effect: it needs loss.terms.tversky",
        "loss.ohem_scope=batch has no effect: it needs loss.ohem_keep",
        "train.patience=3 has no effect: it needs dataset.val_split",
        "schedule.power=2.0 has no effect: it needs schedule.name=poly",
    ]
    assert not settings.without_effect(tiny.config(schedule__name="poly"), ["schedule.power", "train.steps"])


OPEN_DECAY = "optimizer.weight_decay, and an optimizer.name but adamw and muon"
SCALED = "a data.scale of two values, and an empty data.area"


@pytest.mark.parametrize(
    "changes, key, needs",
    [
        ({"optimizer__weight_decay": 0.0}, "optimizer.decay", OPEN_DECAY),
        ({"optimizer__name": "muon"}, "optimizer.decay", OPEN_DECAY),
        ({"optimizer__name": "adamw"}, "optimizer.decay", OPEN_DECAY),
        ({}, "optimizer.decay", ""),
        ({"optimizer__weight_decay": 0.0}, "optimizer.undecayed", "optimizer.weight_decay"),
        ({"optimizer__name": "muon"}, "optimizer.undecayed", ""),
        ({}, "train.init_options", "train.init"),
        ({"train__init": "runs/other"}, "train.init_options", ""),
        ({"dataset__val_split": ""}, "train.panels", "dataset.val_split"),
        ({"dataset__val_split": ""}, "train.validation", "dataset.val_split"),
        ({}, "train.panels", ""),
        ({}, "train.validation", ""),
        ({"data__scale": (1.2, 1.2)}, "data.aspect", SCALED),
        ({"data__area": (0.2, 1.0)}, "data.aspect", SCALED),
        ({}, "data.aspect", ""),
    ],
)
def test_what_a_setting_needs_to_have_an_effect(changes, key, needs):
    config = tiny.config(**{"optimizer__weight_decay": 1e-4, **changes})
    told = settings.without_effect(config, [key])
    assert [line.partition(" has no effect: it needs ")[2] for line in told] == [needs] * bool(needs)


@pytest.mark.parametrize(
    "protocols, validation, idle",
    [
        (("whole",), "whole", {"scales", "overlap"}),
        (("whole", "scales"), "whole", {"overlap"}),
        (("whole", "tiles_once"), "whole", {"scales"}),
        (("tiles",), "whole", set()),
        (("whole",), "scales", {"overlap"}),
        (("whole",), "tiles", set()),
    ],
)
def test_what_no_protocol_uses_is_told(protocols, validation, idle):
    config = tiny.config(evaluate__protocols=protocols, train__validation=validation)
    told = settings.without_effect(config, ["evaluate.scales", "evaluate.overlap", "evaluate.flip"])
    assert {line.partition("=")[0] for line in told} == {f"evaluate.{key}" for key in idle}
    needs = {"scales": "protocol scales or tiles", "overlap": "protocol tiles or tiles_once"}
    assert all(any(line.endswith(f"has no effect: it needs {needs[key]}") for line in told) for key in idle)


def test_the_protocol_of_validation_uses_nothing_where_there_is_no_split_for_it():
    config = tiny.config(evaluate__protocols=("whole",), train__validation="tiles", dataset__val_split="")
    told = settings.without_effect(config, ["evaluate.overlap"])
    assert [line.partition(" has no effect: ")[2] for line in told] == ["it needs protocol tiles or tiles_once"]


def test_what_is_for_segmentation_is_told_where_images_are_classified():
    keys = ["train.panels", "evaluate.scales", "evaluate.flip", "data.rotation"]
    config = tiny.config(evaluate__protocols=("scales",), evaluate__flip=True)
    assert not settings.without_effect(config, keys)
    told = settings.without_effect(config, keys, "classification")
    assert {line.partition("=")[0] for line in told} == {*keys[:3]}
    assert all(line.endswith(" has no effect: it needs data for segmentation") for line in told)


@pytest.mark.parametrize(
    "changes, protocols, given, told",
    [
        ({}, ["whole"], [], []),
        ({"evaluate__flip": True}, ["whole"], [], []),
        ({"evaluate__scales": (0.5, 1.0)}, None, [], []),
        (
            {"evaluate__scales": (0.5, 1.0)},
            None,
            ["--config.evaluate.flip", "--config.crf.iterations=2", "--config.model.dropout=0"],
            ["evaluate.flip has no effect", "crf.iterations has no effect"],
        ),
        ({"evaluate__scales": (0.5, 1.0)}, ["whole"], [], ["evaluate.scales=[0.5, 1.0]"]),
        ({"evaluate__scales": (0.5, 1.0)}, ["whole", "scales"], [], []),
        ({}, ["scales"], ["--config.evaluate.overlap=1/3"], ["evaluate.overlap=0.333"]),
        ({"train__validation": "tiles", "evaluate__overlap": 0.5}, ["scales"], [], ["evaluate.overlap=0.5"]),
        ({"evaluate__scales": (2.0,)}, [], [], ["evaluate.scales=[2.0]"]),
        (
            {"evaluate__protocols": ("tiles",)},
            ["whole"],
            ["--config.evaluate.protocols=('tiles',)"],
            ["evaluate.protocols=['tiles']: used here is whole; "],
        ),
        ({"evaluate__protocols": ("tiles",)}, ["tiles"], ["--config.evaluate.protocols=('tiles',)"], []),
        (
            {},
            ["whole"],
            ["--config.train.precision=bfloat16", "--config.data.crop=(65,65)", "--config.data.hue=0.1"],
            ["train.precision has no effect: it is for training", "data.hue has no effect: it is for training"],
        ),
        ({}, None, ["--config.loss.terms.dice=1.0"], ["loss.terms.dice has no effect"]),
        ({}, ["whole"], ["--config.seed=3"], ["seed has no effect: it is for training"]),
        (
            {"dataset__prepared": "records"},
            ["whole"],
            ["--config.dataset.prepared=records"],
            ["dataset.prepared has no effect: it is for training"],
        ),
        ({"dataset__prepared": "gs://B/records"}, ["whole"], ["--config.dataset.prepared=gs://B/records"], []),
        ({}, ["whole"], ["--config.dataset.prepared="], []),
    ],
)
def test_testing_tells_what_its_protocol_ignores(changes, protocols, given, told, capsys, monkeypatch):
    """Of the experiment as of the command line; what validation in training uses is no matter then."""
    monkeypatch.setattr(cli, "config_arguments", lambda: given)
    cli.tell_idle(json.loads(json.dumps(tiny.config(**changes))), protocols)
    lines = capsys.readouterr().out.splitlines()
    assert [line[: len(start) + 6] for line, start in zip(lines, told)] == [f"note: {start}" for start in told]
    assert len(lines) == len(told)


def test_testing_tells_what_classification_ignores(capsys, monkeypatch):
    given = ["--config.evaluate.protocols=scales", "--config.evaluate.overlap=1/3"]
    monkeypatch.setattr(cli, "config_arguments", lambda: given)
    config = tiny.config(evaluate__protocols=("scales",), evaluate__scales=(0.5,), evaluate__flip=True)
    cli.tell_idle(json.loads(json.dumps(config)), [], "classification")
    lines = capsys.readouterr().out.splitlines()
    told = [line.removeprefix("note: evaluate.").partition("=")[0] for line in lines]
    assert sorted(told) == ["flip", "overlap", "protocols", "scales"]


UNLIKE = ("data.cache", "data.light_bands", "data.paste_classes")  # no augmentation's, and names that data sets know


@pytest.mark.parametrize("key", [key for key in settings.KINDS if key.startswith("data.") and key not in UNLIKE])
def test_the_augmentation_takes_the_same_values(key):
    """Its own checks, for who calls it without settings, agree with the table's."""
    values = [-1, 0, 0.01, 0.15, 0.5, 0.6, 0.99, 1, 1.0, 10, 11, 100, 101, 180, 181, NAN, INF, ()]
    values += [(low, high) for low in (-1, 0, 0.01, 0.5, 1, 33) for high in (0.01, 0.5, 1, 1.0, 2, 100, NAN, INF)]
    flags = {"data.flip_horizontal", "data.flip_vertical"}
    for value in [True, False] if key in flags else values:
        try:
            wiring.make_augmentation(tiny.config(**{key.replace(".", "__"): value}))
            taken = True
        except (DataError, TypeError):
            taken = False
        bounded = settings.KINDS[key].holds(value)
        assert taken or not bounded, (key, value)
        # The table also bounds what a scale, a ratio or an area's side can reasonably be.
        assert bounded or not taken or key in ("data.scale", "data.ratio"), (key, value)


def test_the_checks_of_an_augmentation_refuse_nan():
    for name in ("aspect", "hue", "blur", "rotation"):
        with pytest.raises(DataError):
            Augmentation((9, 9), **{name: NAN})


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_every_command_refuses_before_it_starts(command):
    training = command == "train"
    with pytest.raises(ConfigError, match=r"evaluate\.overlap must be a number in \[0, 1\), got 1\.0"):
        cli.resolve("did_synthetic", RunFolder("/nonexistent"), ["--config.evaluate.overlap=1.0"], training)


# Options of the models


NONSENSE = [
    ("did", {"growth": 0}, "growth"),
    ("did", {"units": (0, 1, 1, 1)}, "units"),
    ("did", {"units": ()}, "units"),
    ("did", {"dilations": (1, 1, 0, -2)}, "dilations"),
    ("did", {"compression": 0.0}, "compression"),
    ("did", {"compression": 1.5}, "compression"),
    ("did", {"compression": 1e-4}, "would have 0 filters"),
    ("did", {"dropout": 1.0}, "dropout"),
    ("did", {"dropout": -0.1}, "dropout"),
    ("did", {"bn_momentum": 1.0}, "bn_momentum"),
    ("did", {"growth": True}, "growth"),
    ("did", {"stem_norm": 1}, "stem_norm"),
    ("duc", {"width": 0}, "width"),
    ("duc", {"aspp": -1}, "aspp"),
    ("duc", {"bn_epsilon": 0.0}, "bn_epsilon"),
    ("duc", {"depth": 14.0}, "depth"),
    ("fcrn", {"dilation": 0}, "dilation"),
    ("fcrn", {"dropouts": (0, 0, 0, 1.0)}, "dropouts"),
    ("fcrn", {"width": -4}, "width"),
    ("ladder", {"width": 0}, "width"),
    ("ladder", {"growth": -1}, "growth"),
    ("ladder", {"units": (0, 1, 1, 1)}, "units"),
    ("ladder", {"split": 4}, "split"),
    ("ladder", {"split": (4, 4)}, "split"),
    ("ladder", {"units": (1, 1, 1, 1)}, "split"),
    ("sunet", {"filters": 0}, "filters"),
    ("sunet", {"depth": 0}, "depth"),
    ("sunet", {"widths": (8, 8, 8, 0)}, "widths"),
    ("fc_densenet", {"growth": 0}, "growth"),
    ("fc_densenet", {"units": (1, -1)}, "units"),
    ("fc_densenet", {"stem": 0}, "stem"),
]


@pytest.mark.parametrize("name, options, told", NONSENSE)
def test_a_model_refuses_nonsense(name, options, told):
    with pytest.raises(ConfigError, match=told):
        models.build(name, 3, (65, 65, 3), **options)


@pytest.mark.parametrize("name", models.names())
def test_every_option_of_a_model_has_a_kind_that_takes_its_default(name):
    kinds = models.option_kinds(name)
    for option, default in models.options(name).items():
        if option not in ("mean", "std"):
            assert kinds[option].words != "any value", option
            kinds[option].check(option, default)
