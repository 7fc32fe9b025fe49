"""What each layer sees, against closed forms and the way back through the graph."""

import math

import numpy as np
import pytest
from models.test_contract import TINY
from tensorflow import keras

from did_tf import models
from did_tf.analysis import fields, measures
from did_tf.analysis.graph import Graph
from did_tf.common.errors import ConfigError

layers = keras.layers


def chain(*made):
    image = x = keras.Input((None, None, 1), name="image")
    for layer in made:
        x = layer(x)
    return keras.Model(image, {"main": x})


def test_a_chain_by_hand():
    """1 + sum of (kernel - 1) * dilation * the strides before, layer by layer and for each axis."""
    model = chain(
        layers.Conv2D(1, (3, 5), 2, "same", name="a"),
        layers.ReLU(name="b"),
        layers.Conv2D(1, 3, padding="same", dilation_rate=4, name="c"),
        layers.MaxPooling2D(3, 2, "same", name="d"),
        layers.Conv2D(1, 1, name="e"),
    )
    found = {field.layer: (field.size, field.stride) for field in fields.fields(model)}
    assert found == {
        "image": ((1, 1), (1, 1)),
        "a": ((3, 5), (2, 2)),
        "b": ((3, 5), (2, 2)),
        "c": ((3 + 16, 5 + 16), (2, 2)),
        "d": ((19 + 4, 21 + 4), (4, 4)),
        "e": ((23, 25), (4, 4)),
    }


def test_what_pools_the_whole_image_sees_all_of_it():
    """What comes before does not."""
    model = chain(layers.Conv2D(2, 3, name="a"), layers.GlobalAveragePooling2D(name="b"))
    found, everything = fields.fields(model), (math.inf, math.inf)
    assert [field.size for field in found] == [(1, 1), (3, 3), everything]
    assert [field.stride for field in found] == [(1, 1), (1, 1), everything]


def test_a_module_of_sunet_from_its_own_input():
    """Figure 1: 1x1, down by 2 with a 3x3, 3x3, down by 2 with a 3x3, 3x3."""
    model = models.build("sunet", 5, **{**TINY["sunet"][0], "output_stride": 32})
    found = {field.layer: field.size for field in fields.fields(model, "block2.unet1.reduce.relu")}
    names = ["reduce.conv", "e1.down.conv", "e1.conv.conv", "e2.down.conv", "e2.conv.conv"]
    assert [found[f"block2.unet1.{name}"][0] for name in names] == [1, 3, 7, 11, 19]
    assert "block1.unet1.expand.conv" not in found, "which comes before"


@pytest.mark.parametrize("name", TINY)
def test_spans_are_those_of_the_way_back(name):
    """The box around all that is reached from a place, at the centre and at both ends, for every sixth layer."""
    model = models.build(name, 5, **TINY[name][0])
    graph = Graph(model, 65, 98)
    for axis in (0, 1):
        for number, (layer, (first, last)) in enumerate(fields.spans(graph, "image", axis)):
            if number % 6 == 0:
                size = graph.sizes[layer][1 + axis]
                for place in {0, size // 2, size - 1}:
                    marked = np.flatnonzero(graph.reach(layer, (place,), "image", (axis,)))
                    expected = (marked[0], marked[-1]) if marked.size else ((65, 98)[axis], -1)  # padding alone
                    assert (first[:, place].min(), last[:, place].max()) == expected, (layer, place)


def test_the_last_layer_has_the_receptive_field():
    """Found backward by `measures`, of a network whose features have several copies."""
    model = models.build("fcrn", 5, depth=14, width=8, output_stride=8, simulation=True)
    assert fields.fields(model)[-1].size == measures.receptive_field(model)


def test_an_unknown_source_is_told():
    with pytest.raises(ConfigError, match="no layer 'stem'"):
        fields.fields(chain(layers.Conv2D(1, 3)), "stem")
