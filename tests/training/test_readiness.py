"""What nothing could be learnt from is refused before the first step."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from in_memory import InMemory, halves, noise

from data_pipelines.augment import Augmentation
from data_pipelines.pipeline import Loader, training_batches, training_labels
from did_tf import models
from did_tf.common.errors import ConfigError
from did_tf.training import readiness
from did_tf.training.losses import PixelCrossEntropy
from did_tf.training.readiness import check_learnable, tell_absent

VOID = np.full((24, 32), 255, np.uint8)
CROP = Augmentation((8, 8))


class Full:
    """Supervision at full size, or of every second pixel from a corner on."""

    passes = (None,)

    def __init__(self, step=1):
        self.step = step

    def labels(self, labels, shift=None):
        return {"main": labels[:, :: self.step, :: self.step]}


def loader(*labels, **changes):
    pairs = [(noise(number, np.shape(label) or (24, 32)), np.asarray(label)) for number, label in enumerate(labels)]
    return Loader(InMemory({"train": pairs}, **changes), "train", progress=False)


def check(source, options=CROP, weights=None, step=1):
    check_learnable(source, options, 0, Full(step), PixelCrossEntropy(class_weights=weights))


def refusal(*arguments, **options):
    with pytest.raises(ConfigError) as caught:
        check(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def dotted(count, size=(24, 32)):
    """Void, but for `count` pixels of either class in the upper left corner."""
    label = np.full(size, 255, np.uint8)
    label[0, :count], label[1, :count] = 0, 1
    return label


def test_a_part_that_a_network_has_not_is_told(capsys):
    model = models.build("fcrn", 2, depth=14, width=4)
    tell_absent(model, {"multipliers": {"encoder": 0.2, "decoder": 2.0}, "undecayed": ("decoder",)})
    assert capsys.readouterr().out == (
        "note: optimizer.multipliers has no effect on the decoder: fcrn has none\n"
        "note: optimizer.undecayed has no effect on the decoder: fcrn has none\n"
    )
    tell_absent(model, {"multipliers": {}, "undecayed": ["head"]})
    assert not capsys.readouterr().out


def test_the_labels_are_those_of_the_first_batches():
    options, source = Augmentation((9, 9), (0.7, 1.5), 0.15, True, True), loader(halves(), halves((20, 30)), VOID)
    batches = training_batches(source, options, 1, seed=3)
    whole = [batch["label"].numpy()[0] for batch in itertools.islice(batches, 8)]
    np.testing.assert_array_equal(list(training_labels(source, options, 3, 8)), whole)


def test_what_can_be_learnt_is_not_refused():
    check(loader(halves(), VOID))
    check(loader(halves(), VOID), weights=(0.5, 2.0))
    check(loader(dotted(8)), Augmentation((24, 32)))


def test_labels_that_are_void_altogether_are_refused():
    assert refusal(loader(VOID, VOID)).startswith("train of memory has no class in any of its 2 labels, all is void")


def test_labels_of_one_class_are_refused():
    only = halves(first=1, second=255)
    assert refusal(loader(only, VOID)).startswith("train shows b alone and no other class")


def test_a_second_class_in_the_last_image_is_enough():
    check(loader(*[halves(first=0, second=0)] * 60, halves()))


def test_weights_of_0_for_all_that_is_there_are_refused():
    three = {"classes": ("a", "b", "c"), "palette": ((0, 0, 0),) * 3}
    said = refusal(loader(halves(), **three), weights=(0.0, 0.0, 1.0))
    assert said == "loss.class_weights is 0 for all that train shows, a, b: nothing can be learnt"
    said = refusal(loader(halves(), **three), weights=(0.0, 1.0, 1.0))
    assert said.startswith("train shows a, b, and loss.class_weights leaves b alone")
    check(loader(halves(), **three), weights=(1.0, 1.0, 0.0))


def test_crops_that_never_show_what_counts_are_refused(monkeypatch):
    """The labelled pixels are those of the first two rows and columns; what is compared begins at the third."""
    monkeypatch.setattr(readiness, "MANY", 50)

    class Later(Full):
        def labels(self, labels, shift=None):
            return {"main": labels[:, 2:, 2:]}

    with pytest.raises(ConfigError, match=r"data.crop=\(24, 32\): none of the first 50 crops of train shows a pixel"):
        check_learnable(loader(dotted(2)), Augmentation((24, 32)), 0, Later(), PixelCrossEntropy())


def test_images_of_one_class_each_are_refused_where_all_are_alike():
    kind = {"task": "classification", "palette": ()}
    loss = PixelCrossEntropy(ignore=-1)
    check_learnable(loader(0, 1, **kind), CROP, 0, Full(), loss)
    with pytest.raises(ConfigError, match="train shows a alone and no other class"):
        check_learnable(loader(0, 0, **kind), CROP, 0, Full(), loss)


def test_pixels_are_those_that_outputs_are_compared_with():
    label = tf.constant(np.arange(12, dtype=np.uint8).reshape(3, 4))
    assert readiness._compared(label.numpy(), Full(2)).tolist() == [0, 2, 8, 10]
