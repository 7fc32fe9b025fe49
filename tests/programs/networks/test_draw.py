"""`make draw`: the pictures it writes, what they show, and the errors of its users."""

import csv

import cv2
import numpy as np
import program
import pytest
import tiny

from did_tf import wiring
from did_tf.analysis import blocks, measures
from did_tf.inference import memory
from did_tf.programs.networks import draw

SMALL = [f"--config.{key}={value}" for key, value in tiny.OVERRIDES.items() if key.startswith(("model", "data"))]
SMALL = [override.replace(" ", "") for override in SMALL]


def network():
    config = tiny.config()
    return wiring.make_model(config, wiring.make_spec(config))


def test_three_pictures_and_a_table(monkeypatch, capsys, tmp_path):
    arguments = ("--experiment=did_synthetic", f"--run={tmp_path}", *SMALL)
    assert program.run(monkeypatch, draw, *arguments) == 0
    names = ["architecture.png", "fields.png", "fields.csv", "activations.png"]
    assert [line.split(": ")[1] for line in capsys.readouterr().out.splitlines()] == [str(tmp_path / n) for n in names]
    for name in names:
        assert name.endswith("csv") or cv2.imread(str(tmp_path / name)).std() > 10
    rows = {row["layer"]: row for row in csv.DictReader((tmp_path / "fields.csv").open())}
    last = rows["head.main.conv"]
    assert float(last["rows"]) == measures.receptive_field(network(), "head.main.conv")[0]
    assert "stem.pool" in rows and "stem.conv1.relu" not in rows, "convolutions and pooling alone"


def test_the_drawing_says_what_each_block_is():
    found = blocks.blocks(network())
    axes = draw.architecture(found, "small").axes[0]
    texts = {text.get_text() for text in axes.texts}
    boxes = [text.split("\n") for text in texts if "channels" in text]
    assert {lines[0] for lines in boxes} == {block.name for block in found}
    assert {"1/2", "1/4", "1/16"} <= texts
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for box in axes.patches:
        (x0, y0), (x1, y1) = box.get_path().get_extents().get_points()
        assert left < x0 < x1 < right and bottom < y0 < y1 < top
    arrows = sum(1 for text in axes.texts if not text.get_text())
    assert arrows == sum(len(block.takes) for block in found)


def test_the_strongest_channel_has_the_largest_total_magnitude():
    features = np.zeros((4, 5, 3))
    features[..., 0] = 1  # 20 in all
    features[1, 1, 1] = -30
    features[2, 2, 2] = 25
    assert draw.strongest(features) == 1


def test_an_image_of_ones_own_that_takes_too_much_memory_is_refused(monkeypatch, capsys, tmp_path):
    cv2.imwrite(str(tmp_path / "own.png"), np.full((40, 50, 3), 90, np.uint8))
    monkeypatch.setattr(memory, "free_memory", lambda: 10**6)
    arguments = ("--experiment=did_synthetic", f"--run={tmp_path}", *SMALL, f"--image={tmp_path / 'own.png'}")
    assert program.run(monkeypatch, draw, *arguments) == 2
    assert "an image of 40x50 would take 0.3 GB of memory, and 0.0 GB are free" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--image=."], "--image=. is a folder"),
        (["--image=nothing.png"], "--image=nothing.png is not there: it must be an image"),
        (["--source=stem.conv9"], "no layer 'stem.conv9', did you mean 'stem.conv"),
    ],
)
def test_errors_are_one_line_and_status_2(monkeypatch, capsys, tmp_path, arguments, message):
    arguments = ["--experiment=did_synthetic", f"--run={tmp_path}", *SMALL, *arguments]
    assert program.run(monkeypatch, draw, *arguments) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1 and errors[0].startswith("error:") and message in errors[0]
    assert not (tmp_path / "architecture.png").exists()
