"""The weights that the audit suggests are those that training then has; and how weights are given."""

import dataclasses
import json
import re
import shlex

import numpy as np
import pytest
from folders import write_image
from in_memory import SPEC, noise
from inria_folder import make_inria

from data_pipelines import load
from data_pipelines.audit.survey import survey
from data_pipelines.pipeline import Loader
from data_pipelines.programs import audit
from did_tf import wiring
from did_tf.common.errors import ConfigError
from did_tf.programs import cli
from did_tf.runs.run_folder import RunFolder
from did_tf.training.losses import class_weights


@pytest.fixture
def folder(tmp_path):
    """CamVid with four of its classes, rare ones and void among them."""
    rng = np.random.default_rng(0)
    for number in range(5):
        label = rng.choice([0, 3, 8, 10, 11], (24, 32), p=(0.5, 0.3, 0.15, 0.01, 0.04) if number else (1, 0, 0, 0, 0))
        write_image(tmp_path / "train" / f"{number}.png", noise(number))
        write_image(tmp_path / "trainannot" / f"{number}.png", label.astype(np.uint8))
    return tmp_path


def weights_of(folder, arguments):
    """Those of the trainer's loss with `arguments` on the command line."""
    config = cli.resolve("did_camvid", RunFolder("/nonexistent"), arguments)
    loader = Loader(load("camvid", folder), "train", cache=False)
    return np.array(wiring.make_pixel_loss(config, loader).class_weights)


def test_the_lines_that_are_printed_can_be_used(folder, capsys):
    audit.main(["--dataset", "camvid", "--folder", str(folder), "--output", str(folder / "audit")])
    lines = re.findall(r"those of \w+: (--config.*)", capsys.readouterr().out)
    counts = survey(load("camvid", folder), "train").counts
    given, balance = (weights_of(folder, shlex.split(line)) for line in lines)
    np.testing.assert_allclose(given, counts.median_frequency_weights(), rtol=1e-6)
    np.testing.assert_allclose(balance, counts.balance_weights(), rtol=1e-6)
    assert np.abs(given / balance - 1).max() > 0.1


def test_weights_of_images_that_are_cut_are_of_their_windows(tmp_path):
    make_inria(tmp_path, size=(60, 60))
    given = ["--dataset", "inria_aerial", "--folder", str(tmp_path), "--output", str(tmp_path / "audit")]
    audit.main([*given, "--splits", "train", "--option", "patch=25"])
    report = json.loads((tmp_path / "audit" / "audit.json").read_text())
    counts = Loader(load("inria_aerial", tmp_path, patch=25), "train", progress=False).class_counts()
    assert [*report["class_weights"].values()] == pytest.approx(counts.median_frequency_weights())
    assert [*report["class_balance_1"].values()] == pytest.approx(counts.balance_weights())


OWN_IDS = dataclasses.replace(
    SPEC, classes=("road", "car", "sky.blue"), palette=((0, 0, 0),) * 3, label_ids=(7, 26, 40)
)


@pytest.mark.parametrize(
    "given, expected",
    [
        ((), ()),
        ({}, ()),
        ([1, 5, 3], (1, 5, 3)),
        ({7: 1, 26: 5, 40: 3}, (1, 5, 3)),
        ({"sky.blue": 3, "26": 5.0, "road": 1}, (1, 5, 3)),
        ({"car": 5}, (1, 5, 1)),
        ({"car": 0}, (1, 0, 1)),
    ],
)
def test_weights_are_given_one_by_one_or_by_id_or_name(given, expected):
    """The ids are those of the label files; a class that is not named weighs 1."""
    assert class_weights(given, OWN_IDS) == expected


@pytest.mark.parametrize(
    "given, message",
    [
        ((1, 2), "has 2 entries; the data set has 3 classes"),
        ({0: 1}, "names '0', which is no class; there are 7 road, 26 car, 40 sky.blue"),
        ({"caar": 1}, "names 'caar', which is no class, did you mean 'car'"),
        ({26: 1, "car": 2}, "names the class car twice"),
    ],
)
def test_weights_that_fit_no_class_are_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        class_weights(given, OWN_IDS)


def test_a_name_that_is_the_id_of_another_class_is_refused():
    spec = dataclasses.replace(SPEC, classes=("1", "0"))
    with pytest.raises(ConfigError, match="names '1', which is the name of one class and the id of another"):
        class_weights({"1": 2.0}, spec)
    assert class_weights({"0": 2.0}, dataclasses.replace(SPEC, classes=("0", "b"))) == (2.0, 1.0)


def set_to(text):
    """Resolved class weights for `text` on the command line."""
    arguments = [f"--config.loss.class_weights={text}", "--config.loss.class_balance=0"]
    return json.loads(
        json.dumps(cli.resolve("did_folders", RunFolder("/nonexistent"), arguments)["loss"]["class_weights"])
    )


def test_a_map_on_the_command_line_keeps_its_classes():
    assert set_to("{0:1, 1:5, 2:3}") == {"0": 1, "1": 5, "2": 3}
    assert set_to("{'sky.blue': 0.5, 'car': 2}") == {"sky.blue": 0.5, "car": 2}
    assert set_to("[1, 5, 3]") == set_to("(1, 5, 3)") == [1, 5, 3]


@pytest.mark.parametrize(
    "text", ["{5,1,3}", "{0:-1}", "{0:'a'}", "{0:1,0:5}", "5", "abc", "{(1,2):1}", "{'a':{'b':1}}"]
)
def test_what_is_neither_is_refused(text):
    with pytest.raises(ConfigError, match="^loss.class_weights"):
        set_to(text) if text != "{(1,2):1}" else class_weights({(1, 2): 1}, OWN_IDS)


@pytest.mark.parametrize(
    "setting",
    [
        *("data.crop={65:1,97:2}", "data.scale={0.5:1,1.0:2}", "evaluate.scales={1.0}", "evaluate.protocols={'whole'}"),
        *("schedule.boundaries={0.5:1}", "optimizer.undecayed={'encoder':1}", "train.init_options={'a'}"),
        *("model.units={1:2}", "data.area={0.1:1,0.2:2}", "data.ratio={1,2}", "data.light_bands={'red'}"),
    ],
)
def test_no_other_setting_takes_a_map_or_a_set_for_a_tuple(setting):
    with pytest.raises(ConfigError, match=f"^{setting.partition('=')[0]} must be "):
        cli.resolve("did_folders", RunFolder("/nonexistent"), [f"--config.{setting}"])
