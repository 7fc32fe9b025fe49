"""What is refused for its memory, and what it is told to do."""

from types import SimpleNamespace

import pytest
from analysis.test_cost import small

from did_tf.analysis import room
from did_tf.analysis.cost import activations
from did_tf.common.errors import ConfigError

SURE, EASY = 0.8, 1.6
KEPT, AGAIN = 1000, 250


@pytest.fixture
def counted(monkeypatch):
    """Every crop takes so much."""
    monkeypatch.setattr(room, "activations", lambda *_: SimpleNamespace(training=KEPT, recomputing=AGAIN))


def check(free, batch_size=8, accumulate=1, recompute=False, parts=1, network=None):
    train = {"batch_size": batch_size, "accumulate": accumulate, "recompute": recompute, "parts": parts}
    room.check_room(network, (10, 20), train, int(free))


def refusal(*arguments):
    with pytest.raises(ConfigError) as error:
        check(*arguments)
    return str(error.value)


@pytest.mark.parametrize(
    "train, at_once", [((8, 1, False), 8 * KEPT), ((8, 2, False), 4 * KEPT), ((8, 4, True), 2 * AGAIN)], ids=str
)
def test_what_is_free_counts_against_the_crops_at_once(counted, train, at_once):
    assert "can't be trained" in refusal(SURE * at_once - 1, *train)
    check(SURE * at_once, *train)


def test_what_fits_is_told(counted):
    """As few micro-batches as share the batch evenly, or a smaller batch; of either way of keeping features."""
    accumulate, batch, again = (f"--config.train.{name}=" for name in ("accumulate", "batch_size", "recompute"))
    assert refusal(4 * EASY * KEPT, 16).endswith(f"; try {accumulate}4 or {batch}4 or {again}True")
    assert refusal(2 * EASY * AGAIN, 9).endswith(f"; try {again}True {accumulate}9 or {again}True {batch}2")
    assert refusal(2 * EASY * AGAIN, 9, 1, True).endswith(f"; try {accumulate}9 or {batch}2")
    assert refusal(2 * EASY * AGAIN, 12, 1, True, 2).endswith(f"; try {accumulate}6 or {batch}2")
    assert refusal(EASY * AGAIN - 1).endswith("; no batch would fit: take a smaller data.crop")


@pytest.mark.parametrize(
    "free, accumulate, recompute, devices, size",
    [
        (3.9, 1, False, 1, 3),
        (3.9, 2, False, 1, 6),  # of which 3 are there at once
        (5.9, 1, False, 2, 4),
        (5.9, 3, False, 2, 12),
        (3.9 / 4, 1, True, 1, 3),
    ],
)
def test_the_largest_batch(counted, capsys, free, accumulate, recompute, devices, size):
    """Of free memory, in times what a crop takes with features kept."""
    train = {"batch_size": "auto", "accumulate": accumulate, "recompute": recompute, "parts": 1}
    free = int(room.FIXED + free * EASY * KEPT)
    assert room.largest_batch(None, (10, 20), train, devices, free) == size
    assert capsys.readouterr().out.startswith(f"train.batch_size=auto: {size}, of ")


def test_not_one_crop(counted):
    train = {"accumulate": 1, "recompute": False, "parts": 1}
    with pytest.raises(ConfigError, match="train.batch_size=auto: not 2 crops at once"):
        room.largest_batch(None, (10, 20), train, 2, int(room.FIXED + 3 * KEPT))


def test_counts_are_those_of_the_network():
    """Whose features computed again would take more."""
    found = activations(small(), 10, 20)
    check(SURE * 8 * found.training, network=small())
    with pytest.raises(
        ConfigError, match=r"train.batch_size=8 .* data.crop=\(10, 20\): .* 8 crops .* 0.0 GiB"
    ) as error:
        check(SURE * 8 * found.training - 1, network=small())
    assert str(error.value).endswith("; try --config.train.accumulate=4 or --config.train.batch_size=3")
