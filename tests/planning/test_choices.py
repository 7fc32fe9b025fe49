"""What is planned for machines and times: the widest network that fits and learns, and settings with their reasons."""

import dataclasses
import math
from pathlib import Path

import pytest
from in_memory import SPEC

from did_tf.common.errors import ConfigError
from did_tf.planning import choices, experiment
from did_tf.planning.choices import Pace
from did_tf.planning.content import Content
from did_tf.planning.machine import GIB, described, here

CITY = Content(
    SPEC, 367, 200, 360, 480, 480, {"a": 0.98, "b": 0.02}, {"a": 90.0, "b": 20.0}, 0.3, 0.1, 101, 101 * 360 * 480
)


class Costs:
    """DID's in round figures: a crop of 257x257 with growth 32 takes 4e9 multiply-adds and 0.4 GiB."""

    def multiply_adds(self, growth, side):
        return 4e9 * (growth / 32) ** 2 * (side / 257) ** 2

    def memory(self, growth, side, batch_size, recompute, accumulate, parts):
        each = 0.4 * GIB * growth / 32 * (side / 257) ** 2 * (0.4 if recompute else 1)
        return 0.6 * GIB + each * min(batch_size, 8) / accumulate


def planned(machine, hours, content=CITY, crops=None):
    """(`Network`, {key: choice}) where so many crops a second with growth 32 were measured."""
    place = described(machine)
    pace = Pace(crops * Costs().multiply_adds(32, 257), 1, "measured") if crops else Pace(place.rate, 1, "")
    found = choices.network(content, place, hours, Costs(), pace)
    choices.check_time(content, found, hours, hours)
    return found, {choice.key: choice for choice in choices.choose(content, place, hours, found, pace)}


@pytest.mark.parametrize("hours, growth", [(0.03, 16), (0.1, 24), (0.5, 32), (8, 48)])
def test_the_longer_the_wider(hours, growth):
    found, chosen = planned("cores:2,memory:16", hours, crops=7)
    assert found.growth == chosen["model.growth"].value == growth
    crops = found.crops * 3600 * hours
    row = next(row for row in choices.WIDTHS if row.growth == growth)
    assert crops >= row.crops
    assert chosen["train.hours"].value == hours and chosen["train.steps"].value == 2 * found.steps


def test_the_four_machines():
    small, _ = planned("cores:2,memory:8", 2)
    large, _ = planned("cores:8,memory:32", 2)
    one, chosen = planned("gpus:1,memory:24", 2)
    eight, of_eight = planned("gpus:8,memory:80", 2)
    assert small.side == large.side == 257 and small.growth <= large.growth <= one.growth == 48
    assert small.batch_size == 4 and large.batch_size == 8  # which sees each pixel over 100 times
    assert one.side == 321 and one.batch_size == 8 and chosen["train.precision"].value == "auto"
    assert eight.batch_size == 64 and eight.crops == pytest.approx(8 * one.crops)
    assert of_eight["schedule.learning_rate"].value == 4e-3


def test_where_memory_is_short_features_are_computed_again_then_crops_become_smaller():
    again, chosen = planned("cores:2,memory:3", 1, crops=7)
    assert again.recompute and chosen["train.recompute"].value and again.side == 257
    place = described("cores:2,memory:16")._replace(memory=0.91 * GIB)
    smaller = choices.network(CITY, place, 1, Costs(), Pace(7 * Costs().multiply_adds(32, 257), 1, "measured"))
    assert (smaller.side, smaller.growth, smaller.recompute) == (193, 16, True)
    with pytest.raises(ConfigError, match=r"nothing fits .* crops of 65x65 of DID with growth 16.* 0.3 GiB"):
        planned(
            "cores:2,memory:1", 1, crops=7, content=dataclasses.replace(CITY, height=4000, width=4000, largest=4000)
        )


def test_too_little_time_is_refused_with_what_would_do():
    with pytest.raises(ConfigError, match=r"about 53 steps of 4 crops.*give (0.[0-9]+) or more") as error:
        planned("cores:2,memory:16", 0.003, crops=7)
    enough = float(str(error.value).split("give ")[1].split()[0])
    found, _ = planned("cores:2,memory:16", enough, crops=7)
    assert found.steps >= choices.LEAST_STEPS
    with pytest.raises(ConfigError, match="--hours=0.05, of which planning has left 0.003, .* give 0.06 or more"):
        choices.check_time(CITY, found._replace(steps=71), 0.05, 0.003)


@pytest.mark.parametrize(
    "changes, key, value, why",
    [
        ({}, "data.flip_vertical", False, "30%"),
        ({"uneven": 0.01}, "data.flip_vertical", True, "up and down are alike"),
        ({"uneven": 0.09}, "data.flip_vertical", True, "by chance"),
        ({"uneven": 0.3, "by_chance": 0.4}, "data.flip_vertical", False, "up is not down"),
        ({}, "loss.class_balance", 0.4, "b, the rarest, has 2.00%"),
        ({"shares": {"a": 0.5, "b": 0.5}}, "loss.class_balance", 0.0, "no need"),
        ({"shares": {"a": 1.0, "b": 0.0}}, "loss.class_balance", 0.0, "shows b"),
        ({"spec": dataclasses.replace(SPEC, dtype="uint16")}, "data.brightness", 0.1, "not known"),
        ({}, "data.brightness", 0.27, "photos"),
        ({"height": 90, "width": 100}, "data.crop", (65, 65), "90x100"),
        ({"images": 10}, "model.dropout", 0.2, "by heart"),
        ({}, "model.dropout", 0.0, "does not overfit"),
        ({"images": 40_000}, "data.cache", False, "read again"),
        ({"val_images": 0, "val_pixels": 0.0}, "dataset.val_split", "", "nobody knows"),
        ({"largest": 5000}, "evaluate.protocols", ("tiles_once",), "too large"),
        ({"val_images": 5, "val_pixels": 9e5}, "evaluate.protocols", ("whole", "tiles"), "five scales"),
        ({"val_images": 9000, "val_pixels": 1e9}, "evaluate.protocols", ("whole",), "too much"),
        ({"objects": {"a": 900.0, "b": 300.0}}, "data.scale", (0.6, 1.6), "more than a crop shows"),
    ],
)
def test_settings_follow_the_data(changes, key, value, why):
    _, chosen = planned("cores:2,memory:16", 1, dataclasses.replace(CITY, **changes), crops=7)
    assert chosen[key].value == value and why in chosen[key].why


@pytest.mark.parametrize("gib, held", [(math.inf, True), (8, True), (4, False)])
def test_beside_gpus_images_are_held_where_the_machine_has_memory_for_them(gib, held):
    """They take 4.6 GiB, and the GPU has 24."""
    place = described("gpus:1,memory:24")._replace(host=gib * GIB)
    content, pace = dataclasses.replace(CITY, images=7200), Pace(place.rate, 1, "")
    found = choices.network(content, place, 1, Costs(), pace)
    chosen = {choice.key: choice.value for choice in choices.choose(content, place, 1, found, pace)}
    assert chosen.get("data.cache", True) is held


def test_this_machine_has_memory_of_its_own_beside_that_of_its_gpus(monkeypatch):
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda kind: ["one"] * (kind == "GPU"))
    monkeypatch.setattr("did_tf.planning.machine.best_precision", lambda devices: ("bfloat16", "as it is"))
    monkeypatch.setattr("did_tf.planning.machine.free_on_gpu", lambda: 24 * GIB)
    monkeypatch.setattr("did_tf.planning.machine.free_memory", lambda: 8 * GIB)
    found = here()
    assert (found.gpus, found.memory, found.host) == (1, 24 * GIB, 8 * GIB)


def test_without_images_to_validate_on_nothing_is_said_of_validations():
    _, chosen = planned("cores:2,memory:16", 1, dataclasses.replace(CITY, val_images=0, val_pixels=0.0), crops=7)
    assert "train.validate_every" not in chosen


def test_validations_take_a_tenth_of_the_time_at_most():
    found, chosen = planned("cores:2,memory:16", 1, dataclasses.replace(CITY, val_pixels=1e8), crops=7)
    each = choices.evaluation_seconds(CITY, found) * 1e8 / CITY.val_pixels
    assert 70 < each < 75 and found.steps // chosen["train.validate_every"].value == 4
    assert chosen["train.hours"].value == 1
    assert "4 validations, each of about 72 seconds" in chosen["train.validate_every"].why


def test_a_large_validation_is_made_once_and_within_the_time():
    content = dataclasses.replace(CITY, val_images=9000, val_pixels=1e9)
    found, chosen = planned("cores:2,memory:16", 1, content, crops=7)
    each = choices.evaluation_seconds(content, found)
    assert each / 3600 > choices.VALIDATING and chosen["train.hours"].value == pytest.approx(1 - each / 3600, abs=1e-4)
    assert chosen["train.validate_every"].value == chosen["train.steps"].value == 2 * found.steps
    assert found.steps * found.batch_size / found.crops == pytest.approx(3600 - each, rel=0.01)
    assert "the validation at the end" in chosen["train.hours"].why
    assert "at the end, of about 12 minutes" in chosen["train.validate_every"].why


def test_a_validation_that_takes_most_of_the_time_is_refused_with_what_would_do():
    content = dataclasses.replace(CITY, val_images=9000, val_pixels=3e9)
    with pytest.raises(ConfigError, match="of 9,000 images, takes about 36 minutes; give 1.21 or more") as error:
        planned("cores:2,memory:16", 0.2, content, crops=7)
    enough = float(str(error.value).split("give ")[1].split()[0])
    _, chosen = planned("cores:2,memory:16", enough, content, crops=7)
    assert chosen["train.hours"].value >= enough / 2


def test_the_page_tells_every_setting():
    plans = [planned("cores:2,memory:16", 1, crops=7), planned("cores:2,memory:3", 1, crops=7)]
    for changes in ({"images": 40_000}, {"val_images": 0, "val_pixels": 0.0}):
        plans.append(planned("cores:2,memory:16", 1, dataclasses.replace(CITY, **changes), crops=7))
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "plan.md").read_text(encoding="utf-8")
    told = {key for line in page.splitlines() if line.startswith("| `") for key in line.split("|")[1].split("`")[1::2]}
    assert {key for _, chosen in plans for key in chosen} <= told


def test_the_file_says_what_was_chosen_and_why():
    _, chosen = planned("cores:2,memory:16", 1, crops=7)
    text = experiment.text('A "plan" of C:\\data', ["facts " * 60], 1.0, list(chosen.values()))
    space = {}
    exec(compile(text, "plan.py", "exec"), space)
    config, flat = space["get_config"](), {}
    for key in chosen:
        section, _, rest = key.partition(".")
        flat[key] = config[section][rest] if "." not in rest else config.optimizer.options.epsilon
    assert flat == {key: choice.value for key, choice in chosen.items()} and space["HOURS"] == 1.0
    assert max(map(len, text.splitlines())) <= 120 and "# photos differ in light" in text
    assert "data.flip_vertical = False\n    classes lie" in experiment.table(list(chosen.values()))


@pytest.mark.parametrize(
    "text, told",
    [
        ("cores:8", "memory must be a whole number"),
        ("cores:0,memory:8", "cores must be a whole number"),
        ("core:8,memory:8", "did you mean 'cores'"),
        ("cores:8,cores:8,memory:8", "each once"),
        ("cores=8", "is not KEY:VALUE"),
        ("gpus:1,memory:24,precision:int8", "precision must be one of"),
        ("", "is not KEY:VALUE"),
    ],
)
def test_machines_that_are_none(text, told):
    with pytest.raises(ConfigError, match=told):
        described(text)


@pytest.mark.parametrize("crops, batch", [(3, 4), (30, 8)])
def test_the_oftener_pixels_are_seen_the_larger_is_the_batch_and_its_parts(crops, batch):
    place = described("cores:2,memory:16")
    pace = Pace(crops * Costs().multiply_adds(32, 257), 2, "measured")
    found = choices.network(CITY, place, 1, Costs(), pace)
    passes = found.steps * found.batch_size * 257**2 / CITY.pixels
    assert (passes > choices.OFTEN) == (batch == 8)
    assert (found.batch_size, found.parts) == (batch, 2 if batch == 4 else 1)
    chosen = {choice.key: choice.value for choice in choices.choose(CITY, place, 1, found, pace)}
    assert chosen["train.batch_size"] == batch and chosen.get("train.parts", 1) == found.parts


def test_where_batches_for_pixels_seen_often_do_not_fit_they_become_smaller_before_crops_do():
    """Of as many crops as have statistics in common, and in one part, whatever is fast."""
    content, pace = dataclasses.replace(CITY, images=36), Pace(7 * Costs().multiply_adds(32, 257), 2, "")

    def found_in(gib):
        place = described("cores:2,memory:16")._replace(memory=gib * GIB)
        found = choices.network(content, place, 1, Costs(), pace)
        (size,) = [one for one in choices.choose(content, place, 1, found, pace) if one.key == "train.batch_size"]
        return (found.side, found.batch_size, found.recompute, found.accumulate, found.parts), size.why

    for gib, trained in (
        (6, (257, 8, False, 1, 1)),
        (3.5, (257, 8, True, 1, 1)),
        (2, (257, 4, True, 1, 1)),
        (1.4, (257, 8, True, 4, 1)),
    ):
        (got, why), short = found_in(gib), "batches of 8, which have better ones, would not fit"
        assert got == trained and (short in why) == (trained[1] == 4)
        assert "where statistics of few crops cost more" in why
