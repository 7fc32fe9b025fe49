"""A user's own data: what dataset.yaml says about labels."""

import numpy as np
import pytest
from own_data import complaint, describe, edit, write_png

from data_pipelines import load
from data_pipelines.own_data.description import read_description
from data_pipelines.spec import IGNORE


def described(folder, text):
    (folder / "dataset.yaml").write_text(f"images: a\nlabels: b\n{text}\n")
    return read_description(folder)


@pytest.mark.parametrize("text", ["classes: {8: road, 7: road, 26: car}", 'classes: {"8": road, "7": road, "26": car}'])
def test_ids_with_one_name_are_one_class_and_the_first_is_that_of_outputs(text, tmp_path):
    found = described(tmp_path, text)
    assert (found.classes, found.label_ids, found.aliases) == (("road", "car"), (8, 26), ((7, 0),))


@pytest.mark.parametrize(
    ("text", "void", "rest"),
    [
        ("void: others", (), IGNORE),
        ("void: [0, others]", (0,), IGNORE),
        ("void: [-1, -2147483648, 70000]", (-1, -2147483648, 70000), None),
        ("rest: b", (), 1),
        ("void: [0]\nrest: a", (0,), 0),
    ],
)
def test_what_all_other_ids_are(text, void, rest, tmp_path):
    found = described(tmp_path, f"classes: {{7: a, 9: b}}\n{text}")
    assert (found.void_ids, found.rest) == (void, rest)


@pytest.mark.parametrize(
    ("text", "soft"),
    [("", ""), ("labels_soft: nearest", "nearest"), ("labels_soft: 128", 128), ("labels_soft: .5", 0.5)],
)
def test_soft_labels(text, soft, tmp_path):
    assert described(tmp_path, f"classes: {{0: a, 255: b}}\n{text}").labels_soft == soft


def test_colours_of_labels_apart_from_those_of_pictures(tmp_path):
    text = "classes: [a, b, c]\nlabels_hold: colours\nvoid: [[9, 9, 9]]\n"
    text += "label_colours: {a: [0, 0, 0], b: [[1, 1, 1], [2, 2, 2]], c: [3, 3, 3]}\npalette: {b: [200, 0, 0]}"
    found = described(tmp_path, text)
    assert found.label_colours == ((0, 0, 0), (1, 1, 1), (3, 3, 3)) and found.aliases == (((2, 2, 2), 1),)
    assert found.palette == ((0, 0, 0), (200, 0, 0), (3, 3, 3)) and found.void_colours == ((9, 9, 9),)


@pytest.mark.parametrize(
    ("text", "classes", "masks", "rest"),
    [
        ("classes: [red, blue]\nrest: ground", ("ground", "red", "blue"), (("red", 1), ("blue", 2)), 0),
        ("classes: [red, ground, blue]\nrest: ground", ("red", "ground", "blue"), (("red", 0), ("blue", 2)), 1),
        ("classes: {r: red, b/c: red}\nvoid: others", ("red",), (("r", 0), ("b/c", 0)), IGNORE),
        ("classes: {g: ground, r: red}\nrest: ground", ("ground", "red"), (("g", 0), ("r", 1)), 0),
    ],
)
def test_a_folder_of_masks_per_class(text, classes, masks, rest, tmp_path):
    found = described(tmp_path, f"labels_hold: masks\n{text}")
    assert (found.classes, found.masks, found.rest, found.masks_overlap) == (classes, masks, rest, False)
    assert described(tmp_path, f"labels_hold: masks\n{text}\nmasks_overlap: last").masks_overlap


def test_what_several_classes_are_together_is_a_class(tmp_path):
    text = "labels_hold: masks\nclasses: {r: red, b: blue, s: red, g: green}\nrest: ground\n"
    text += "masks_overlap: {violet: [blue, red], white: [red, green, blue]}\npalette: {violet: [9, 0, 9]}"
    found = described(tmp_path, text)
    assert found.classes == ("ground", "red", "blue", "green", "violet", "white") and not found.masks_overlap
    assert found.combinations == ((4, (1, 2)), (5, (1, 2, 3))) and found.palette[4] == (9, 0, 9)
    assert found.regions == (("red", (1, 4, 5)), ("blue", (2, 4, 5)), ("green", (3, 5)))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"void": "other"}, "void must be a list, or others, got 'other'"),
        ({"void": ["other"]}, "void: 'other' is no id"),
        ({"rest": "grond"}, "rest names 'grond', which is no class, did you mean 'ground'"),
        ({"rest": "ground", "void": "others"}, "void is others, and rest names a class: others can't be both"),
        ({"labels_soft": "near"}, "labels_soft must be nearest, or a number: the lowest"),
        ({"labels_soft": True}, "labels_soft must be nearest"),
        ({"labels_soft": 100}, "labels_soft is 100, which can divide two ids alone: say nearest"),
        ({"labels_soft": 1, "classes": {"0": "a", "1": "a", "2": "b"}}, "can divide two ids alone"),
        ({"classes": {"0": "a", "1": "a"}, "void": [1]}, "the ids of classes and void: 1 stands there twice"),
        ({"label_colours": {"ground": [0, 0, 0]}}, "label_colours are given, but labels_hold is ids"),
        ({"labels_hold": "colours", "label_colours": {"ground": [0, 0, 0]}}, "'water' has no colour in label_colours"),
        ({"labels_hold": "colours", "label_colours": {"ground": [[0, 0]]}}, "label_colours.ground must be a colour"),
        ({"labels_hold": "masks"}, "say what lies in none of them, a class (rest: background) or void (others)"),
        ({"labels_hold": "masks", "void": [1, "others"]}, "void is [1], but labels_hold is masks"),
        ({"labels_hold": "masks", "rest": "g", "classes": {"*_a*": "a"}}, "'*_a*' must be a folder, or have one star"),
        ({"labels_hold": "masks", "rest": "g", "classes": {"x*/a": "a"}}, "'x*/a' must be a folder, or have one star"),
        (
            {"labels_hold": "masks", "rest": "g", "classes": {"*/a/b": "a"}},
            "'*/a/b' must be a folder, or have one star",
        ),
        ({"masks_overlap": "last"}, "masks_overlap is given, but labels_hold is ids: leave it out"),
    ],
)
def test_every_key_is_checked(tmp_path, changes, told):
    edit(describe(tmp_path, 4), **changes)
    line = complaint(tmp_path)
    assert line.startswith(f"{tmp_path / 'dataset.yaml'}: ") and told in line


@pytest.mark.parametrize(
    ("overlap", "told"),
    [
        ("first", "masks_overlap must be last, or a map of what several classes are together"),
        ({}, "masks_overlap must be last, or a map of what several classes are together"),
        ({"water": ["water", "metal"]}, "masks_overlap names 'water', which is a class: give what several are a name"),
        ({"both": "water"}, "masks_overlap.both must be a list, got 'water'"),
        ({"both": ["water"]}, "masks_overlap.both must list two classes or more, got ['water']"),
        (
            {"both": ["water", "metl"]},
            "which is no class that masks or shapes have, did you mean 'metal'",
        ),
        ({"both": ["water", "ground"]}, "both names 'ground', which is rest: what has another label is no rest"),
        ({"both": ["water", "water"]}, "masks_overlap.both: 'water' stands there twice"),
        (
            {"a": ["water", "metal"], "b": ["metal", "water"]},
            "names 'a' and 'b', which are the same classes",
        ),
        ({f"{n}": ["water", "metal"] for n in range(300)}, "303 classes: there can be 255 at most"),
    ],
)
def test_what_several_classes_are_together_is_checked(overlap, told, tmp_path):
    edit(describe(tmp_path, 4), labels_hold="masks", rest="ground", masks_overlap=overlap)
    line = complaint(tmp_path)
    assert line.startswith(f"{tmp_path / 'dataset.yaml'}: ") and told in line


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_number_for_each_object_becomes_one_class(dtype, tmp_path):
    """As docs/reference/dataset-yaml.md has it: 255 is an object too."""
    label = np.array([[0, 1, 2], [254, 255, np.iinfo(dtype).max]], dtype)
    write_png(tmp_path / "images" / "a.png", np.zeros((2, 3, 3), np.uint8))
    write_png(tmp_path / "labels" / "a.png", label)
    classes = {"0": "background", "1": "nucleus", "255": "nucleus"}
    dataset = load("folders", describe(tmp_path, 1, classes=classes, rest="nucleus", splits={"train": 1.0}))
    np.testing.assert_array_equal(dataset.read(dataset.samples("train")[0])[1], label > 0)
    assert dataset.spec.classes == ("background", "nucleus") and dataset.spec.output_ids == (0, 1)
