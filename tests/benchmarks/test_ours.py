"""Other layers in the place of did_tf's."""

import pytest
from tensorflow import keras

from benchmarks.ours import layers
from did_tf.models.layers import Convolution, Dropout, FusedBatchNormalization
from did_tf.models.units import Units

OWN = {"bn": FusedBatchNormalization, "conv": Convolution, "dropout": Dropout}
KERAS = {"bn": keras.layers.BatchNormalization, "conv": keras.layers.Conv2D, "dropout": keras.layers.Dropout}


@pytest.mark.parametrize(
    "kinds, others", [((), ()), (("keras",), ("bn", "dropout")), (("kernels", "keras"), ("bn", "conv", "dropout"))]
)
def test_units_have_layers_of_the_kinds_asked_for(kinds, others):
    """With dropout too, whose scaling Keras' own does by itself."""
    image = keras.Input((8, 8, 3))
    with layers(*kinds):
        model = keras.Model(image, Units(dropout=0.5).bn_relu_conv_drop(image, 4, 3, "unit"))
    for name, own in OWN.items():
        assert type(model.get_layer(f"unit.{name}")) is (KERAS[name] if name in others else own)
    if isinstance(model.get_layer("unit.conv"), Convolution):
        assert model.get_layer("unit.conv").gain == (1 if "dropout" in others else 2)


def test_a_convolution_that_scales_nothing_has_a_dropout_behind_it_that_does():
    image = keras.Input((8, 8, 3))
    with layers("kernels"):
        model = keras.Model(image, Units(dropout=0.5).bn_relu_conv_drop(image, 4, 3, "unit"))
    assert type(model.get_layer("unit.conv")) is keras.layers.Conv2D
    assert not model.get_layer("unit.dropout").scaled
