"""The papers' figures in `c.paper`: names are the data set's, and what a paper prints twice is the same."""

import pytest

from data_pipelines import spec_of
from data_pipelines.datasets.inria_aerial import TEST_CITIES
from data_pipelines.datasets.kitti_road import CATEGORIES
from did_tf.programs import cli

ALL = [
    f"{name}:{row}" if row else name
    for name in cli.experiment_names()
    for row in getattr(cli.import_experiment(name), "ROWS", [None])
]
PERCENT = ("miou", "accuracy", "mean_accuracy", "building_iou", "category_miou", "miiou", "maxf", "ap")
KEYS = {
    *PERCENT,
    *("top1_error", "top5_error", "parameters", "field_of_view"),
    *("row", "data", "split", "classes", "cities", "scenes"),
}
BACKGROUND = (93.0, 94.1)
"""IoU of VOC's background, which Table 5 of FCRN leaves out and its means don't: what each of its four rows implies."""


def papers(key):
    """[(experiment, its c.paper)] of those that have `key`."""
    found = {name: cli.load_experiment(name).paper.to_dict() for name in ALL}
    return [pytest.param(name, paper, id=name) for name, paper in found.items() if key in paper]


CITIES, SCENES = papers("cities"), papers("scenes")


def test_figures_are_of_known_kinds_and_of_a_row_and_a_split():
    for name in ALL:
        paper = cli.load_experiment(name).paper.to_dict()
        assert paper.keys() <= KEYS, name
        assert not paper or {"row", "data", "split"} <= paper.keys(), name
        assert all(0 < paper[key] < 100 for key in PERCENT if key in paper), name


@pytest.mark.parametrize(("name", "paper"), papers("classes"))
def test_classes_are_the_data_sets_and_their_mean_is_the_papers(name, paper):
    spec, ious = spec_of(cli.load_experiment(name).dataset.name), paper["classes"]
    assert ious.keys() <= {*spec.classes}
    left_out = {*spec.classes} - ious.keys()
    assert left_out == ({"background"} if spec.name == "pascal_voc" else set())
    if left_out:
        assert BACKGROUND[0] < len(spec.classes) * paper["miou"] - sum(ious.values()) < BACKGROUND[1]
    else:
        assert sum(ious.values()) / len(ious) == pytest.approx(paper["miou"], abs=0.05)


def test_every_table_by_class_is_there():
    """DID's Tables 4 (three of ours) and 6, FCRN's Tables 5 and 6; those by city and by scene have their own tests."""
    assert CITIES and SCENES
    found = {param.values[0] for param in papers("classes")}
    did = {"did_camvid", "did_camvid_finetune", "did_table3:row1", "did_table3:row16", "did_cityscapes"}
    fcrn = {"fcrn_table4:row1", "fcrn_table4:row3", "fcrn_table4:row11", "fcrn_table4:row13"}
    rivals = {"fcdensenet103_camvid", "fcdensenet103_camvid_finetune"}
    more = {"fcrn152_cityscapes", "did_cityscapes_finetune", "fcrn152_voc:test", "fcrn152_voc:coco-test"}
    assert found == did | fcrn | rivals | more


@pytest.mark.parametrize(("name", "paper"), CITIES)
def test_cities_are_the_benchmarks_and_add_up(name, paper):
    """All cities have as many pixels, so that the mean of their accuracies is the accuracy; an IoU lies between."""
    cities = paper["cities"]
    assert tuple(cities) == TEST_CITIES
    accuracies, ious = ([city[figure] for city in cities.values()] for figure in ("accuracy", "iou"))
    assert sum(accuracies) / len(accuracies) == pytest.approx(paper["accuracy"], abs=0.01)
    assert min(ious) < paper["building_iou"] < max(ious)


@pytest.mark.parametrize(("name", "paper"), SCENES)
def test_scenes_are_the_benchmarks(name, paper):
    scenes = paper["scenes"].values()
    assert tuple(paper["scenes"]) == CATEGORIES
    for figure in ("maxf", "ap"):
        assert min(scene[figure] for scene in scenes) < paper[figure] < max(scene[figure] for scene in scenes)


SAME = {
    "fcrn_table4:row1": ("fcrn_table1:row13", "fcrn_table3:row4"),
    "fcrn_table4:row6": ("fcrn_table1:row20",),
    "fcrn_table4:row11": ("fcrn_table2:row22",),
    "fcrn_table4:row5": ("fcrn101_voc",),
    "fcrn_table4:row13": ("fcrn152_cityscapes",),
    "did_table3:row16": ("did_camvid",),
    "did_table5:row6": ("did_inria",),
    "ladder_table1:row7": ("ladder121_cityscapes",),
    "ladder_table4:row2": ("ladder169_cityscapes",),
    "ladder_table6:row3": ("ladder169_voc:val",),
    "duc_table1:row8": ("duc_cityscapes:patch544",),
    "duc_table2:row4": ("duc_table3:row2",),
    "sunet_table5:row4": ("sunet_table4:row2-multigrid", "sunet_voc:7-128", "sunet_table3:row4"),
    "sunet_table5:row8": ("sunet_table4:row1-multigrid",),
}
"""{row: others with the same network, recipe and figures}."""
FIGURES = ("miou", "accuracy", "mean_accuracy", "building_iou", "split")


@pytest.mark.parametrize("name", SAME)
def test_what_stands_in_two_tables_is_the_same(name):
    one = cli.load_experiment(name)
    for other in map(cli.load_experiment, SAME[name]):
        assert (one.model, one.train, one.loss, one.data) == (other.model, other.train, other.loss, other.data)
        assert [one.paper.get(key) for key in FIGURES] == [other.paper.get(key) for key in FIGURES]
