"""What is kept, by hand."""

from tensorflow import keras

from did_tf.models import densenet, resnet
from did_tf.models.layers import Normalize
from did_tf.models.units import Units
from did_tf.recompute import plan

layers = keras.layers


def model_of(make):
    image = keras.Input((None, None, 3), name="image")
    x = layers.Conv2D(8, 1, strides=2, name="stem")(Normalize((0,) * 3, (1,) * 3, name="normalize")(image))
    x = layers.AveragePooling2D(2, name="pool")(x)
    return keras.Model(image, {"main": layers.Conv2D(2, 1, name="main")(make(x))})


def kept(make):
    """{what is made: what of}, by the last words of the names; after the pool."""
    found = plan.segments(model_of(make))
    return {part.made.removeprefix("b."): [name.removeprefix("b.") for name in part.sources] for part in found}


def test_dense_units_keep_what_their_convolutions_give():
    found = kept(lambda x: densenet.dense_block(Units(0.2), x, 3, 2, "b"))
    assert found == {
        "pool": ["image"],
        "unit1.conv1x1.dropout": ["pool"],
        "unit1.conv3x3.dropout": ["unit1.conv1x1.dropout"],
        "unit2.conv1x1.dropout": ["pool", "unit1.conv3x3.dropout"],
        "unit2.conv3x3.dropout": ["unit2.conv1x1.dropout"],
        "unit3.conv1x1.dropout": ["pool", "unit1.conv3x3.dropout", "unit2.conv3x3.dropout"],
        "unit3.conv3x3.dropout": ["unit3.conv1x1.dropout"],
        "main": ["pool", "unit1.conv3x3.dropout", "unit2.conv3x3.dropout", "unit3.conv3x3.dropout"],
    }


def test_concatenations_are_computed_once_each():
    found = plan.segments(model_of(lambda x: densenet.dense_block(Units(), x, 3, 2, "b")))
    assert [part.layers[0] for part in found if "concat" in part.layers[0]] == [
        f"b.unit{unit}.concat" for unit in (1, 2, 3)
    ]
    assert all(sum("concat" in name for name in part.layers) <= 1 for part in found)


def test_residual_units_keep_their_narrow_features_and_their_sum():
    """Of the last convolution, which makes many features of few, nothing is kept; it is computed again."""
    found = kept(lambda x: resnet.bottleneck(Units(), x, 2, "b"))
    assert found == {
        "pool": ["image"],
        "conv1.conv": ["pool"],
        "conv2.conv": ["conv1.conv"],
        "relu": ["pool", "conv2.conv"],
        "main": ["relu"],
    }


def test_what_two_would_compute_is_kept():
    """Here the activation: of a projection and of a unit."""

    def both(x):
        x = Units().bn_relu(x, "b")
        narrow = Units().bn_relu_conv(layers.Conv2D(4, 1, name="a")(x), 8, 1, "c")
        return layers.Add(name="add")([layers.Conv2D(8, 1, name="shortcut")(x), narrow])

    assert kept(both) == {"pool": ["image"], "relu": ["pool"], "a": ["relu"], "main": ["relu", "a"]} | {
        "add": ["relu", "a"],
        "main": ["add"],
    }
