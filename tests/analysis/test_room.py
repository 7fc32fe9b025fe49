"""What a training takes, what is refused for it, and what it is told to do."""

from types import SimpleNamespace

import numpy as np
import pytest

from did_tf.analysis import room
from did_tf.analysis.room import Need
from did_tf.analysis.update import Held
from did_tf.common.errors import ConfigError

WEIGHTS, KEPT, AGAIN, STEPS = 4 * 1000, 10**9, 25 * 10**7, 100
CROP, PIXELS = (10, 20), 200 * 13
TRAIN = {"batch_size": 8, "accumulate": 1, "recompute": False, "parts": 1, "ema": 0.0}


def need(devices=1, moments=2, **train):
    """Of a network of 1000 weights whose crops take so much each."""
    network = SimpleNamespace(
        trainable_variables=[np.zeros((10, 100))], input=SimpleNamespace(shape=(None, None, None, 3))
    )
    found = Need(network, CROP, {**TRAIN, **train}, moments, devices)
    steps, weights = [None] * STEPS, np.array([0, WEIGHTS])
    found.held = lambda again: Held(steps, np.array([AGAIN if again else KEPT, 0]), weights)
    return found


def takes(crops, each=KEPT, **settings):
    return need(batch_size=crops, recompute=each == AGAIN, **settings)().total


def refusal(needed, free):
    with pytest.raises(ConfigError) as error:
        room.check_room(needed, int(free))
    return str(error.value)


def test_what_is_counted():
    found = need()()
    assert found.optimizer == 2 * WEIGHTS and found.graph == room.LOADED + STEPS * room.EACH
    assert found.batches == 4 * 8 * PIXELS and found.update == int(room.IDLE * 8 * KEPT)
    assert found.total == sum(found) and found.on_gpu == found.total - found.graph


def test_losses_of_regions_keep_more_and_with_two_labels_twice_that():
    assert room.of_loss(["cross_entropy", "focal"], mixup=False) == 0
    dice, both = (room.of_loss(terms, mixup=False) for terms in (["dice"], ["dice", "lovasz"]))
    assert 0 < dice < both and room.of_loss(["dice"], mixup=True) == 2 * dice + room.OF_MIXUP


@pytest.mark.parametrize(
    "setting, at_once",
    [({"accumulate": 2}, 4), ({"parts": 2}, 8), ({"recompute": True}, 2), ({"batch_size": 9, "accumulate": 2}, 5)],
    ids=str,
)
def test_what_settings_change(setting, at_once):
    """Sums of gradients, and those that are added, come with micro-batches; a graph for each part."""
    more = 2 * WEIGHTS * (setting.get("accumulate", 1) > 1)
    found = need(**setting)()
    assert found.update == pytest.approx(room.IDLE * (at_once * KEPT + more), abs=2)
    assert found.graph == room.LOADED + STEPS * room.EACH * setting.get("parts", 1)


def test_devices_share_the_crops_and_have_each_its_optimizer_and_graph():
    alone, two = need(ema=0.9)(), need(devices=2, ema=0.9)()
    assert alone.optimizer == 3 * WEIGHTS and two.optimizer == 2 * alone.optimizer
    assert two.graph - room.LOADED == 2 * (alone.graph - room.LOADED) and two.update == alone.update


def test_gradients_of_weights_are_counted_where_features_are_few():
    few = need()
    few.held = lambda again: Held([None], np.array([0]), np.array([0]))
    assert few().update == int(room.IDLE * 2 * WEIGHTS)


def test_what_cannot_fit_is_refused_before_the_first_step():
    room.check_room(need(), int(0.9 * takes(8)) + 1)
    assert refusal(need(), 0.9 * takes(8) - 1e6).startswith(
        "train.batch_size=8 can't be trained with data.crop=(10, 20): it takes about 8.8 GiB, and 7.9 GiB are free; "
    )
    room.check_room(need(), int(0.9 * need()().on_gpu) + 1, on_gpu=True)


def test_what_fits_is_told():
    """With some room: as few micro-batches as share the batch evenly, or a smaller batch; features kept or not."""
    accumulate, batch, again = (f"--config.train.{name}=" for name in ("accumulate", "batch_size", "recompute"))
    told = refusal(need(), 1.11 * takes(4))
    assert told.endswith(f"; try {accumulate}2 or {batch}4 or {again}True")
    told = refusal(need(batch_size=9, recompute=True), 1.11 * takes(3, AGAIN))
    assert told.endswith(f"; try {accumulate}3 or {batch}3")
    told = refusal(need(batch_size=12, recompute=True, parts=2), 1.11 * takes(2, AGAIN, parts=2))
    assert told.endswith(f"; try {accumulate}6 or {batch}2")
    assert refusal(need(), 0.9 * takes(1, AGAIN)).endswith("; no batch would fit: take a smaller data.crop")


@pytest.mark.parametrize(
    "crops, settings, size",
    [(3, {}, 3), (3, {"accumulate": 2}, 6), (5, {"devices": 2}, 4), (5, {"devices": 2, "accumulate": 3}, 12)],
    ids=str,
)
def test_the_largest_batch(capsys, crops, settings, size):
    """Where so many crops are there at once; with micro-batches there may be more."""
    free = int(1.11 * takes(crops, **{key: value for key, value in settings.items() if key == "devices"}))
    assert room.largest_batch(need(batch_size="auto", **settings), free) == size
    assert capsys.readouterr().out.startswith(f"train.batch_size=auto: {size}, which take about ")


@pytest.mark.parametrize("samples, settings, size", [(7, {}, 7), (7, {"accumulate": 2}, 6), (1, {"accumulate": 3}, 3)])
def test_no_more_crops_than_samples(capsys, samples, settings, size):
    """But one for each share: a batch of fewer can't be."""
    assert room.largest_batch(need(batch_size="auto", **settings), 10**12, samples=samples) == size
    start = f"train.batch_size=auto: {size}, for there are {samples} samples to train on, which take about "
    assert capsys.readouterr().out.startswith(start)


def test_what_other_processes_may_need_is_left_to_them(capsys):
    free = 1.11 * takes(5)
    assert room.largest_batch(need(batch_size="auto"), free, samples=9, spared=1.11 * (takes(5) - takes(3))) == 3
    assert "GiB that are free, of which 2.3 GiB are left to other processes\n" in capsys.readouterr().out
    assert room.largest_batch(need(batch_size="auto"), free, samples=9) == 5
    assert capsys.readouterr().out.endswith("GiB that are free\n")


def test_what_the_cache_is_going_to_take_is_not_there_for_the_batch(capsys):
    fits, cached = 1.2 * takes(8), r"of which data.cache takes 4\.4 GiB \(--config\.data\.cache=False\)"
    room.check_room(need(), fits)
    room.check_room(need(), fits, kept=0.2 * takes(8))
    with pytest.raises(ConfigError, match=f" are free, {cached}; try .*accumulate=2"):
        room.check_room(need(), fits, kept=0.5 * takes(8))
    with pytest.raises(ConfigError, match="; no batch would fit: take a smaller data.crop, or no data.cache$"):
        room.check_room(need(), fits, kept=1.15 * takes(8))
    free = 1.11 * takes(5)
    assert room.largest_batch(need(batch_size="auto"), free, samples=9, kept=1.11 * (takes(5) - takes(3))) == 3
    assert capsys.readouterr().out.endswith("of which data.cache takes 2.3 GiB (--config.data.cache=False)\n")
    assert room.largest_batch(need(batch_size="auto"), free, samples=9, spared=1e9, kept=2e9) == 2
    both = "of which 0.9 GiB are left to other processes and data.cache takes 1.9 GiB (--config.data.cache=False)\n"
    assert capsys.readouterr().out.endswith(both)


def test_not_one_crop():
    told = "2 crops, one for each share, take up to 2.8 GiB of 1.9 GiB that are free: take a smaller data.crop"
    with pytest.raises(ConfigError, match=f"train.batch_size=auto: {told}"):
        room.largest_batch(need(batch_size="auto", devices=2), 2 * 10**9)


def test_a_gpu_of_unknown_size():
    """Where there is none, TensorFlow knows of none either; what can't be told refuses nothing but a choice."""
    assert room.free_on_gpu(7) == float("inf")
    room.check_room(need(), float("inf"), on_gpu=True)
    with pytest.raises(ConfigError, match="what is free on this GPU is not known; set a number"):
        room.largest_batch(need(batch_size="auto"), float("inf"), on_gpu=True)
