"""How a plan measures: what the assumed speed asks for, then what the measured one does, until that is the same."""

import math

import own_data
import pytest

from did_tf.models import own_options
from did_tf.planning import choices, trying
from did_tf.planning.machine import GIB, Machine
from did_tf.planning.planner import Planner
from experiments import base


@pytest.fixture
def planner(tmp_path, monkeypatch):
    monkeypatch.setattr(choices, "WIDTHS", (choices.Width(6, 2000), choices.Width(4, 0)))
    monkeypatch.setattr(choices, "OFTEN", math.inf)  # of these few small images
    folder = own_data.make_five_bands(tmp_path / "data", count=4, size=(64, 80))
    config = {**base.get_config().to_dict(), "model": {"name": "did", **own_options("did"), "units": (1, 1, 1, 1)}}
    config["dataset"].update(name="folders", folder=str(folder))
    return Planner(config, Machine("a test", 2, 0, 8 * GIB, "float32", "as it is", True))


def tried(monkeypatch, speeds, status=143):
    """Short trainings with {(growth, parts): crops a second}; gives what was asked of them."""
    asked = []

    def train(arguments, folder, start, seconds):
        space = {}
        exec((folder / "plan.py").read_text(), space)
        config = space["get_config"]()
        asked.append((config.model.growth, config.train.parts))
        rows = [{"step": "2", "images_per_second": "0.1"}] + [{"images_per_second": str(speeds[asked[-1]])}] * 2
        return trying.Tried(status, rows, "error: it is broken")

    monkeypatch.setattr(trying, "train", train)
    return asked


def test_what_is_measured_is_what_will_be_trained(planner, monkeypatch):
    wide, narrow = (6, 1), (4, 1)
    asked = tried(monkeypatch, {wide: 8.0, (6, 2): 9.0, narrow: 20.0, (4, 2): 16.0})
    pace = planner.measured(0.5, seconds=1)  # the wide one sees 1,033 crops of 257x257
    assert asked == [(6, 2), wide, (4, 2), narrow] and pace.parts == 1
    found = planner.network(0.5, pace)
    assert found.growth == 4 and found.crops == pytest.approx(20) and found.side == 65
    assert found.steps == int(0.95 * 1800 * 20 / 4)
    assert "measured" in planner.facts(found, pace)[2]


def test_a_short_time_is_not_spent_on_measuring(planner, monkeypatch):
    monkeypatch.setattr("did_tf.planning.planner.MEASURING", -1)  # it is over when the first measurement ends
    asked = tried(monkeypatch, {(6, 2): 9.0})
    pace = planner.measured(0.5, seconds=1)
    assert asked == [(6, 2)] and pace.parts == 2
    found = planner.network(0.5, pace)
    assert found.growth == 4 and "measured with growth 6" in planner.facts(found, pace)[2]


def test_images_that_are_seen_often_are_learnt_in_one_part(planner, monkeypatch):
    monkeypatch.setattr(choices, "OFTEN", 50)
    asked = tried(monkeypatch, {(6, 1): 30.0})
    pace = planner.measured(0.5, seconds=1)
    found = planner.network(0.5, pace)
    assert asked == [(6, 1)] and (found.batch_size, found.parts) == (8, 1)


def test_a_training_that_fails_is_no_measurement(planner, monkeypatch):
    tried(monkeypatch, {(6, 2): 8.0}, status=1)
    with pytest.raises(RuntimeError, match="failed: error: it is broken"):
        planner.measured(0.5, seconds=1)
