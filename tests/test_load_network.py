"""Weights are used in the network and for the classes that they were trained for, or not at all."""

import json

import numpy as np
import pytest
import tiny

from did_tf import models, wiring
from did_tf.common.errors import ConfigError
from did_tf.common.files import write_json
from did_tf.programs import cli
from did_tf.runs import checkpoints, identity, manifest
from did_tf.runs.run_folder import RunFolder


def carried(config, **data):
    """What weights of a run with these settings carry."""
    facts = {**manifest.facts(wiring.make_spec(config)), **data}
    made = manifest.make(0, [], facts, None, None, models.described(config["model"]), "float32")
    return manifest.of_weights(made, 3)


@pytest.fixture(scope="module")
def config():
    return tiny.config(model__dilations=(1, 1, 2, 4))


@pytest.fixture(scope="module")
def arrays(config):
    """{name: array} of a network of the settings."""
    model = wiring.make_model(config, wiring.make_spec(config))
    return {name: v.numpy() for name, v in checkpoints.model_state(model).items()}


@pytest.fixture
def file(config, arrays, tmp_path):
    """A weights file that lies in no run folder."""
    checkpoints.write(tmp_path / "w.npz", arrays, carried(config))
    return tmp_path / "w.npz"


def test_weights_of_their_own_network_are_loaded_and_known(config, arrays, file, capsys):
    model, _, weights = wiring.load_network(config, file)
    assert "checked" not in capsys.readouterr().out
    for name, v in checkpoints.model_state(model).items():
        np.testing.assert_array_equal(v.numpy(), arrays[name])
    assert weights.recorded(file.parent)["step"] == 3 and weights.recorded(file.parent)["own"]
    assert not weights.recorded(file.parent / "run")["own"]
    assert json.loads(json.dumps(weights.recorded(file.parent)))["network"]["dilations"] == [1, 1, 2, 4]


@pytest.mark.parametrize(
    ("option", "value"), [("dilations", (1, 1, 2, 2)), ("placement", "areas"), ("stem_pool", 2), ("smoothing", 1)]
)
def test_weights_of_a_network_that_computes_something_else_are_refused(option, value, file):
    """All shapes fit, and a third of the pixels would be others. `smoothing` is what it was: nothing differs."""
    other = tiny.config(**{"model__dilations": (1, 1, 2, 4), f"model__{option}": value})
    if option == "smoothing":
        wiring.load_network(other, file)
        return
    with pytest.raises(ConfigError, match=rf"w.npz is of another network: {option} \(.*, here .*evaluate.options"):
        wiring.load_network(other, file)
    meant = {
        **tiny.config(model__dilations=(1, 1, 2, 4)),
        "evaluate": {**other["evaluate"], "options": {option: value}},
    }
    wiring.load_network(meant, file)


def test_options_of_training_alone_may_differ(file):
    wiring.load_network(tiny.config(model__dilations=(1, 1, 2, 4), model__dropout=0.5, model__bn_momentum=0.5), file)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"classes": "reversed"}, "trained on other data than synthetic is: class 0 is 'sky' and was "),
        ({"mean": [1.0, 2.0, 3.0]}, r"mean is .* and was \[1.0, 2.0, 3.0\]"),
        ({"band_names": ["a", "b", "c"]}, r"band_names is \[\] and was \['a', 'b', 'c'\]"),
    ],
)
def test_weights_of_other_classes_or_pixels_are_refused(config, arrays, tmp_path, data, message):
    """As many classes, so that all shapes fit."""
    classes = list(wiring.make_spec(config).classes)
    data = {"classes": classes[::-1]} if "classes" in data else data
    checkpoints.write(tmp_path / "w.npz", arrays, carried(config, **data))
    with pytest.raises(ConfigError, match=message) as error:
        wiring.load_network(config, tmp_path / "w.npz")
    assert "\n" not in str(error.value)


def test_weights_of_a_fold_say_where_its_data_are(config, arrays, tmp_path):
    """Of the data of all folds the mean is another."""
    write_json(tmp_path / "cross_validation" / "folds.json", {})
    fold = tmp_path / "fold-1"
    checkpoints.write(fold / "best" / "weights.npz", arrays, carried(config, mean=[1.0, 2.0, 3.0]))
    with pytest.raises(ConfigError, match="is of a fold, .*: leave --data out, or pass --data=.*/fold-1/data$"):
        wiring.load_network(config, fold)
    (tmp_path / "cross_validation" / "folds.json").unlink()
    with pytest.raises(ConfigError, match="or train anew$"):
        wiring.load_network(config, fold)


def test_the_run_folder_of_an_older_file_is_asked(config, arrays, tmp_path, capsys):
    checkpoints.write(tmp_path / "best" / "weights.npz", arrays)
    wiring.load_network(config, tmp_path)
    assert "does not say what network it is of" in capsys.readouterr().out
    trained = json.loads(json.dumps(config))
    del trained["model"]["stem_norm"]  # from before there was such an option
    (tmp_path / "config.json").write_text(json.dumps(trained))
    wiring.load_network(config, tmp_path / "best" / "weights.npz")
    assert "does not say" not in capsys.readouterr().out
    with pytest.raises(ConfigError, match="another network: stem_pool"):
        wiring.load_network(tiny.config(model__dilations=(1, 1, 2, 4), model__stem_pool=2), tmp_path)


# Experiments that use the weights of others

BASES = [name for name, module in ((n, cli.import_experiment(n)) for n in cli.experiment_names())]
ALL = [f"{name}:{row}" if row else name for name in BASES for row in getattr(cli.import_experiment(name), "ROWS", [""])]


def resolved(name):
    return cli.resolve(name, RunFolder("/nonexistent"), [])


def runs():
    """{default run folder: experiment}."""
    return {f"runs/{name.replace(':', '_')}": name for name in ALL}


def test_an_experiment_that_starts_from_another_has_its_network_and_classes():
    """Or says in `train.init_options` what differs."""
    starts = {name: resolved(name)["train"]["init"] for name in ALL}
    starts = {name: runs()[init] for name, init in starts.items() if init}
    assert len(starts) >= 9
    for name, source in starts.items():
        (was, now) = (resolved(experiment) for experiment in (source, name))
        free = {*now["train"]["init_options"], *models.TRAINING_OPTIONS}
        networks = [models.described(config["model"]) for config in (was, now)]
        assert not identity.network_differences(*networks, free), name
        assert wiring.make_spec(was).classes == wiring.make_spec(now).classes, name


@pytest.mark.parametrize(
    ("scored", "trained"),
    [(f"sunet_table5:row{a}", f"sunet_table5:row{b}") for a, b in ((2, 1), (3, 1), (7, 4), (6, 4), (10, 8), (11, 8))]
    + [(f"fcrn_table3:row{a}", f"fcrn_table3:row{b}") for a, b in ((2, 1), (3, 1), (5, 4))],
)
def test_rows_that_differ_in_testing_alone_take_each_others_weights(scored, trained):
    was, config = resolved(trained), resolved(scored)
    changes = config["evaluate"]["options"]
    now, free = models.described({**config["model"], **changes}), {*changes, *models.TRAINING_OPTIONS}
    assert not identity.network_differences(models.described(was["model"]), now, free)
