"""Starting from a run on other data: what fits is loaded, and what is left is told."""

import functools

import numpy as np
import pytest

from did_tf import models
from did_tf.common.errors import ConfigError
from did_tf.runs import checkpoints
from did_tf.training import transfer

OPTIONS = {"growth": 4, "units": (1, 1, 1, 1)}
NETWORK = models.described({"name": "did", **OPTIONS})
RGB = ["red", "green", "blue"]


@functools.cache
def network(classes=3, bands=3):
    """One for all tests: what it has before is what the one before has left."""
    return models.build("did", classes, (None, None, bands), mean=(0.0,) * bands, std=(1.0,) * bands, **OPTIONS)


def own(classes="abc", bands=(), **more):
    """Network and data of a run; three bands without names are red, green and blue."""
    data = {"classes": [*classes], "bands": len(bands) or 3, "band_names": [*bands], "dtype": "uint8", **more}
    return {"network": NETWORK, "data": data}


def drawn(draw, shape):
    """Numbers of a weight: what there is of each filter, variances among it, is above 0."""
    return draw.uniform(0.5, 1.5, shape) if len(shape) == 1 else draw.normal(size=shape)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """(weights file of a network for the classes a, b and c, its arrays): every weight is another number."""
    draw, path = np.random.default_rng(0), tmp_path_factory.mktemp("run") / "w.npz"
    state = checkpoints.model_state(network())
    arrays = {name: drawn(draw, v.shape).astype(np.float32) for name, v in state.items()}
    checkpoints.write(path, arrays, own())
    return path, arrays


def forget(model):
    """What the test before has left, in a network that is there for all, is gone."""
    model.set_weights([np.full_like(weight, 0.5) for weight in model.get_weights()])


def started(source, model, now):
    """(what is said, {name: array} of the model before, which has the same number everywhere, and after)."""
    forget(model)
    before = {name: v.numpy() for name, v in checkpoints.model_state(model).items()}
    said = transfer.load_all(model, source[0], now)
    assert "\n" not in said
    return said, before, {name: v.numpy() for name, v in checkpoints.model_state(model).items()}


def of_head(name):
    return models.part(name.removeprefix("model/")) == "head"


def test_the_same_data_take_all(source):
    said, _, after = started(source, network(), own())
    assert said == str(source[0])
    for name, array in source[1].items():
        np.testing.assert_array_equal(after[name], array, err_msg=name)


@pytest.mark.parametrize("classes", ["abcd", "xbc", "bac", "ab"])
def test_with_other_classes_all_but_the_head_is_loaded(source, classes):
    """More, fewer, others, or the same in another order: a head of other things would be used in silence."""
    said, before, after = started(source, network(len(classes)), own(classes))
    assert said == (
        f"{source[0]}, but for the head, which is new: its classes were a, b, c and are {', '.join(classes)}"
    )
    heads = [name for name in after if of_head(name)]
    assert heads and len(heads) < len(after)
    for name, array in after.items():
        np.testing.assert_array_equal(array, before[name] if of_head(name) else source[1][name], err_msg=name)


def test_with_regions_the_head_is_new_as_it_says_something_else(source):
    """Three logits of regions are not those of three classes, whatever their names are."""
    regions = [["a", [0, 1, 2]], ["b", [1, 2]], ["c", [2]]]
    said, before, after = started(source, network(), own(regions=regions))
    assert said == f"{source[0]}, but for the head, which is new: its regions are others"
    for name, array in after.items():
        np.testing.assert_array_equal(array, before[name] if of_head(name) else source[1][name], err_msg=name)


@pytest.mark.parametrize(
    "bands, said",
    [
        (("nir", *RGB), "; its first layer, which was for red, green, blue, is fitted to nir, red, green, blue (those"),
        (("blue", "red", "green"), "which was for red, green, blue, is fitted to blue, red, green"),
        (("", "", ""), ""),
    ],
)
def test_the_first_layer_is_fitted_to_other_bands(source, bands, said):
    names = [] if "" in bands else bands
    told, _, after = started(source, network(bands=len(bands)), own(bands=names, mean=[1.0] * len(bands)))
    assert said in told and told.startswith(f"{source[0]};" if names else str(source[0]))
    old = source[1]["model/stem.conv1/kernel"]
    kernels = dict(zip(RGB, np.moveaxis(old, 2, 0)))
    taken = [kernels.get(name, old.mean(axis=2)) for name in (bands if names else RGB)]
    np.testing.assert_allclose(after["model/stem.conv1/kernel"], np.stack(taken, 2) * 3 / len(taken), rtol=1e-6)
    for name in set(after) - {"model/stem.conv1/kernel"}:
        np.testing.assert_array_equal(after[name], source[1][name], err_msg=name)


def test_permuted_bands_give_the_same_network(source):
    draw = np.random.default_rng(1)
    image = draw.normal(size=(1, 33, 33, 3)).astype(np.float32)
    model = network()
    transfer.load_all(model, source[0], own())
    same = model(image)["main"]
    transfer.load_all(model, source[0], own(bands=RGB[::-1]))
    permuted = model(image[..., ::-1])["main"]
    assert np.isfinite(same).all()
    np.testing.assert_allclose(same, permuted, rtol=1e-3, atol=1e-3 * np.abs(same).max())


def test_the_encoder_alone_is_fitted_too(source):
    model = network(bands=4)
    forget(model)
    state = {name: v for name, v in checkpoints.model_state(model).items() if "stem" in name}
    assert "is fitted to nir, red, green, blue" in transfer.load_state(
        model, source[0], state, own(bands=("nir", *RGB))
    )
    np.testing.assert_array_equal(state["model/stem.conv1.bn/gamma"].numpy(), source[1]["model/stem.conv1.bn/gamma"])
    colours = state["model/stem.conv1/kernel"].numpy()[:, :, 1:]
    np.testing.assert_allclose(colours, source[1]["model/stem.conv1/kernel"] * 3 / 4, rtol=1e-6)


def test_other_facts_of_the_data_are_told(source):
    said, *_ = started(source, network(), own(dtype="uint16"))
    assert said == f"{source[0]}, trained with other settings: of the data, dtype is uint16 and was uint8"


def test_a_network_with_other_options_is_refused(source):
    with pytest.raises(ConfigError, match="is of another network: growth"):
        transfer.load_all(network(), source[0], {**own(), "network": {**NETWORK, "growth": 8}})


def test_another_network_is_told_with_the_way_to_its_encoder(source):
    with pytest.raises(ConfigError, match="of the network did, here it is duc: train.encoder takes its encoder alone"):
        transfer.load_all(network(), source[0], {**own(), "network": models.described({"name": "duc"})})


@pytest.mark.parametrize("bands", [("a", "b"), ("", "", "", ""), ("x", "a", "b")])
def test_the_sum_over_the_bands_stays_as_large(bands):
    kernel = np.random.default_rng(2).normal(size=(3, 3, 2, 5)).astype(np.float32)
    fitted = transfer.adapt_bands(kernel, ("a", "b"), bands)
    assert fitted.shape == (3, 3, len(bands), 5)
    np.testing.assert_allclose(fitted.sum(axis=2), kernel.sum(axis=2), rtol=1e-4, atol=1e-5)
