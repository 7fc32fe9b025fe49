"""Encoder weights against the networks of keras.applications, with random weights: nothing is downloaded."""

import functools

import numpy as np
import pytest
from tensorflow import keras

from did_tf import models
from did_tf.common import compat
from did_tf.common.errors import ConfigError
from did_tf.models import densenet, resnet
from did_tf.models.units import Units, image_input
from did_tf.runs import checkpoints
from did_tf.training import pretrained
from did_tf.training.origin import tell_frozen

MEANS = {"DenseNet": (123.675, 116.28, 103.53), "ResNet": (123.68, 116.779, 103.939)}
TORCH_STD = (58.395, 57.12, 57.375)
PREPROCESS = {
    "DenseNet": keras.applications.densenet.preprocess_input,
    "ResNet": keras.applications.resnet.preprocess_input,
}
UNITS = {
    "DenseNet121": (6, 12, 24, 16),
    "DenseNet169": (6, 12, 32, 32),
    "ResNet50": (3, 4, 6, 3),
    "ResNet101": (3, 4, 23, 3),
    "ResNet152": (3, 8, 36, 3),
}
MAKE = {network: getattr(keras.applications, network) for network in UNITS}
RANGES = {"gamma": (0.5, 1.0), "moving_variance": (0.3, 1.0)}  # others: -0.3 to 0.3
DID = {"growth": 4, "units": (1, 1, 1, 1)}

small_networks = pytest.mark.parametrize("network", ["DenseNet121", "ResNet50"])


def family(network):
    return network.rstrip("0123456789")


def values(layer):
    """{weight: array} of a layer."""
    return {compat.path(v).split("/")[-1]: compat.tf_variable(v).numpy() for v in layer.weights}


@functools.cache
def theirs(network):
    """The network of keras.applications with random weights, statistics and biases."""
    model = MAKE[network](weights=None, include_top=False)
    random = np.random.default_rng(1)
    for layer in model.layers:
        for name, v in zip(values(layer), layer.weights):
            if name != "kernel":
                v.assign(random.uniform(*RANGES.get(name, (-0.3, 0.3)), v.shape).astype(np.float32))
    return model


@pytest.fixture
def download(monkeypatch):
    """Puts the random weights where keras.applications would download ImageNet's."""
    for network in ("DenseNet121", "ResNet50"):

        def answer(weights, include_top, network=network):
            assert (weights, include_top) == ("imagenet", False)
            return theirs(network)

        monkeypatch.setattr(keras.applications, network, answer)


@functools.cache
def ours(network, mean, std, epsilon=1e-5, **options):
    """Our encoder alone, its taps as outputs, finest first; one for all tests that want the same."""
    image, x = image_input("test", (None, None, len(mean)), mean, std, minimum=1)
    make, depth = Units(use_bias=False, epsilon=epsilon), int(network[len(family(network)) :])
    if family(network) == "DenseNet":
        taps = densenet.encoder(make, x, densenet.UNITS[depth], **options)
    else:
        taps = resnet.encoder(make, x, depth, **options)
    return keras.Model(image, list(taps.values()), name=network.lower())


def their_taps(network, x):
    """Features of keras.applications at strides 4, 8, 16 and 32, from RGB pixel values."""
    ending = "concat" if family(network) == "DenseNet" else "out"
    names = [f"conv{stage}_block{units}_{ending}" for stage, units in enumerate(UNITS[network], 2)]
    model = theirs(network)
    return keras.Model(model.input, [model.get_layer(name).output for name in names])(prepared(network, x))


def prepared(network, x):
    return PREPROCESS[family(network)](x.copy())


def stem(model, network=None):
    """`model` up to the first activation; theirs, if `network` says which it is."""
    if not network:
        return keras.Model(model.input, model.get_layer("stem.conv1.relu").output)
    relu = next(layer for layer in model.layers if layer.name in ("conv1_relu", "conv1/relu"))
    return keras.Model(model.input, relu.output)


def images(bands=3, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (1, 64, 64, bands)).astype(np.float32)


def assert_same(first, second):
    assert np.std(second) > 0.05
    np.testing.assert_allclose(first, second, rtol=0, atol=1e-4 * np.abs(second).max())


@pytest.mark.parametrize(
    "network", [pytest.param(name, marks=[] if name == "DenseNet121" else [pytest.mark.slow]) for name in UNITS]
)
def test_features_are_those_of_keras_applications(network, tmp_path):
    """From a file. With ImageNet's own mean they are equal at the borders too."""
    theirs(network).save_weights(str(tmp_path / "w.weights.h5"))
    model = ours(network, MEANS[family(network)], TORCH_STD)
    source = pretrained.load_encoder(model, str(tmp_path / "w.weights.h5"))
    assert source == f"keras.applications.{network} ({tmp_path / 'w.weights.h5'})"
    taps = list(zip(model(images()), their_taps(network, images())))
    assert [tap.shape[1] for tap, _ in taps] == [16, 8, 4, 2]
    for tap, expected in taps:
        assert_same(tap, expected)


@small_networks
def test_another_mean_and_deviation_differ_at_the_borders_alone(network, download):
    model = ours(network, (104.0, 100.0, 105.0), (76.0, 77.0, 75.0))
    assert pretrained.load_encoder(model, "imagenet") == f"keras.applications.{network} (imagenet)"
    found = stem(model)(images()).numpy()
    expected = stem(theirs(network), network)(prepared(network, images())).numpy()
    assert_same(found[:, 2:-2, 2:-2], expected[:, 2:-2, 2:-2])
    assert np.abs(found - expected).max() > 1e-2


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("family", pretrained.FAMILIES, ids=lambda family: family.prefix)
def test_a_first_kernel_takes_any_number_of_bands(family, bands):
    """What the test below asks of whole networks, of one place that the first convolution sees."""
    random = np.random.default_rng(bands)
    kernel, spread = random.normal(size=(7, 7, 3, 4)), random.normal(size=(7, 7, 1))
    mean, std = np.linspace(60, 200, bands), np.linspace(30, 80, bands)
    rgb, x = np.asarray(MEANS[family.prefix]) + spread * np.asarray(TORCH_STD), mean + spread * std
    if bands >= 3:
        mean[:3], x[..., :3] = MEANS[family.prefix], rgb
    adapted, offset = pretrained.adapt_input(kernel, mean, std, family)
    found = np.einsum("hwb,hwbf->f", (x - mean) / std, adapted) + offset
    theirs_see = prepared(f"{family.prefix}50", rgb)
    np.testing.assert_allclose(found, np.einsum("hwb,hwbf->f", theirs_see, kernel), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("family", pretrained.FAMILIES, ids=lambda family: family.prefix)
@pytest.mark.parametrize("bands", [2, 3, 7])
def test_pixels_of_another_range_are_scaled_by_their_deviations(family, bands):
    """Alike in standard deviations, colours too, they look as ImageNet's would."""
    random = np.random.default_rng(bands)
    kernel, spread = random.normal(size=(7, 7, 3, 4)), random.normal(size=(7, 7, 1))
    rgb, x = np.asarray(MEANS[family.prefix]) + spread * np.asarray(TORCH_STD), 1200 + spread * np.full(bands, 800.0)
    adapted, offset = pretrained.adapt_input(kernel, [1200.0] * bands, [800.0] * bands, family, absolute=False)
    found = np.einsum("hwb,hwbf->f", (x - 1200) / 800, adapted) + offset
    theirs_see = prepared(f"{family.prefix}50", rgb)
    np.testing.assert_allclose(found, np.einsum("hwb,hwbf->f", theirs_see, kernel), rtol=1e-6, atol=1e-6)


BLUE_FIRST = ["blue", "green", "red", "nir"]


@pytest.mark.parametrize(
    "data, places, absolute",
    [
        ({"band_names": BLUE_FIRST, "dtype": "uint8"}, (2, 1, 0), True),
        ({"band_names": BLUE_FIRST, "dtype": "uint16"}, (2, 1, 0), False),
        ({"band_names": ["nir", "red", "green", "swir"], "dtype": "uint8"}, (0, 1, 2), True),
        ({"band_names": [], "dtype": "float32"}, (0, 1, 2), False),
    ],
)
def test_colours_are_found_by_their_names_and_scaled_by_what_pixels_mean(data, places, absolute, download):
    mean, std = (90.0, 95.0, 99.0, 10.0), (50.0, 60.0, 70.0, 5.0)
    model = ours("DenseNet121", mean, std)
    pretrained.load_encoder(model, "imagenet", {"data": data})
    first = next(layer for layer in theirs("DenseNet121").layers if layer.name.replace("/", "_") == "conv1_conv")
    kernel = values(first)["kernel"].astype(float)
    expected, _ = pretrained.adapt_input(kernel, mean, std, pretrained.FAMILIES[0], places, absolute)
    np.testing.assert_allclose(values(model.get_layer("stem.conv1"))["kernel"], expected, rtol=1e-5)
    for colour, place in enumerate(places):
        scale = (std[place] if absolute else TORCH_STD[colour]) / TORCH_STD[colour]
        np.testing.assert_allclose(expected[:, :, place], kernel[:, :, colour] * scale * 3 / 4)


@pytest.mark.parametrize(
    "network, bands",
    [
        ("DenseNet121", 1),
        pytest.param("ResNet50", 2, marks=pytest.mark.slow),
        pytest.param("DenseNet121", 4, marks=pytest.mark.slow),
        ("ResNet50", 7),
    ],
)
def test_a_picture_that_is_alike_in_all_bands_looks_the_same_to_any_number_of_them(network, bands, download):
    """Alike in standard deviations: RGB in ImageNet's, which they have absolutely, other bands in their own."""
    mean, std = np.linspace(60, 200, bands), np.linspace(30, 80, bands)
    spread = images(1) / 64 - 2
    rgb = np.asarray(MEANS[family(network)]) + spread * np.asarray(TORCH_STD)
    x = mean + spread * std
    if bands > 3:
        mean[:3], x[..., :3] = MEANS[family(network)], rgb
    model = ours(network, tuple(mean), tuple(std))
    pretrained.load_encoder(model, "imagenet")
    expected = stem(theirs(network), network)(prepared(network, rgb.astype(np.float32)))
    assert_same(stem(model)(x.astype(np.float32)), expected)


def test_bands_beyond_rgb_all_weigh_the_same_and_colours_keep_their_share():
    random = np.random.default_rng(0)
    kernel, mean, std = random.normal(size=(7, 7, 3, 4)), (90.0, 95.0, 99.0, 10.0, 20.0), (50.0, 60.0, 70.0, 5.0, 9.0)
    caffe = pretrained.FAMILIES[1]
    adapted, offset = pretrained.adapt_input(kernel, mean, std, caffe)
    assert adapted.shape == (7, 7, 5, 4)
    for colour, channel in enumerate((2, 1, 0)):  # theirs is BGR
        np.testing.assert_allclose(adapted[:, :, colour], kernel[:, :, channel] * std[colour] * 3 / 5)
    by_hand = sum(kernel[:, :, channel] * TORCH_STD[colour] for colour, channel in enumerate((2, 1, 0))) / 5
    np.testing.assert_allclose(adapted[:, :, 3], by_hand)
    np.testing.assert_array_equal(adapted[:, :, 4], adapted[:, :, 3])
    shifts = sum(kernel[:, :, c].sum((0, 1)) * (mean[2 - c] - MEANS["ResNet"][2 - c]) for c in (0, 1, 2))
    np.testing.assert_allclose(offset, shifts * 3 / 5)
    assert np.array_equal(pretrained.adapt_input(kernel, mean[3:], std[3:], caffe)[1], np.zeros(4))


def test_another_epsilon_makes_no_difference(download):
    model = ours("ResNet50", MEANS["ResNet"], TORCH_STD, epsilon=1e-6)
    pretrained.load_encoder(model, "imagenet")
    expected = values(theirs("ResNet50").get_layer("conv4_block2_1_bn"))["moving_variance"] + 1.001e-5
    found = values(model.get_layer("stage3.unit2.conv1.bn"))["moving_variance"] + 1e-6
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(
    "frozen, first, told", [("all", 0, True), ("statistics", 0, True), ("all", 9, False), ("", 0, False)]
)
def test_batch_norm_that_is_frozen_as_it_began_is_told(frozen, first, told, download, capsys):
    model = models.build("ladder", 5)
    pretrained.load_encoder(model, "imagenet")
    tell_frozen(model, {"freeze_batch_norm": frozen, "freeze_batch_norm_from": first})
    count = sum(models.part(layer.name) == "decoder" and layer.name.endswith(".bn") for layer in model.layers)
    note = f"note: batch norm of {count} layers (decoder) is frozen as it began, mean 0 and variance 1: "
    out = capsys.readouterr().out
    assert (out.startswith(note) and out.count("\n") == 1) if told else not out


def test_an_h5_file_with_the_classifier(tmp_path):
    body = theirs("ResNet50")
    x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(body.output)
    source = keras.Model(body.input, keras.layers.Dense(1000, name="predictions")(x))
    source.save(str(tmp_path / "whole.h5"))
    model = ours("ResNet50", MEANS["ResNet"], TORCH_STD)
    pretrained.load_encoder(model, str(tmp_path / "whole.h5"))
    expected = values(source.get_layer("conv5_block3_3_conv"))["kernel"]
    np.testing.assert_array_equal(values(model.get_layer("stage4.unit3.conv3.conv"))["kernel"], expected)


@pytest.mark.parametrize(
    "name, options, layer, their_layer",
    [
        ("fcrn", {"depth": 50, "kernel": 3}, "stage2.unit1.shortcut.conv", ("ResNet50", "conv3_block1_0_conv")),
        ("ladder", {}, "block4.unit16.conv3x3.conv", ("DenseNet121", "conv5_block16_2_conv")),
    ],
)
def test_decoder_and_head_stay(name, options, layer, their_layer, download):
    """The whole encoder is found, also where a block is split or dilated."""
    model = models.build(name, 5, **options)
    state = checkpoints.model_state(model)
    new = {key: v.numpy() for key, v in state.items() if models.part(key[len("model/") :]) != "encoder"}
    pretrained.load_encoder(model, "imagenet")
    network, their_name = their_layer
    expected = values(theirs(network).get_layer(their_name))["kernel"]
    np.testing.assert_array_equal(values(model.get_layer(layer))["kernel"], expected)
    assert any(key.startswith("model/head.") for key in new)
    for key, old in new.items():
        np.testing.assert_array_equal(state[key].numpy(), old, err_msg=key)


def save_run(folder, model, file="best/weights.npz"):
    checkpoints.write(folder / file, checkpoints.model_state(model))
    return str(folder)


@pytest.mark.parametrize("file", ["best/weights.npz", "checkpoints/step_00000012.npz", None])
def test_a_run_lends_its_encoder_to_another_task(file, tmp_path):
    """Eight classes and another decoder: what is the same by name and shape is the encoder."""
    source, model = models.build("did", 8, **DID), models.build("did", 5, **DID, smoothing=3)
    before = {name: v.numpy() for name, v in checkpoints.model_state(model).items()}
    if file:
        loaded = pretrained.load_encoder(model, save_run(tmp_path, source, file))
        assert loaded == str(tmp_path / file)
    else:
        checkpoints.write(tmp_path / "w.npz", checkpoints.model_state(source))
        assert pretrained.load_encoder(model, str(tmp_path / "w.npz")) == str(tmp_path / "w.npz")
    lent = {name: v.numpy() for name, v in checkpoints.model_state(source).items()}
    kernels = [name for name in before if name.endswith("kernel")]
    assert {models.part(name[len("model/") :]) for name in kernels} == {"encoder", "decoder", "head"}
    for name, v in checkpoints.model_state(model).items():
        from_run = models.part(name[len("model/") :]) == "encoder"
        np.testing.assert_array_equal(v.numpy(), lent[name] if from_run else before[name], err_msg=name)
        assert not from_run or not name.endswith("kernel") or np.any(lent[name] != before[name])


def test_a_classifier_lends_its_encoder_to_segmentation(tmp_path):
    tiny = {"filters": 4, "depth": 1, "widths": (8, 12, 16, 20)}
    source, model = models.build("sunet", 8, task="classification", **tiny), models.build("sunet", 5, **tiny)
    pretrained.load_encoder(model, save_run(tmp_path, source))
    lent = checkpoints.model_state(source)
    encoder = {key: v for key, v in checkpoints.model_state(model).items() if models.part(key[6:]) == "encoder"}
    assert len(encoder) > 50
    for name, v in encoder.items():
        np.testing.assert_array_equal(v.numpy(), lent[name].numpy(), err_msg=name)


def unchanged(model, weights, message):
    before = [v.numpy() for v in checkpoints.model_state(model).values()]
    with pytest.raises(ConfigError, match=message) as error:
        pretrained.load_encoder(model, weights)
    assert "\n" not in str(error.value)
    for v, old in zip(checkpoints.model_state(model).values(), before):
        np.testing.assert_array_equal(v.numpy(), old)


@pytest.mark.parametrize(
    "network, options, message",
    [
        (
            "ResNet50",
            {"stem": "3x3"},
            r"keras.applications.ResNet50 \(imagenet\) does not fit this model: model/stem.conv1.conv/kernel is "
            r"\(7, 7, 3, 64\), the model's is \(3, 3, 3, 64\); model/stem.conv2.conv/kernel is missing; "
            "model/stem.conv2.bn/gamma is missing; and 10 more. The encoder must be the original ResNet50",
        ),
        ("DenseNet121", {"growth": 8}, r"model/stem.conv1/kernel is \(7, 7, 3, 64\), the model's is \(7, 7, 3, 16\)"),
    ],
)
def test_an_encoder_of_other_shapes_is_told_by_its_layers(network, options, message, download):
    unchanged(ours(network, MEANS["ResNet"], TORCH_STD, **options), "imagenet", message)


def test_networks_without_an_imagenet_encoder_are_told():
    unchanged(
        models.build("did", 5, **DID), "imagenet", r"model 'did' has no encoder .* none of DenseNet121, .*ResNet152"
    )
    unchanged(models.build("fcrn", 5, depth=26, width=8), "imagenet", "model 'fcrn' has no encoder")
    # As many units as a ResNet-50, but other ones.
    unchanged(models.build("classifier", 5, encoder="resnet34", width=8), "imagenet", "'classifier' has no encoder")


def test_a_run_with_another_encoder_is_told_by_its_layers(tmp_path):
    run = save_run(tmp_path, models.build("did", 5, **DID))
    message = r"weights.npz does not fit this model: model/block1.unit1.conv1x1.conv/kernel is \(1, 1, 128, 16\)"
    unchanged(models.build("did", 5, units=DID["units"], growth=8), run, message)


def test_no_network_is_one_line(monkeypatch):
    def fail(**_):
        raise Exception("URL fetch failure on https://storage.example/resnet50.h5: None\nmore")

    monkeypatch.setattr(keras.applications, "ResNet50", fail)
    message = "cannot get ImageNet's weights of ResNet50: URL fetch failure on .*: None. Give the .h5 file"
    unchanged(ours("ResNet50", MEANS["ResNet"], TORCH_STD), "imagenet", message)


def test_bad_files_are_told(tmp_path, monkeypatch):
    """Into the network that is there already, as keras.applications would into one that it makes."""

    def load(weights, include_top):
        theirs("ResNet50").load_weights(weights)

    monkeypatch.setattr(keras.applications, "ResNet50", load)
    model = ours("ResNet50", MEANS["ResNet"], TORCH_STD)
    (tmp_path / "broken.h5").write_text("no HDF5")
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    other.save_weights(str(tmp_path / "other.weights.h5"))
    unchanged(model, str(tmp_path / "absent.h5"), "no weights file .*absent.h5")
    unchanged(model, str(tmp_path / "broken.h5"), "cannot load .*broken.h5 into keras.applications.ResNet50: ")
    unchanged(model, str(tmp_path / "other.weights.h5"), "cannot load .*other.weights.h5 into .*ResNet50: ")
    unchanged(model, str(tmp_path / "imagenett"), "no run or weights file .*imagenett: train first")
    unchanged(model, str(tmp_path), "no trained weights in ")
