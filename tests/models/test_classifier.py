"""Classification networks: their encoders are those of segmentation, and as large as in keras.applications."""

import numpy as np
import pytest
from tensorflow import keras

from did_tf import models
from did_tf.common import compat
from did_tf.common.errors import ConfigError
from did_tf.training import pretrained

DENSE = {"growth": 4, "units": (1, 2, 1, 2)}
RESIDUAL = {"encoder": "resnet14", "width": 8}
DID = {"growth": 4, "units": (1, 1, 1, 1)}
# classification network, then network for segmentation: name and options
PAIRS = [
    (("classifier", {"encoder": "resnet18"}), ("ladder", {"encoder": "resnet18", "width": 8, "split": ()})),
    (("classifier", RESIDUAL), ("duc", {"depth": 14, "width": 8, "aspp": 0})),
    (("classifier", {**RESIDUAL, "stem": "3x3"}), ("duc", {"depth": 14, "width": 8, "aspp": 0, "stem": "3x3"})),
    (("classifier", RESIDUAL), ("fcrn", {"depth": 14, "width": 8, "kernel": 3})),
    (("classifier", {"encoder": "resnet14"}), ("ladder", {"encoder": "resnet14", "width": 8, "split": ()})),
    (("classifier", {"encoder": "densenet121", **DENSE}), ("ladder", {**DENSE, "width": 8})),
    (("did", {**DID, "task": "classification"}), ("did", DID)),
]
# encoder: parameters in keras.applications with 1000 classes, moving statistics among them, and biases of its
# convolutions, which are added to nothing: each is followed by batch normalisation
PARAMETERS = {
    "resnet50": (25_636_712, 26_560),
    "resnet101": (44_707_176, 52_672),
    "resnet152": (60_419_944, 75_712),
    "densenet121": (8_062_504, 0),
    "densenet169": (14_307_880, 0),
    "densenet201": (20_242_984, 0),
}
FAST = ("resnet50",)


def weights(model, part):
    found = {compat.path(v): tuple(v.shape) for v in model.weights}
    return {path: shape for path, shape in found.items() if models.part(path) == part}


def images(count=2, size=(32, 45), bands=3):
    return np.random.default_rng(0).uniform(0, 255, (count, *size, bands)).astype(np.float32)


@pytest.mark.parametrize("classification, segmentation", PAIRS)
def test_the_encoder_has_the_weights_that_it_has_in_segmentation(classification, segmentation):
    (name, options), (other, others) = classification, segmentation
    model = models.build(name, 7, **options)
    assert weights(model, "encoder") == weights(models.build(other, 5, **others), "encoder")
    assert models.task(model) == "classification" and not weights(model, "decoder")


@pytest.mark.parametrize(
    "encoder", [pytest.param(name, marks=[] if name in FAST else [pytest.mark.slow]) for name in PARAMETERS]
)
def test_parameters_are_those_of_keras_applications(encoder):
    total, biases = PARAMETERS[encoder]
    model = models.build("classifier", 1000, encoder=encoder)
    assert sum(int(np.prod(v.shape)) for v in model.weights) == total - biases


@pytest.mark.parametrize("encoder, count", [("resnet18", 11_689_512), ("resnet34", 21_797_672)])
def test_parameters_of_basic_units_are_those_of_torchvision(encoder, count):
    model = models.build("classifier", 1000, encoder=encoder)
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == count


@pytest.mark.slow
@pytest.mark.parametrize("network", ["ResNet50", "ResNet101", "ResNet152", "DenseNet121", "DenseNet169", "DenseNet201"])
def test_those_are_the_parameters_of_keras_applications(network):
    theirs = getattr(keras.applications, network)(weights=None)
    biases = [v for layer in theirs.layers if isinstance(layer, keras.layers.Conv2D) for v in layer.weights[1:]]
    assert PARAMETERS[network.lower()] == (theirs.count_params(), sum(int(np.prod(v.shape)) for v in biases))


@pytest.mark.parametrize("name, options", [pair[0] for pair in PAIRS[4:]])
def test_logits_are_a_dense_layer_of_the_mean_features(name, options):
    """With statistics that are not the initial ones. The last features are activated, a DenseNet's in its head."""
    model, x = models.build(name, 7, **options), images()
    model(images(4), training=True)
    last = next(layer for layer in reversed(model.layers) if "relu" in layer.name)
    features = keras.Model(model.input, last.output)(x).numpy()
    assert (last.name == "head.main.relu") == ("resnet" not in options.get("encoder", ""))
    assert features.min() == 0 < features.std()
    kernel, bias = (compat.tf_variable(v).numpy() for v in model.get_layer("head.main.dense").weights)
    expected = features.mean(axis=(1, 2)) @ kernel + bias
    np.testing.assert_allclose(model(x)["main"], expected, rtol=1e-3, atol=1e-4)
    assert np.ptp(expected) > 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("network", ["ResNet50", "DenseNet121"])
def test_logits_are_those_of_keras_applications(network, tmp_path):
    theirs = getattr(keras.applications, network)(weights=None, classifier_activation=None)
    random = np.random.default_rng(0)
    for v in theirs.weights:
        if "moving" in compat.path(v):
            v.assign(random.uniform(0.5, 1.5, v.shape).astype(np.float32))
    theirs.save_weights(str(tmp_path / "w.weights.h5"))
    family = next(family for family in pretrained.FAMILIES if network.startswith(family.prefix))
    model = models.build("classifier", 1000, mean=family.mean, std=pretrained.IMAGENET_STD, encoder=network.lower())
    pretrained.load_encoder(model, tmp_path / "w.weights.h5")
    model.get_layer("head.main.dense").set_weights(theirs.layers[-1].get_weights())
    if network == "DenseNet121":
        model.get_layer("head.main.bn").set_weights(theirs.get_layer("bn").get_weights())
    preprocess = getattr(keras.applications, "densenet" if "Dense" in network else "resnet").preprocess_input
    x = images(1, (224, 224))
    expected = theirs(preprocess(x.copy())).numpy()
    np.testing.assert_allclose(model(x)["main"], expected, rtol=0, atol=1e-3 * np.abs(expected).max())


def test_any_number_of_bands_and_any_size():
    model = models.build("classifier", 7, (None, None, 5), **RESIDUAL)
    assert [model(images(size=size, bands=5))["main"].shape for size in ((32, 32), (33, 70))] == [(2, 7), (2, 7)]
    with pytest.raises(ConfigError, match="image width 31 is too small for the network: it takes 32"):
        models.build("classifier", 7, (32, 31, 3), **RESIDUAL)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"encoder": "resnet20"}, "encoder must be one of .*'densenet121'.*'resnet101'.*got 'resnet20'"),
        ({"encoder": "resnet14", "growth": 4}, "resnet14 has no growth: it must be 32, got 4"),
        ({"encoder": "densenet121", "stem": "3x3"}, "densenet121 has no stem: it must be '7x7', got '3x3'"),
        ({"encoder": "densenet121", "units": (1, 2)}, "units must have 4 entries"),
    ],
)
def test_options_that_an_encoder_has_not_are_refused(options, message):
    with pytest.raises(ConfigError, match=f"classifier: {message}"):
        models.build("classifier", 7, **options)
