"""What is a problem, what a note, and what neither."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
from folders import make_pascal_voc, write_image
from in_memory import SPEC, InMemory, halves, noise, pairs

from data_pipelines import IGNORE, load
from data_pipelines.audit import findings
from data_pipelines.audit.survey import survey
from data_pipelines.datasets.cityscapes import Cityscapes
from data_pipelines.datasets.coco_for_voc import CocoForVOC
from data_pipelines.datasets.inria_aerial import InriaAerial
from data_pipelines.datasets.kitti_road import KittiRoad
from data_pipelines.datasets.pascal_voc import PascalVOC
from data_pipelines.own_data.folders import Folders
from data_pipelines.spec import Window

CLASSIFICATION = {"task": "classification", "palette": ()}


def judged(dataset, splits=None):
    found = [survey(dataset, split) for split in splits or dataset.spec.splits]
    verdict = findings.judge(dataset.spec, found, dataset.overlapping)
    # Small versions of published data sets have fewer samples than these.
    return verdict._replace(problems=[line for line in verdict.problems if ", expected " not in line])


def classes(*numbers, seed=0):
    """Images of these classes."""
    return [(noise(seed + place), np.int32(number)) for place, number in enumerate(numbers)]


def test_nothing_to_say():
    assert judged(InMemory({"train": pairs(6), "val": pairs(3, seed=50)})) == ([], [], [])


def test_the_same_pixels_in_two_splits_are_a_problem():
    train, val = pairs(6), pairs(3, seed=50)
    val[1] = train[4]
    verdict = judged(InMemory({"train": train, "val": val}))
    assert verdict.problems == ["train and val have images of equal pixels: 1 (train_4 = val_1); take them out of one"]
    assert verdict.notes == []
    assert [findings.described(pair) for pair in verdict.pairs] == ["train train_4 = val val_1 (equal pixels)"]


def test_the_same_picture_in_two_splits_is_a_note():
    train, val = pairs(6, size=(96, 128)), pairs(3, seed=50, size=(96, 128))
    val[2] = cv2.resize(train[1][0], (80, 60), interpolation=cv2.INTER_AREA), halves((60, 80))
    verdict = judged(InMemory({"train": train, "val": val}))
    assert verdict.problems == []
    assert "images of val that look like one of train: 1, in 1 pairs (nearest: train_1 ~ val_2)" in verdict.notes
    (pair,) = verdict.pairs
    assert (pair.splits, [sample.name for sample in pair.samples]) == (("train", "val"), ["train_1", "val_2"])
    assert 0 < pair.distance <= 32
    assert findings.described(pair) == f"train train_1 ~ val val_2 ({pair.distance} of 256 bits differ)"


def test_a_copy_that_is_compressed_anew_is_a_problem(tmp_path):
    for split, numbers in {"train": range(4), "val": range(4, 6)}.items():
        for number in numbers:
            write_image(tmp_path / split / f"{number}.png", noise(number))
            write_image(tmp_path / f"{split}annot" / f"{number}.png", halves())
    copy = cv2.imencode(".png", noise(2)[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 0])[1].tobytes()
    assert copy != (tmp_path / "train" / "2.png").read_bytes()
    (tmp_path / "val" / "5.png").write_bytes(copy)
    verdict = judged(load("camvid", tmp_path), ("train", "val"))
    assert verdict.problems == ["train and val have images of equal pixels: 1 (2 = 5); take them out of one"]


@pytest.mark.parametrize("flat", [False, True])
def test_lists_that_share_a_name_are_a_problem(tmp_path, flat):
    """Also where the image shows nothing, and so is compared with none."""
    make_pascal_voc(tmp_path, size=(48, 64), augmented=False)
    for number, path in enumerate(sorted((tmp_path / "JPEGImages").iterdir())):
        write_image(path, np.zeros((48, 64, 3), np.uint8) if flat else noise(number, (48, 64)))
    dataset = load("pascal_voc", tmp_path)
    splits = ("train", "val", "trainval")
    assert judged(dataset, splits).problems == []
    with open(tmp_path / "ImageSets" / "Segmentation" / "val.txt", "a") as file:
        file.write("2007_train01\n")
    verdict = judged(dataset, splits)
    assert verdict.problems == ["train and val share images: 1 (2007_train01); take them out of one"]
    assert verdict.pairs == []


@pytest.mark.parametrize(
    ("dataset", "first", "second", "meant"),
    [
        (PascalVOC, "train", "trainval", True),
        (PascalVOC, "trainaug", "trainval", True),
        (PascalVOC, "trainaug", "val", False),
        (Cityscapes, "val", "val_coarse", True),
        (Cityscapes, "train_extra", "train_coarse", False),
        (CocoForVOC, "train2017", "val2014", True),
        (CocoForVOC, "val2014", "val2017", True),
        (CocoForVOC, "train2017", "val2017", False),
        (CocoForVOC, "val", "val2017", False),
        (CocoForVOC, "val", "trainval", True),
        (InriaAerial, "val", "trainval", True),
        (Folders, "train", "trainval", False),
        (Folders, "train2018", "val2019", False),
    ],
)
def test_which_splits_may_overlap_is_declared(dataset, first, second, meant):
    memory = InMemory({first: pairs(3), second: pairs(3)}, {first: list("abc"), second: list("def")})
    found = [survey(memory, split) for split in (second, first)]
    assert len(findings.judge(memory.spec, found, dataset.overlapping).problems) == (not meant)


def test_overlapping_splits_are_splits():
    for dataset in (PascalVOC, Cityscapes, CocoForVOC, InriaAerial, KittiRoad):
        assert {split for pair in dataset.overlapping for split in pair} <= {*dataset.spec.splits}


def test_mirrored_and_turned_copies_are_noted():
    train, val = pairs(6), pairs(4, seed=50)
    for number, turned in enumerate((train[2][0][:, ::-1], np.rot90(train[4][0]), train[1][0].swapaxes(0, 1))):
        val[number] = turned, val[number][1] if turned.shape[:2] == (24, 32) else halves((32, 24))
    verdict = judged(InMemory({"train": train, "val": val}))
    assert verdict.problems == []
    (note,) = (line for line in verdict.notes if "mirrored" in line)
    assert note.startswith("images of val that look like one of train mirrored or turned: 3, in 3 pairs (nearest: ")
    assert {tuple(sample.name for sample in pair.samples) for pair in verdict.pairs} == {
        ("train_2", "val_0"),
        ("train_4", "val_1"),
        ("train_1", "val_2"),
    }


def test_scenes_that_are_in_two_splits_by_their_names_are_noted():
    names = {
        "train": [f"scene{n}_x0_y{64 * m}" for n in range(3) for m in range(2)],
        "val": ["scene1_x64_y0", "b_x0_y0"],
    }
    verdict = judged(InMemory({"train": pairs(6), "val": pairs(2, seed=50)}, names))
    assert [note for note in verdict.notes if "scenes" in note] == [
        "train and val share scenes, by the images' names: 1 (scene1); keep each in one split (group in dataset.yaml)"
    ]


def test_windows_of_one_raster_are_in_two_splits_where_they_share_pixels():
    def windows(split, *places):
        memory = InMemory({split: pairs(len(places), seed=len(split))})
        found = survey(memory, split)
        site = [dataclasses.replace(image, image=Path("site.tif")) for image in found.images]
        images = [dataclasses.replace(image, window=place) for image, place in zip(site, places)]
        return dataclasses.replace(found, images=images)

    train = windows("train", Window(0, 0, 10, 10), Window(0, 10, 10, 10))
    beside = findings.judge(SPEC, [train, windows("val", Window(0, 20, 10, 10), Window(10, 0, 10, 20))])
    assert beside.problems == []
    across = findings.judge(SPEC, [train, windows("val", Window(0, 19, 10, 10), Window(10, 0, 10, 20))])
    assert across.problems == ["train and val share images: 1 (val_0); take them out of one"]


def test_odd_images_are_notes():
    content = pairs(24)
    content[3] = np.full((24, 32, 3), 90, np.uint8), halves()
    content[4] = noise(99), halves(first=IGNORE, second=IGNORE)
    content[5] = noise(98, (25, 32)), halves((25, 32))
    content[9] = content[7]
    assert judged(InMemory({"train": content})) == (
        [],
        [
            "train: images without contrast (their pixels are almost equal): 1 (train_3)",
            "train: images with labels of void alone: 1 (train_4)",
            "train: images of unusual size: 1 (train_5)",
            "train: images that repeat another one's pixels: 1 (train_7 = train_9)",
        ],
        [],
    )


def test_a_faint_picture_is_constant_by_the_measure_of_the_data_set():
    faint = noise(0).astype(np.uint16) // 120  # 0, 1 or 2, at a deviation of 0.7 or so
    for std, notes in ((50.0, 0), (500.0, 1)):
        dataset = InMemory({"train": [(faint, halves())]}, dtype="uint16", std=(std,) * 3)
        assert len(judged(dataset).notes) == notes


@pytest.mark.parametrize(
    "sizes, odd",
    [
        ([(24, 32)] * 18 + [(32, 24)] * 2, []),
        ([(24, 32)] * 19 + [(32, 24)], [19]),
        ([(20 + n, 30) for n in range(12)] + [(120, 120)], [12]),
        ([(100 + n, 120) for n in range(12)] + [(24, 28)], [12]),
        ([(20 + n, 30) for n in range(12)] + [(60, 90)], []),
    ],
)
def test_unusual_sizes(sizes, odd):
    content = [(noise(number, size), halves(size)) for number, size in enumerate(sizes)]
    assert findings.unusual_sizes(survey(InMemory({"train": content}), "train")).tolist() == odd


def test_classes_that_a_split_lacks():
    names = {"classes": ("a", "b", "c", "d"), "palette": ((0, 0, 0),) * 4}
    train = [(noise(n), halves(first=0, second=1)) for n in range(3)]
    val = [(noise(n), halves(first=0, second=2)) for n in range(9, 12)]
    verdict = judged(InMemory({"train": train, "val": val}, **names))
    assert verdict.problems == []
    assert verdict.notes == [
        "val shows c, which train never does: no model can learn it",
        "val never shows b: it says nothing about how well that is learned",
        "classes are spread otherwise in train and val (they differ by 50%): b 50.0% / 0.0%, c 0.0% / 50.0%, "
        "a 50.0% / 50.0%",
        "no split shows d",
    ]


def test_of_several_labels_a_split_lacks_labels_and_no_sets_of_them():
    """a and b are both in d, which val alone shows, and c is nowhere."""
    regions = (("a", (0, 3)), ("b", (1, 3)), ("c", (2,)))
    names = {"classes": ("a", "b", "c", "d"), "palette": ((0, 0, 0),) * 4, "regions": regions}
    train = [(noise(n), halves(first=0, second=1)) for n in range(3)]
    val = [(noise(n), halves(first=3, second=3)) for n in range(9, 12)]
    notes = judged(InMemory({"train": train, "val": val}, **names, combinations=((3, (0, 1)),))).notes
    assert [note for note in notes if "spread" not in note] == ["no split shows c"]


@pytest.mark.parametrize("columns, notes", [(18, 0), (21, 1)])
def test_classes_that_are_spread_otherwise(columns, notes):
    """16 of 32 columns are of the first class in train: with 18 and 21, 6 % and 16 % of the pixels differ."""
    label = np.ones((24, 32), np.uint8)
    label[:, :columns] = 0
    verdict = judged(InMemory({"train": pairs(3), "val": [(noise(9), label)]}))
    assert len(verdict.notes) == notes and verdict.problems == []


def test_classification():
    dataset = InMemory({"train": classes(0, 1, 0, 1), "val": classes(0, 1, seed=9)}, **CLASSIFICATION)
    assert judged(dataset) == ([], [], [])
    train = [*classes(0, 0, 0), (noise(1), np.int32(1))]
    dataset = InMemory({"train": train, "val": classes(1, seed=9)}, **CLASSIFICATION)
    notes = judged(dataset).notes
    assert notes[:2] == [
        "train: images that repeat another one's pixels: 1 (train_1 = train_3)",
        "train: images that are in two classes: 1 (train_1 = train_3)",
    ]
    dataset = InMemory({"train": classes(0, 0), "val": classes(0, seed=9)}, **CLASSIFICATION)
    assert judged(dataset).problems == ["train has no images of b: add them, or remove the folder"]


def test_the_training_split():
    found = [survey(InMemory({"val": pairs(1), "train": pairs(1)}), split) for split in ("val", "train")]
    assert findings.training_split(found).split == "train"
    assert findings.training_split(found[:1]).split == "val"
    void = survey(InMemory({"train": [(noise(0), halves(first=IGNORE, second=IGNORE))]}), "train")
    assert findings.training_split([void]) is None
