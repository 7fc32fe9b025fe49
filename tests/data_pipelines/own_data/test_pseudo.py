"""Pseudo-labels: further images are learnt with them, and nothing is scored on them."""

import json
import shutil

import numpy as np
import own_data
import pytest
from own_data import complaint, edit, names_of, write_png

from data_pipelines import IGNORE, DataError, load
from data_pipelines.content import digests
from data_pipelines.learnable import check_scored
from data_pipelines.own_data import pseudo
from data_pipelines.own_data.folds import divide_into_folds
from data_pipelines.programs.prepare import prepare
from data_pipelines.records import Prepared

PSEUDO = {"images": "images", "labels": "predictions"}
UNSURE = np.s_[:9, 3:20]


def predict(folder, number, ids=(0, 1, 2), void=255, name="scene{:02d}"):
    """Writes what `did_tf predict` would of a scene. Returns the label as it is to be read, void where it is unsure."""
    label = 2 - own_data.scene(number)[1]  # other than its own label
    values = np.array(ids, np.uint16 if max(ids) > 255 else np.uint8)[label]
    values[UNSURE], label[UNSURE] = void, IGNORE
    write_png(folder / "predictions" / f"{name.format(number)}_label.png", values)
    return label


@pytest.fixture
def folder(tmp_path):
    """Six scenes, three of which are labelled by hand: two of train, and 02 of val; 03 to 05 have no labels."""
    own_data.make_five_bands(tmp_path, count=6, splits={"train": ["scene00", "scene01"], "val": ["scene02"]})
    for number in (3, 4, 5):
        (tmp_path / "labels" / f"scene{number:02d}.png").unlink()
    return tmp_path


def read(dataset, name):
    return dataset.read(next(sample for sample in dataset.samples("train") if sample.name == name))


def test_they_are_learnt_beside_the_labels_and_never_of_an_image_that_a_split_has(folder, capsys):
    before = load("folders", folder)
    labels = [predict(folder, number) for number in range(6)]
    edit(folder, pseudo=PSEUDO)
    dataset = load("folders", folder)
    assert names_of(dataset, "train") == ["scene00", "scene01", *(f"pseudo/scene{n:02d}" for n in (3, 4, 5))]
    assert names_of(dataset, "val") == ["scene02"] and dataset.spec.splits == {"train": 5, "val": 1}
    assert "3 images of train have pseudo-labels, of" in capsys.readouterr().err
    image, label = read(dataset, "pseudo/scene04")
    np.testing.assert_array_equal(label, labels[4])
    np.testing.assert_array_equal(image, (own_data.scene(4)[0] * 40).astype(np.uint16))
    np.testing.assert_array_equal(read(dataset, "scene01")[1], own_data.scene(1)[1])
    dataset.check_statistics()  # which are of the same images as before
    assert (dataset.spec.mean, dataset.spec.std) == (before.spec.mean, before.spec.std)
    assert type(dataset).describe(folder).splits == dataset.spec.splits


def test_nothing_is_scored_on_them(folder):
    """Nor is the split that has them."""
    predict(folder, 3)
    edit(folder, pseudo=PSEUDO)
    dataset = load("folders", folder)
    check_scored(dataset, "val")
    check_scored(dataset, "train", limit=2)  # which have their own
    with pytest.raises(DataError, match="1 of the 3 images of train have pseudo-labels, .*; pass another --split"):
        check_scored(dataset, "train")


def test_prepared_records_know_them(folder, tmp_path_factory):
    """Nor is a split of records that has them scored."""
    predict(folder, 3)
    edit(folder, pseudo=PSEUDO)
    dataset, records = load("folders", folder), tmp_path_factory.mktemp("records")
    for split in ("train", "val"):
        prepare(dataset, split, records, {"name": "folders", "options": {}})
    prepared = Prepared(records)
    assert [prepared.is_pseudo(sample) for sample in prepared.samples("train")] == [False, False, True]
    check_scored(prepared, "val")
    with pytest.raises(DataError, match="1 of the 3 images of train have pseudo-labels"):
        check_scored(prepared, "train")


@pytest.mark.parametrize(
    ("keys", "ids", "void"),
    [
        ({"classes": {"7": "ground", "26": "water", "1000": "metal"}, "void": [3]}, (7, 26, 1000), 3),
        ({"classes": {"0": "ground", "255": "water", "9": "metal"}, "rest": "water"}, (0, 255, 9), 1),
        ({"labels_soft": "nearest"}, (0, 1, 2), 255),
        (
            {"labels_hold": "colours", "palette": {name: [n, 0, 9] for n, name in enumerate(own_data.CLASSES)}},
            (0, 1, 2),
            255,
        ),
        ({"labels_hold": "masks", "rest": "ground", "classes": ["ground", "water", "metal"]}, (0, 1, 2), 255),
    ],
)
def test_they_are_ids_whatever_the_labels_hold(folder, keys, ids, void):
    if keys.get("labels_hold") == "masks":
        for name in ("water", "metal"):
            for number in range(3):
                write_png(folder / "labels" / name / f"scene{number:02d}.png", np.zeros((64, 80), np.uint8))
    label = predict(folder, 3, ids, void)
    edit(folder, **keys, pseudo=PSEUDO)
    dataset = load("folders", folder)
    np.testing.assert_array_equal(read(dataset, "pseudo/scene03")[1], label)
    sample = dataset.samples("train")[-1]
    assert dataset.moved(sample) is None


def test_windows_of_them_overlap_as_those_of_train(folder):
    label = predict(folder, 3)
    edit(folder, pseudo=PSEUDO, patch=32, overlap=8)
    dataset = load("folders", folder)
    names = [name for name in names_of(dataset, "train") if "scene03" in name]
    assert names == [f"pseudo/scene03_r{row}_c{column}" for row in (0, 24, 32) for column in (0, 24, 48)]
    np.testing.assert_array_equal(read(dataset, "pseudo/scene03_r24_c48")[1], label[24:56, 48:80])


def test_images_of_several_files(tmp_path):
    folder = own_data.make_rgbd(tmp_path / "data", count=4)
    own_data.make_rgbd(tmp_path / "more", count=6)
    label = predict(folder, 5)
    edit(folder, pseudo={"images": "../more", "labels": "predictions"})
    dataset = load("folders", folder)
    image, found = read(dataset, "pseudo/scene05")
    assert image.shape == (64, 80, 4) and (found == label).all()
    shutil.rmtree(tmp_path / "more" / "depth")
    assert "more has no folders rgb, depth, with all bands" in complaint(folder)


def test_names_are_those_that_predict_gives(tmp_path):
    for number in range(3):
        write_png(tmp_path / "images" / f"a_{number}_rgb.png", own_data.scene(number)[0][..., :3].astype(np.uint8))
        write_png(tmp_path / "labels" / f"{number}.png", own_data.scene(number)[1])
    (tmp_path / "labels" / "2.png").unlink()
    predict(tmp_path, 2, name="a_{}_rgb")
    splits = {"train": ["0"], "val": ["1"]}
    own_data.describe(
        tmp_path, 0, image_prefix="a_", image_suffix="_rgb.png", splits=splits, group=r"^\d", pseudo=PSEUDO
    )
    dataset = load("folders", tmp_path)
    assert names_of(dataset, "train") == ["0", "pseudo/2"]
    assert dataset.together(dataset.samples("train")) == ["0", "pseudo/2"]


def test_copies_of_what_is_scored_are_not_learnt(folder, capsys, monkeypatch):
    """Under other names, and where other images have as many bytes; those are not read whole."""
    whole = []

    def kept(paths, ends=False):
        whole.extend([] if ends else paths)
        return digests(paths, ends=ends)

    monkeypatch.setattr(pseudo, "digests", kept)
    shutil.copytree(folder / "images", folder / "more")
    (folder / "more" / "scene02.tif").rename(folder / "more" / "frame.tif")
    assert len({path.stat().st_size for path in (folder / "more").iterdir()}) == 1
    predict(folder, 2, name="frame")
    predict(folder, 5)
    edit(folder, pseudo={"images": "more", "labels": "predictions"})
    assert names_of(load("folders", folder), "train") == ["scene00", "scene01", "pseudo/scene05"]
    assert sorted(path.rsplit("/", 1)[1] for path in whole) == ["frame.tif", "scene02.tif"]
    told = capsys.readouterr().err
    assert (
        "note: 1 images with pseudo-labels are left out, as splits have the same image under another name: frame\n"
        in told
    )


@pytest.mark.parametrize("group", ["folder", "^[a-z]+"])
def test_images_of_a_group_that_is_scored_are_not_learnt(tmp_path, group, capsys):
    for place, number in (("a", 0), ("b", 1), ("b", 2), ("c", 3), ("a", 4)):
        write_png(
            tmp_path / "images" / place / f"scene{number:02d}.png", own_data.scene(number)[0][..., :3].astype("u1")
        )
        if number < 2:
            write_png(tmp_path / "labels" / place / f"scene{number:02d}.png", own_data.scene(number)[1])
        else:
            predict(tmp_path, number, name=place + "/scene{:02d}")
    splits = {"train": ["a/scene00"], "val": ["b/scene01"]}
    own_data.describe(tmp_path, 0, splits=splits, group=group, pseudo=PSEUDO)
    assert names_of(load("folders", tmp_path), "train") == ["a/scene00", "pseudo/a/scene04", "pseudo/c/scene03"]
    assert "left out, as a split that is scored has others of their group: b/scene02" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        (("water", "ground", "metal"), "predictions are of other classes: 0 is 'ground' and was 'water'; label the"),
        (("ground", "water"), "of other classes: 2 is 'metal' and was none"),
        (("ground", "water", "metal", "sky"), "of other classes: 3 is none and was 'sky'"),
    ],
)
def test_labels_of_other_classes_are_refused(folder, classes, told):
    """As ids alone they would be read for others."""
    predict(folder, 3)
    edit(folder, pseudo=PSEUDO)
    record = folder / "predictions" / "predictions.json"
    record.write_text(json.dumps({"classes": [{"id": n, "name": name} for n, name in enumerate(own_data.CLASSES)]}))
    load("folders", folder)
    record.write_text(json.dumps({"classes": [{"id": n, "name": name} for n, name in enumerate(classes)]}))
    assert told in complaint(folder)
    record.write_text(json.dumps({"classes": [0]}))
    assert "predictions.json is damaged (TypeError): label the images anew" in complaint(folder)


def test_an_image_that_was_another_when_it_was_labelled_is_not_learnt(folder, capsys):
    """What else lies beside it, and an image of which nothing is known, do no harm."""
    images = folder / "images"
    known = digests([images / "scene03.tif", images / "scene04.tif"])
    content = {f"scene{n:02d}": f"{known[str(images / f'scene{n:02d}.tif')]} 0f" for n in (3, 4)}
    for number in (3, 4, 5):
        predict(folder, number)
    edit(folder, pseudo=PSEUDO)
    classes = [{"id": n, "name": name} for n, name in enumerate(own_data.CLASSES)]

    def record(**others):
        told = {name: {"content": held, "files": []} for name, held in {**content, **others}.items()}
        (folder / "predictions" / "predictions.json").write_text(json.dumps({"classes": classes, "images": told}))
        capsys.readouterr()

    record()
    assert names_of(load("folders", folder), "train")[2:] == ["pseudo/scene03", "pseudo/scene04", "pseudo/scene05"]
    assert "when they were labelled" not in capsys.readouterr().err
    record(scene04="0" * 32)
    assert names_of(load("folders", folder), "train")[2:] == ["pseudo/scene03", "pseudo/scene05"]
    assert "left out, as they were others when they were labelled (predict again): scene04" in capsys.readouterr().err
    record(scene03="0", scene04="0", scene05="0")
    assert "or that were others when they were labelled: predict others, or" in complaint(folder)
    record(scene04=7)
    assert "predictions.json is damaged (AttributeError): label the images anew" in complaint(folder)


def test_of_several_files_one_that_is_as_it_was_will_do(tmp_path):
    """A network of fewer bands may have labelled it."""
    folder = own_data.make_rgbd(tmp_path / "data", count=4)
    own_data.make_rgbd(tmp_path / "more", count=6)
    known = digests(tmp_path / "more" / part / "scene05.png" for part in ("rgb", "depth"))
    for number in (4, 5):
        predict(folder, number)
    edit(folder, pseudo={"images": "../more", "labels": "predictions"})
    for held, there in ((list(known.values())[1], True), ("0", False)):
        images = {"scene05": {"content": held}}
        classes = [{"id": n, "name": name} for n, name in enumerate(own_data.CLASSES)]
        (folder / "predictions" / "predictions.json").write_text(json.dumps({"classes": classes, "images": images}))
        assert ("pseudo/scene05" in names_of(load("folders", folder), "train")) == there


def test_what_is_no_pseudo_label_is_refused(folder):
    predict(folder, 0)
    edit(folder, pseudo=PSEUDO)
    assert "are of images alone that splits have: predict others, or leave pseudo out" in complaint(folder)
    predict(folder, 3)
    with pytest.raises(DataError, match="network that has learnt what a fold holds out.*: leave pseudo out"):
        divide_into_folds(folder, ("train", "val"), 2, 0)
    edit(folder, pseudo={"images": "images"})
    assert "key 'pseudo.labels' is missing" in complaint(folder)
    edit(folder, pseudo={**PSEUDO, "label": "x"})
    assert "unknown key 'pseudo.label', did you mean 'labels'" in complaint(folder)
    edit(folder, pseudo={**PSEUDO, "labels": "nowhere"})
    told = complaint(folder)
    assert "no folder" in told and "nowhere" in told
    assert told.endswith("; or leave pseudo out, which only training needs")
