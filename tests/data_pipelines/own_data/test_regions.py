"""A user's own data: sets of classes that are learnt each by itself."""

import pytest
from own_data import complaint, describe, edit, make_five_bands

from data_pipelines import load, spec_of
from data_pipelines.own_data.folds import divide_into_folds, write_fold

NESTED = {"wet": ["water", "metal"], "metal": ["metal"]}


def test_regions_are_sets_of_classes_in_the_order_of_the_map(tmp_path):
    make_five_bands(tmp_path, count=4, size=(16, 16), regions=NESTED)
    spec = spec_of("folders", tmp_path)
    assert spec.regions == (("wet", (1, 2)), ("metal", (2,))) and spec.painting == (0, 1, 2)
    assert spec.classes == ("ground", "water", "metal") and spec.logits == ("wet", "metal")
    edit(tmp_path, regions={"a": ["metal"], "b": ["water", "ground"], "c": ["ground"]})
    assert spec_of("folders", tmp_path).painting == (2, 2, 1, 0)  # each class is in one: the first is beneath
    edit(tmp_path, regions=None)
    assert spec_of("folders", tmp_path).regions == ()


@pytest.mark.parametrize(
    ("regions", "told"),
    [
        ([], "regions must be a map of name to classes, as {whole: [oedema, core]}, got []"),
        ({}, "regions must be a map of name to classes"),
        ({"wet": "water"}, "regions.wet must be a list, got 'water'"),
        ({"wet": []}, "regions.wet is empty: list its classes, or leave it out"),
        ({"wet": [1]}, "regions.wet must be text, got 1"),
        ({"wet": ["watr"]}, "regions.wet names 'watr', which is no class, did you mean 'water'"),
        ({"wet": ["water", "water"]}, "regions.wet: 'water' stands there twice"),
        ({"metal": ["metal"]}, "regions leave out 'ground' and 'water': of classes in no region there can be one"),
        ({"metal": ["metal"], "wet": ["water", "metal"]}, "regions.metal is hidden: later regions have all of its"),
        ({"a": ["water"], "b": ["water"], "c": ["metal"]}, "regions.a is hidden: later regions have all of its"),
        ({"all": ["water", "metal"]}, "regions.all: no later region tells 'water' and 'metal' apart; add one of"),
    ],
)
def test_regions_that_do_not_give_the_classes_again_are_refused(regions, told, tmp_path):
    edit(describe(tmp_path, 4), regions=regions)
    line = complaint(tmp_path)
    assert line.startswith(f"{tmp_path / 'dataset.yaml'}: ") and told in line


def test_a_fold_has_the_regions_of_its_data(tmp_path):
    make_five_bands(tmp_path, count=4, size=(16, 16), regions=NESTED)
    write_fold(tmp_path, divide_into_folds(tmp_path, ("train", "val"), 2, 0), 1, tmp_path / "fold")
    assert load("folders", tmp_path / "fold").spec.regions == load("folders", tmp_path).spec.regions
