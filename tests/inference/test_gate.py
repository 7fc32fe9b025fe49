import copy
import math

import exported
import numpy as np
import pytest

from did_tf.common.errors import NotFinite
from did_tf.inference import gate
from did_tf.inference.gate import ExportFailed, views


class Answers:
    """What stands for an exported network: gives the checkpoint's own probabilities, changed."""

    def __init__(self, serve, change=lambda values: values, ways=("plain",)):
        self.serve, self.change, self.ways, self.asked = serve, change, ways, []

    def __call__(self, images, way="plain"):
        self.asked.append((images.shape, way))
        outputs = self.serve(images)
        probabilities = self.change(outputs["probabilities"].numpy())
        return {"classes": probabilities.argmax(-1), "probabilities": probabilities}


@pytest.fixture(scope="module")
def network():
    return exported.network()


@pytest.fixture(scope="module")
def serve(network):
    return network.serve()


@pytest.fixture(scope="module")
def strict(network):
    return exported.gate(network)


def judged_by(score, strict):
    """The same gate, with a score."""
    judged = copy.copy(strict)
    judged._score = score
    vars(judged).pop("score", None)
    return judged


@pytest.mark.parametrize("size", [(72, 101), (360, 480), (31, 33)])
def test_views_have_odd_and_even_sizes_and_one_two_and_three_images(size):
    images = [np.zeros((*size, 3), np.uint8)] * 2
    shapes = [batch.shape for batch in views(images).values()]
    for parity in (0, 1):
        assert len({shape[1:3] for shape in shapes if shape[1] % 2 == shape[2] % 2 == parity}) >= 2
    assert {shape[0] for shape in shapes} == {1, 2, 3}


def test_images_of_a_batch_differ():
    batch = views([np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)])["image0_even"]
    assert len({one.tobytes() for one in batch}) == 3


def test_one_that_agrees_is_told_how_well(serve, strict):
    served = Answers(serve, lambda values: values + np.float32(1e-4))
    agreement = strict.check(served, "it", True)
    assert agreement.difference == pytest.approx(1e-4, rel=0.1)
    assert agreement.labels == 0 and math.isnan(agreement.score)


def test_every_view_is_tried_and_one_in_the_other_way(serve, strict):
    served = Answers(serve, ways=("plain", "encoded"))
    strict.check(served, "it", True)
    assert [way for _, way in served.asked] == ["plain"] * 10 + ["encoded"]
    assert served.asked[0][0] == strict.image.shape == (1, 72, 101, 3)


@pytest.mark.parametrize("change", [lambda values: values + 2e-3, lambda values: values * np.nan])
def test_one_that_differs_is_refused_with_the_figure(change, serve, strict):
    with pytest.raises(ExportFailed, match=r"^it differs from the model on image0_whole, 72x101 pixels: prob.* by "):
        strict.check(Answers(serve, change), "it", True)


def test_one_that_is_wrong_at_odd_sizes_alone_is_refused(serve, strict):
    def change(values):
        return values[:, ::-1] if values.shape[1] % 2 else values

    with pytest.raises(ExportFailed, match="it differs from the model on image0_odd, 37x25 pixels"):
        strict.check(Answers(serve, change), "it", True)


def test_another_size_is_refused(serve, strict):
    with pytest.raises(ExportFailed, match=r"it gives classes \[1, 71, 101\] and probabilities \[1, 71, 101, 5\]"):
        strict.check(Answers(serve, lambda values: values[:, 1:]), "it", True)


@pytest.mark.parametrize(("score", "refused"), [(0.516, False), (0.526, True), (0.514, True), (math.nan, True)])
def test_another_precision_is_judged_by_its_score(score, refused, serve, strict):
    judged = judged_by(lambda probabilities: 0.52 if probabilities is strict._own else score, strict)
    served = Answers(serve, lambda values: values[..., ::-1])
    if refused:
        with pytest.raises(ExportFailed, match=r"it differs from the model: mIoU \S+ in place of 52.0 %"):
            judged.check(served, "it", False)
    else:
        agreement = judged.check(served, "it", False)
        assert agreement.score == score and agreement.labels > 0.2


def test_without_labels_another_precision_is_not_judged(serve, strict):
    with pytest.raises(ExportFailed, match="it can't be judged: there is no validation split with labels"):
        strict.check(Answers(serve), "it", False)


def test_a_checkpoint_that_is_not_finite(network, monkeypatch):
    def fail(batch):
        raise NotFinite("the network's output main is not finite")

    monkeypatch.setattr(gate, "_probabilities", lambda network: fail)
    with pytest.raises(ExportFailed, match="on image0_whole the network's output main is not finite"):
        exported.gate(network)
