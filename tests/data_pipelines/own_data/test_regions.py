"""A user's own data: sets of classes that are learnt each by itself."""

import pytest
from own_data import complaint, describe, edit, make_five_bands

from data_pipelines import DataError, load, spec_of
from data_pipelines.own_data.description import read_description
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


def test_a_class_may_be_where_two_regions_are_both(tmp_path):
    make_five_bands(tmp_path, count=4, size=(16, 16), regions={"water": ["water", "metal"], "hot": ["ground", "metal"]})
    spec = spec_of("folders", tmp_path)
    assert spec.sets == ((0, (False, True)), (1, (True, False)), (2, (True, True)))


@pytest.mark.parametrize(
    ("keys", "regions"),
    [
        ({"classes": ["roof", "shadow"], "rest": "ground"}, (("roof", (1, 3)), ("shadow", (2, 3)))),
        (
            {"classes": ["roof", "shadow", "snow"], "void": "others"},
            (("roof", (0, 3)), ("shadow", (1, 3)), ("snow", (2,))),
        ),
        ({"classes": {"r": "roof", "s": "shadow", "t": "roof"}, "rest": "roof"}, None),
        ({"classes": ["roof", "shadow"], "rest": "ground", "regions": {"dark": ["shadow", "both"]}}, None),
    ],
)
def test_of_several_labels_each_is_a_region(keys, regions, tmp_path):
    both = {"labels_hold": "masks", "masks_overlap": {"both": ["roof", "shadow"]}}
    describe(tmp_path, 4, **{**both, **keys})
    if regions is None:
        with pytest.raises(DataError, match="regions leave out 'ground' and 'roof'|names 'roof', which is rest"):
            read_description(tmp_path)
    else:
        found = read_description(tmp_path)
        assert (found.regions, found.classes[-1]) == (regions, "both")


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
        ({"all": ["water", "metal"]}, "regions.all: no other region tells 'water' and 'metal' apart; add one of"),
        ({"a": ["water", "ground", "metal"], "b": ["ground"]}, "regions.a: no other region tells 'water' and 'metal'"),
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
