"""The blocks of a network: every layer once, at its resolution, and what each takes."""

import dataclasses

import pytest
from models.test_contract import TINY

from did_tf import models
from did_tf.analysis import blocks, measures


def found(name, **options):
    return blocks.blocks(models.build(name, 5, **{**TINY[name][0], **options}))


@pytest.mark.parametrize("name", TINY)
def test_every_layer_and_every_parameter_is_in_one_block(name):
    model = models.build(name, 5, **TINY[name][0])
    made = blocks.blocks(model)
    assert sorted(layer for block in made for layer in block.layers) == sorted(layer.name for layer in model.layers)
    assert sum(block.parameters for block in made) == measures.parameters(model)
    assert all(block.takes for block in made if block.name != "image")


@pytest.mark.parametrize("name", TINY)
def test_a_block_stands_beyond_what_it_takes_and_none_on_another(name):
    made = found(name)
    columns = blocks.columns(made)
    assert len({*zip(columns, (block.stride for block in made))}) == len(made)
    assert all(columns[i] > columns[taken] for i, block in enumerate(made) for taken in block.takes)


def test_did_is_figure_2():
    """Four blocks at 4, 8, 16 and 16; each goes to its lateral, and the finer sums take the coarser, enlarged."""
    made = found("did")
    by_name = {block.name: block for block in made}
    takes = {block.name: {made[i].name for i in block.takes} for block in made}
    assert [by_name[f"block{i}"].stride for i in (1, 2, 3, 4)] == [4, 8, 16, 16]
    assert takes["block2"] == {"transition1"} and takes["transition1"] == {"block1"}
    assert takes["decoder.lateral2"] == {"block2"}
    assert takes["decoder.add3"] == {"decoder.lateral4", "decoder.lateral3"}
    assert takes["decoder.up3"] == {"decoder.smooth3"}, "of the lateral the size alone"
    assert takes["head.main"] == {"decoder.add1"}
    assert (
        by_name["block4"].channels
        == models.build("did", 5, **TINY["did"][0]).get_layer(by_name["block4"].layers[-1]).output.shape[-1]
    )


def test_a_block_of_ladder_that_is_halved_is_two():
    """Section 3: DB4a at 1/32 and DB4b at 1/64."""
    halves = [block for block in found("ladder") if block.name == "block4"]
    assert [block.stride for block in halves] == [32, 64]
    assert halves[1].layers[0] == "block4.split"


def test_a_module_of_sunet_which_goes_down_and_up_is_one():
    assert [block.name for block in found("sunet")].count("block1") == 1


def test_of_most_convolutions_is_the_resolution_and_of_the_last_layer_the_end():
    stem = next(block for block in found("did") if block.name == "stem")
    assert (stem.stride, stem.ends, stem.convolutions) == (2, 4, 3)


def test_what_goes_round_in_a_circle_has_places_too():
    """As blocks of a network with other names may."""
    block = blocks.Block("a", "encoder", ("a.x",), 4, 4, 1, 1, 1)
    assert blocks.columns([dataclasses.replace(block, takes=(1,)), block]) == [0, 1]


def test_a_network_that_classifies_ends_without_a_map():
    """Its head has one place for the whole image."""
    head = found("sunet", task="classification")[-1]
    assert (head.name, head.stride) == ("head.main", blocks.SIDE)
