"""What a plan knows of the data, against data that were drawn to be known."""

import numpy as np
import pytest
from in_memory import InMemory, noise

from did_tf.common.errors import ConfigError
from did_tf.planning import content

SIZE = (40, 60)


def label(top=False, blocks=()):
    """Class "a", with "b" in the upper half or in squares (row, column, side)."""
    found = np.zeros(SIZE, np.uint8)
    if top:
        found[: SIZE[0] // 2] = 1
    for row, column, side in blocks:
        found[row : row + side, column : column + side] = 1
    return found


def looked(labels, val=(), **changes):
    train = [(noise(number, SIZE), one) for number, one in enumerate(labels)]
    data = {"train": train, "val": [(noise(99, (20, 30)), np.zeros((20, 30), np.uint8)) for _ in val]}
    return content.look(InMemory(data, **changes), "train", "val" if val else "")


def test_sizes_shares_and_objects():
    found = looked([label(blocks=[(2, 2, 10), (25, 30, 10)]), label(blocks=[(5, 5, 10)])], val=range(3))
    assert (found.images, found.looked_at, found.height, found.width, found.largest) == (2, 2, 40, 60, 60)
    assert found.shares["b"] == pytest.approx(300 / (2 * 40 * 60)) and sum(found.shares.values()) == pytest.approx(1)
    assert found.objects["b"] == 10 and found.rarest[0] == "b"
    assert (found.val_images, found.val_pixels) == (3, 3 * 20 * 30) and found.pixels == 2 * 40 * 60


def test_specks_are_no_objects_and_void_is_no_class():
    one = label(blocks=[(2, 2, 4)])
    one[30:] = 255
    found = looked([one])
    assert "b" not in found.objects and found.shares["b"] == pytest.approx(16 / (30 * 60))
    assert found.val_images == 0 and found.val_pixels == 0


def test_up_and_down():
    one = looked([label(top=True)] * 12)
    assert one.uneven == 1 and 0 < one.by_chance < 0.8
    assert looked([label(top=True)]).by_chance == 1
    assert looked([label(blocks=[(4, 4, 8), (26, 20, 8)])]).uneven == 0
    some = looked([label(blocks=[(4 if number % 3 else 26, 4, 12)]) for number in range(9)])
    assert some.uneven == pytest.approx(3 * 144 / (9 * 1200)) and some.uneven < some.by_chance


def test_of_many_images_some_are_looked_at_evenly(monkeypatch):
    monkeypatch.setattr(content, "MOST", 3)
    labels = [label() for _ in range(9)]
    for number in (0, 4, 8):
        labels[number] = label(top=True)
    found = looked(labels)
    assert (found.images, found.looked_at) == (9, 3) and found.shares["b"] == 0.5


def test_what_there_is_no_plan_for():
    with pytest.raises(ConfigError, match="no pixel of 1 labels of train has a class"):
        looked([np.full(SIZE, 255, np.uint8)])
    classes = InMemory({"train": [(noise(0), 1)]}, task="classification")
    with pytest.raises(ConfigError, match="memory is for classification"):
        content.look(classes, "train", "")
