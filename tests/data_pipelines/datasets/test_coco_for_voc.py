"""MS-COCO with VOC's classes, on a few generated images."""

import numpy as np
import pytest
from coco_folder import CATEGORIES, CocoFolder, make_coco
from folders import make_pascal_voc

from data_pipelines import IGNORE, DataError, load, spec_of
from data_pipelines.pipeline import check_apart
from data_pipelines.reading.shapes import decode_runs, fill_rings
from data_pipelines.spec import AbsentSplit

SIZE = (60, 80)
TRAIN = "train2017"
# Class of VOC -> its name in COCO, for all twenty.
TWENTY = {
    1: "airplane", 2: "bicycle", 3: "bird", 4: "boat", 5: "bottle", 6: "bus", 7: "car", 8: "cat", 9: "chair", 10: "cow",
    11: "dining table", 12: "dog", 13: "horse", 14: "motorcycle", 15: "person", 16: "potted plant", 17: "sheep",
    18: "couch", 19: "train", 20: "tv",
}  # fmt: skip


def labels(coco, **changes):
    """The label maps of all samples of `coco`, once written."""
    coco.write(**changes)
    dataset = load("coco_for_voc", coco.folder)
    return [dataset.read(sample)[1] for sample in dataset.samples(coco.split)]


def runs_of(mask):
    """Run lengths of a mask [H, W] down its columns, counted one pixel at a time."""
    counts, value = [0], False
    for pixel in mask.T.ravel().tolist():
        if pixel != value:
            counts.append(0)
            value = pixel
        counts[-1] += 1
    return {"size": list(mask.shape), "counts": counts}


def compressed(counts):
    """COCO's string of run lengths, after its description: differences from the fourth on, five bits a character."""
    text = ""
    for index, count in enumerate(counts):
        number = count - counts[index - 2] if index > 2 else count
        while True:
            low, number = number & 31, number >> 5
            done = number == (-1 if low & 16 else 0)
            text += chr(48 + low + (0 if done else 32))
            if done:
                break
    return text


def test_the_twenty_classes_are_vocs_and_the_others_background(tmp_path):
    coco = CocoFolder(tmp_path)
    for name in CATEGORIES.values():
        image = coco.image(SIZE)
        coco.box(image, name, 0, 0, 40, 60)
        coco.box(image, "person", 50, 0, 30, 60)
    found = labels(coco)
    assert len(found) == 80
    left = dict(zip(CATEGORIES.values(), (label[30, 20] for label in found)))
    assert {int(value): name for name, value in left.items() if value} == TWENTY
    assert all(label[30, 65] == 15 for label in found)


def test_the_spec_is_vocs(tmp_path):
    spec, voc = spec_of("coco_for_voc", "nowhere"), spec_of("pascal_voc", "nowhere")
    assert (spec.classes, spec.palette, spec.mean, spec.std) == (voc.classes, voc.palette, voc.mean, voc.std)
    assert spec.splits["train2014"] + spec.splits["val2014"] == spec.splits[TRAIN] + spec.splits["val2017"] == 123_287


ANGLES = np.linspace(0, 2 * np.pi, 11)[:-1]
POLYGONS = {
    "star": [(40.2 + r * np.cos(a), 30.6 + r * np.sin(a)) for r, a in zip([12.3, 28.7] * 5, ANGLES)],
    "beyond the image": [(-20.5, -3.2), (95.1, 20.7), (60.3, 75.9)],
    "crossing itself": [(5.3, 5.1), (75.2, 55.4), (75.2, 5.1), (5.3, 55.4)],
    "on the edges of pixels": [(10, 10), (50, 10), (50, 40), (30, 40), (30, 20), (10, 20)],
    "through centres": [(10.5, 10.5), (50.5, 10.5), (30.5, 30.5)],
    "thin": [(10.1, 10.2), (10.4, 50.3), (10.2, 50.3)],
    "outside": [(100.0, 5.0), (140.0, 5.0), (120.0, 50.0)],
    "above": [(10.0, -30.0), (40.0, -10.0), (20.0, -5.0)],
}


@pytest.mark.parametrize("polygon", POLYGONS)
def test_a_polygon_has_the_pixels_whose_centres_it_holds(polygon):
    corners = np.array(POLYGONS[polygon], np.float32)
    label = np.ones(SIZE, np.uint8)
    fill_rings([corners], label, 8)
    inside = [[holds(corners.astype(float), x + 0.5, y + 0.5) for x in range(SIZE[1])] for y in range(SIZE[0])]
    np.testing.assert_array_equal(label, np.where(inside, 8, 1))


def test_polygons_of_a_file_are_drawn_where_they_are(tmp_path):
    coco = CocoFolder(tmp_path)
    corners = np.array(POLYGONS["star"])
    coco.add(coco.image(SIZE), "cat", [corners.ravel().tolist()], 1200.5)
    (label,) = labels(coco)
    inside = [[holds(corners, x + 0.5, y + 0.5) for x in range(SIZE[1])] for y in range(SIZE[0])]
    np.testing.assert_array_equal(label, np.where(inside, 8, 0))


def holds(corners, x, y):
    """Whether a polygon has (x, y) inside: a ray to the right crosses its sides an odd number of times."""
    crossed = False
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0)):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) / (y1 - y0) * (x1 - x0):
            crossed = not crossed
    return crossed


def test_all_polygons_of_an_object_are_drawn(tmp_path):
    coco = CocoFolder(tmp_path)
    parts = [[0, 0, 30, 0, 30, 40, 0, 40], [50, 0, 80, 0, 80, 40, 50, 40]]
    coco.add(coco.image(SIZE), "sheep", parts, 2400)
    (label,) = labels(coco)
    assert label[20, 10] == label[20, 60] == 17 and label[20, 40] == 0


def test_the_smaller_of_two_objects_is_seen_and_objects_of_other_classes_hide_none(tmp_path):
    coco = CocoFolder(tmp_path)
    image = coco.image(SIZE)
    coco.box(image, "bottle", 10, 10, 10, 20)
    coco.box(image, "dining table", 0, 5, 70, 50)
    coco.box(image, "cup", 40, 10, 10, 20)
    coco.box(image, "person", 5, 0, 30, 50)
    (label,) = labels(coco)
    assert [label[20, 15], label[20, 30], label[20, 45]] == [5, 15, 11]


@pytest.mark.parametrize("pack", [list, compressed], ids=["list", "string"])
def test_runs_are_decoded(tmp_path, pack):
    mask = np.random.default_rng(0).random(SIZE) < 0.5
    mask[10:50, 20:60] = True
    mask[:, 70:] = False
    runs = runs_of(mask)
    coco = CocoFolder(tmp_path)
    coco.add(coco.image(SIZE), "bird", {**runs, "counts": pack(runs["counts"])}, int(mask.sum()))
    (label,) = labels(coco)
    np.testing.assert_array_equal(label, mask * 3)


def test_strings_that_cocos_own_tool_wrote():
    # Published examples: a square of 3x3 in the middle of 5x5, and one of a negative difference.
    square = np.zeros((5, 5), bool)
    square[1:4, 1:4] = True
    np.testing.assert_array_equal(decode_runs({"size": [5, 5], "counts": "6320004"}, (5, 5)), square)
    mask = decode_runs({"size": [2, 3], "counts": "122O"}, (2, 3))
    assert mask.T.ravel().tolist() == [False, True, True, False, False, True]


def test_crowds_are_ignored_where_no_object_is(tmp_path):
    coco = CocoFolder(tmp_path)
    image, mask = coco.image(SIZE), np.zeros(SIZE, bool)
    coco.box(image, "person", 0, 0, 40, 30)
    mask[:, 20:60] = True
    coco.add(image, "person", runs_of(mask), int(mask.sum()), iscrowd=1)
    coco.add(image, "book", runs_of(~mask), int((~mask).sum()), iscrowd=1)
    (label,) = labels(coco)
    assert [label[10, 10], label[10, 30], label[10, 50], label[50, 70]] == [15, 15, IGNORE, 0]


def test_images_with_fewer_than_1000_pixels_of_vocs_classes_are_left_out(tmp_path):
    coco = CocoFolder(tmp_path)
    cases = {
        "one large": [("dog", 0, 0, 40, 25)],
        "just too small": [("dog", 0, 0, 37, 27)],
        "two apart": [("dog", 0, 0, 20, 30), ("cat", 40, 0, 20, 30)],
        "two alike": [("dog", 0, 0, 20, 30), ("cat", 0, 0, 20, 30)],
        "another class": [("pizza", 0, 0, 60, 50), ("dog", 0, 0, 20, 30)],
        "nothing": [],
    }
    for boxes in cases.values():
        image = coco.image(SIZE)
        for box in boxes:
            coco.box(image, *box)
    crowd = coco.image(SIZE)
    coco.box(crowd, "person", 0, 0, 60, 50, iscrowd=1)
    coco.write()
    samples = load("coco_for_voc", tmp_path).samples(TRAIN)
    assert [sample.name for sample in samples] == ["000000000001", "000000000003"]


def test_listing_decodes_no_image(tmp_path):
    make_coco(tmp_path, {"val2014": 3})
    folder = tmp_path / "val2014"
    for path in folder.iterdir():
        path.write_bytes(b"")
    samples = load("coco_for_voc", tmp_path).samples("val2014")
    assert [sample.name for sample in samples] == [f"COCO_val2014_{number:012d}" for number in (1, 2, 3)]
    assert samples[0].image == folder / "COCO_val2014_000000000001.jpg"
    with pytest.raises(DataError, match="cannot decode .*COCO_val2014_000000000001.jpg"):
        load("coco_for_voc", tmp_path).read(samples[0])


def test_an_image_is_the_same_in_the_splits_of_2014_and_of_2017(tmp_path):
    make_coco(tmp_path, {"train2017": 4, "val2014": 3})
    dataset = load("coco_for_voc", tmp_path)
    with pytest.raises(DataError, match=r"3 of 3 samples of 'val2014' are in 'train2017' too \(COCO_val2014_0+1\)"):
        check_apart(dataset, "train2017", "val2014")


@pytest.mark.parametrize("file", ["000000000009.jpg", "x_000000000001.jpg"])
def test_files_of_other_numbers_or_of_other_names_are_other_images(tmp_path, file):
    make_coco(tmp_path, {TRAIN: 1, "val2017": 1})
    annotations = tmp_path / "annotations" / f"instances_{TRAIN}.json"
    annotations.write_text(annotations.read_text().replace("000000000001.jpg", file))
    check_apart(load("coco_for_voc", tmp_path), TRAIN, "val2017")


def test_splits_of_voc_go_with_it(tmp_path):
    make_coco(tmp_path / "coco")
    make_pascal_voc(tmp_path / "voc")
    dataset = load("coco_for_voc", tmp_path / "coco", voc=str(tmp_path / "voc"))
    voc = load("pascal_voc", tmp_path / "voc")
    assert dataset.samples("val") == voc.samples("val") and dataset.images("test") == voc.images("test")
    for sample in dataset.samples("trainaug"):
        np.testing.assert_array_equal(dataset.read(sample)[1], voc.read(sample)[1])
    assert len(dataset.samples(TRAIN)) == 4
    with pytest.raises(AbsentSplit, match="'val' is PASCAL VOC's: .*dataset.options.voc="):
        load("coco_for_voc", tmp_path / "coco").samples("val")


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(
        DataError, match=r"no MS-COCO in .*annotations/instances_SPLIT\.json .*did_tf data --dataset=coco"
    ):
        load("coco_for_voc", tmp_path)
    make_coco(tmp_path)
    dataset = load("coco_for_voc", tmp_path)
    with pytest.raises(AbsentSplit, match=r"'train2014': no file .*instances_train2014\.json"):
        dataset.samples("train2014")
    (tmp_path / TRAIN).rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=f"'{TRAIN}': no folder .*{TRAIN};"):
        dataset.samples(TRAIN)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"categories": [{"id": 1, "name": "person"}]}, "no category for aeroplane"),
        ({"categories": []}, "no category for aeroplane"),
        ({"images": [{"id": 1, "file_name": "x.jpg", "height": 3}]}, "lacks 'width'"),
        ({"images": []}, "lacks 1"),
        ({"annotations": [{"id": 1, "image_id": 1, "category_id": 1}]}, "lacks 'segmentation'"),
        ({"annotations": 5}, "is no file of COCO's objects"),
    ],
)
def test_a_file_that_lacks_something_is_told_in_one_line(tmp_path, changes, message):
    coco = CocoFolder(tmp_path)
    coco.box(coco.image(), "person", 0, 0, 40, 40)
    path = coco.write(**changes)
    with pytest.raises(DataError, match=message) as error:
        load("coco_for_voc", tmp_path).samples(TRAIN)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_damaged_file_is_told(tmp_path):
    make_coco(tmp_path)
    path = tmp_path / "annotations" / f"instances_{TRAIN}.json"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=f"cannot read .*instances_{TRAIN}.json: it is damaged or no JSON"):
        load("coco_for_voc", tmp_path).samples(TRAIN)


@pytest.mark.parametrize(
    "segmentation, message",
    [
        ([[0, 0, 40, 0, 40]], "a polygon of 5 coordinates"),
        ([[0, 0, 40, 40]], "a polygon of 4 coordinates"),
        ({"size": [64, 48], "counts": [3072]}, r"runs of size \[64, 48\] in an image of \[48, 64\]"),
        ({"size": [48, 64]}, "runs without size or counts"),
        ({"size": 3072, "counts": [3072]}, ".*not iterable"),
        ({"size": [48, 64], "counts": [3000]}, "runs of 3000 pixels in an image of 3072"),
        ({"size": [48, 64], "counts": [3073, -1]}, "runs of 3072 pixels"),
    ],
)
def test_an_outline_that_cannot_be_is_named_with_its_number(tmp_path, segmentation, message):
    coco = CocoFolder(tmp_path)
    coco.add(coco.image(), "person", segmentation, 2000)
    with pytest.raises(DataError, match=rf"instances_{TRAIN}\.json, annotation 1000 of 0+1\.jpg: {message}"):
        labels(coco)


def test_an_image_of_another_size_than_its_entry_is_named(tmp_path):
    coco = CocoFolder(tmp_path)
    coco.box(coco.image(), "person", 0, 0, 40, 40)
    with pytest.raises(DataError, match=r"0001\.jpg is 48x64 but its label .* is 50x64"):
        labels(coco, images=[{**coco.images[0], "height": 50}])
