"""Cityscapes, on a few generated frames."""

import dataclasses
import shutil
import sys

import numpy as np
import pytest
from folders import make_cityscapes, write_image

from data_pipelines import IGNORE, DataError, load, spec_of
from data_pipelines.spec import AbsentSplit, Window

# id in the files -> class, from the benchmark's description.
TRAIN_IDS = {
    7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13, 27: 14, 28: 15,
    31: 16, 32: 17, 33: 18,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    make_cityscapes(tmp_path)
    return tmp_path


def write_pair(folder, image, label, split="train"):
    write_image(folder / "leftImg8bit" / split / "x" / "x_000000_000019_leftImg8bit.png", image)
    write_image(folder / "gtFine" / split / "x" / "x_000000_000019_gtFine_labelIds.png", label)


def read_only(folder, **options):
    dataset = load("cityscapes", folder, **options)
    (sample,) = dataset.samples("train")
    return dataset.read(sample)


def noise():
    """A frame of full size and ids of all kinds for it."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1024, 2048, 3)).astype(np.uint8)
    return image, rng.integers(0, 34, (1024, 2048)).astype(np.uint8)


def test_every_id_becomes_its_class_or_is_ignored(tmp_path):
    ids = np.array([[*range(34), 255]], np.uint8)
    write_pair(tmp_path, np.zeros((1, 35, 3), np.uint8), ids)
    _, label = read_only(tmp_path)
    assert label.dtype == np.uint8
    assert label[0].tolist() == [TRAIN_IDS.get(int(number), IGNORE) for number in ids[0]]


def test_an_id_beyond_the_table_is_named(tmp_path):
    write_pair(tmp_path, np.zeros((1, 2, 3), np.uint8), np.array([[7, 34]], np.uint8))
    with pytest.raises(DataError, match=r"_labelIds\.png holds value 34: cityscapes knows classes 7, 8, .*, 33 and"):
        read_only(tmp_path)


def test_frames_of_all_cities_with_their_own_labels(folder):
    (folder / "leftImg8bit/train/traina/._traina_000000_000019_leftImg8bit.png").write_bytes(b"a note of macOS")
    dataset = load("cityscapes", folder)
    samples = dataset.samples("train")
    assert [sample.name for sample in samples] == [
        "traina_000000_000019", "traina_000002_000019", "trainb_000001_000019", "trainb_000003_000019",
    ]  # fmt: skip
    assert len(dataset.samples("val")) == 2
    palette = np.array(dataset.spec.palette)
    for sample in samples:
        image, label = dataset.read(sample)
        assert image.shape == (48, 96, 3) and label.shape == (48, 96)
        assert (label[:6] == IGNORE).all()
        np.testing.assert_array_equal(image[6:], palette[label[6:]])


def test_the_descriptor():
    spec = spec_of("cityscapes", "nowhere")
    published = {"train": 2975, "val": 500, "test": 1525, "train_extra": 19998}
    assert dict(spec.splits) == {**published, "train_coarse": 2975, "val_coarse": 500}
    assert (spec.num_classes, spec.bands, spec.task) == (19, 3, "segmentation")
    assert spec.label_ids == tuple(TRAIN_IDS)
    colours = dict(zip(spec.classes, spec.palette))
    assert colours["road"] == (128, 64, 128) and colours["bicycle"] == (119, 11, 32)
    assert len(set(spec.palette)) == 19


def test_the_test_split_has_no_labels_to_read(folder):
    dataset = load("cityscapes", folder)
    with pytest.raises(
        AbsentSplit, match="split 'test': its labels are not public; .*did_tf submit --experiment=... --split=test"
    ):
        dataset.samples("test")
    (frame,) = dataset.images("test")
    assert (frame.name, frame.label) == ("testa_000000_000019", None)
    assert dataset.read_image(frame).shape == (48, 96, 3)


@pytest.mark.parametrize("part", ["leftImg8bit", "gtFine"])
def test_a_part_that_was_not_unpacked_is_named(folder, part):
    shutil.rmtree(folder / part)
    with pytest.raises(DataError) as error:
        load("cityscapes", folder)
    for text in (f"no Cityscapes in {folder} (it has no folder {part})", "CITY/*_gtFine_labelIds.png", "did_tf data"):
        assert text in str(error.value)
    assert "\n" not in str(error.value)


def test_a_split_of_which_a_part_is_missing_is_named(folder):
    shutil.rmtree(folder / "gtFine" / "val")
    with pytest.raises(DataError, match=f"split 'val': no folder {folder / 'gtFine' / 'val'};") as error:
        load("cityscapes", folder).samples("val")
    assert not isinstance(error.value, AbsentSplit)


def test_frames_outside_of_city_folders_are_none(folder):
    for path in list((folder / "leftImg8bit" / "val").glob("*/*.png")):
        path.rename(folder / "leftImg8bit" / "val" / path.name)
    with pytest.raises(DataError, match="'val' is empty: no images in .*SPLIT/CITY"):
        load("cityscapes", folder).samples("val")


def test_half_size_is_rows_30_to_900_averaged(tmp_path):
    image, ids = noise()
    write_pair(tmp_path, image, ids)
    full, (half, label) = read_only(tmp_path), read_only(tmp_path, half=True)
    assert full[0].shape == (1024, 2048, 3) and half.shape == (448, 1024, 3) and label.shape == (448, 1024)
    assert half.dtype == label.dtype == np.uint8

    # An output row averages 870 / 448 rows, those at its ends in part; a column averages two.
    step = 870 / 448
    for row in (0, 1, 100, 447):
        low, high = 30 + row * step, 30 + (row + 1) * step
        weights = np.clip(np.minimum(np.arange(1024) + 1, high) - np.maximum(np.arange(1024), low), 0, None)
        strip = np.tensordot(weights / step, image.astype(float), axes=1)
        np.testing.assert_allclose(half[row], strip.reshape(1024, 2, 3).mean(axis=1), atol=0.51)
        # The label is that of the pixel under the centre.
        np.testing.assert_array_equal(label[row], full[1][int(30 + (row + 0.5) * step), 1::2])


def test_half_size_of_another_size_is_refused(folder):
    dataset = load("cityscapes", folder, half=True)
    with pytest.raises(DataError, match=r"_leftImg8bit\.png is 48x96: half takes 1024x2048 only"):
        dataset.read(dataset.samples("train")[0])


def test_half_size_has_no_frames_for_the_benchmark(folder):
    with pytest.raises(DataError, match="are of whole frames; add --config.dataset.options.half=False"):
        load("cityscapes", folder, half=True).images("test")


def test_half_size_images_alone_are_half_too(tmp_path):
    write_pair(tmp_path, *noise())
    dataset = load("cityscapes", tmp_path, half=True)
    (sample,) = dataset.samples("train")
    np.testing.assert_array_equal(dataset.read_image(sample), dataset.read(sample)[0])


def test_classes_and_ids_are_those_of_the_official_package():
    labels = pytest.importorskip("cityscapesscripts.helpers.labels").labels
    spec = spec_of("cityscapes", "nowhere")
    for entry in labels:
        if entry.trainId in (255, -1):  # the latter is that of license plates, whose id -1 is in no file
            assert entry.ignoreInEval and (entry.id in spec.void_ids or entry.name == "license plate")
        else:
            place = entry.trainId
            assert not entry.ignoreInEval
            assert (spec.classes[place], spec.label_ids[place], spec.palette[place]) == (
                entry.name, entry.id, entry.color,
            )  # fmt: skip
    assert len(spec.classes) + len(spec.void_ids) == len(labels) - 1


def test_coarse_labels_of_further_frames_and_of_the_same(tmp_path):
    make_cityscapes(tmp_path, coarse=3)
    dataset = load("cityscapes", tmp_path)
    assert [sample.name for sample in dataset.samples("train_extra")] == [
        "trainextraa_000000_000019", "trainextraa_000002_000019", "trainextrab_000001_000019",
    ]  # fmt: skip
    for split in ("train", "val"):
        fine, coarse = dataset.samples(split), dataset.samples(f"{split}_coarse")
        assert [sample.image for sample in coarse] == [sample.image for sample in fine]
        for one, other in zip(fine, coarse):
            assert other.label.name == one.label.name.replace("gtFine", "gtCoarse")
            labels = dataset.read(one)[1], dataset.read(other)[1]
            known = labels[1] != IGNORE
            assert 0.5 < known[6:].mean() < 0.8
            np.testing.assert_array_equal(labels[0][known], labels[1][known])


def test_coarse_labels_that_were_not_unpacked_are_absent(tmp_path):
    make_cityscapes(tmp_path)
    dataset = load("cityscapes", tmp_path)
    for split in ("train_extra", "train_coarse", "val_coarse"):
        with pytest.raises(AbsentSplit):
            dataset.samples(split)


def test_the_images_of_train_extra_are_an_archive_of_their_own(tmp_path):
    make_cityscapes(tmp_path, coarse=1)
    labels = tmp_path / "gtCoarse" / "train_extra"
    labels.rename(tmp_path / "away")
    with pytest.raises(DataError, match=f"split 'train_extra': no folder {labels};") as error:
        load("cityscapes", tmp_path).samples("train_extra")
    assert not isinstance(error.value, AbsentSplit)
    (tmp_path / "away").rename(labels)
    shutil.rmtree(tmp_path / "leftImg8bit" / "train_extra")
    with pytest.raises(AbsentSplit, match="no folder .*leftImg8bit/train_extra"):
        load("cityscapes", tmp_path).samples("train_extra")
    assert load("cityscapes", tmp_path).samples("train_coarse")


@pytest.mark.parametrize(
    "patches, corners, side",
    [
        ("twelve", [(top, left) for top in (0, 112, 224) for left in (0, 416, 832, 1248)], 800),
        ("seven", [(-8, left) for left in (-264, -8, 248, 504, 760, 1016, 1272)], 1040),
    ],
)
def test_patches_are_parts_of_the_frame(tmp_path, patches, corners, side):
    write_pair(tmp_path, *noise())
    image, label = read_only(tmp_path)
    dataset = load("cityscapes", tmp_path, patches=patches)
    samples = dataset.samples("train")
    assert len({sample.name for sample in samples}) == len(samples) == len(corners)

    around = 300
    bands = zip(np.moveaxis(image, -1, 0), np.round(dataset.spec.mean))
    image = np.stack([np.pad(band, around, constant_values=int(mean)) for band, mean in bands], axis=-1)
    label, covered = np.pad(label, around, constant_values=IGNORE), np.zeros((1024, 2048), bool)
    for sample, (top, left) in zip(samples, corners):
        box = slice(top + around, top + around + side), slice(left + around, left + around + side)
        part, part_label = dataset.read(sample)
        np.testing.assert_array_equal(part, image[box])
        np.testing.assert_array_equal(part_label, label[box])
        covered[max(top, 0) : top + side, max(left, 0) : left + side] = True
    assert covered.all()


def test_crops_of_the_seven_patches_have_the_papers_centres(tmp_path):
    write_pair(tmp_path, *noise())
    windows = [sample.window for sample in load("cityscapes", tmp_path, patches="seven").samples("train")]
    half = 880 // 2
    first = [(window.top + half, window.left + half) for window in windows]
    last = [(window.top + window.height - half, window.left + window.width - half) for window in windows]
    assert first == [(512 - 80, column - 80) for column in (256, 512, 768, 1024, 1280, 1536, 1792)]
    assert last == [(512 + 80, column + 80) for column in (256, 512, 768, 1024, 1280, 1536, 1792)]


def test_only_training_splits_are_cut(tmp_path):
    make_cityscapes(tmp_path, coarse=2)
    dataset = load("cityscapes", tmp_path, patches="twelve")
    splits = ("train", "train_coarse", "train_extra", "val", "val_coarse")
    assert [len(dataset.samples(split)) for split in splits] == [48, 48, 24, 2, 2]
    assert [len(dataset.images(split)) for split in (*splits, "test")] == [4, 4, 2, 2, 2, 1]
    assert all(sample.window is None for sample in dataset.samples("val") + dataset.images("train"))


@pytest.mark.parametrize(
    "options, line",
    [
        ({"patches": "eight"}, "cityscapes has no patches 'eight'; known: twelve, seven, and '' for none"),
        ({"patches": "seven", "half": True}, "patches 'seven' are of frames at full size; leave out half or patches"),
    ],
)
def test_wrong_options_are_named(folder, options, line):
    with pytest.raises(DataError, match=line):
        load("cityscapes", folder, **options)


def files_of(folder):
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


def test_missing_ids_are_drawn_from_the_polygons(tmp_path):
    pytest.importorskip("cityscapesscripts")
    make_cityscapes(tmp_path, coarse=2)
    dataset, splits = load("cityscapes", tmp_path), ("train", "train_extra", "train_coarse")
    windows = None, Window(-5, 80, 30, 40), Window(3, 4, 10, 20), Window(40, -9, 20, 30), Window(90, 0, 5, 5)

    def content():
        samples = [sample for split in splits for sample in dataset.samples(split)]
        parts = [dataclasses.replace(sample, window=window) for sample in samples for window in windows]
        return [dataset.read(part)[1] for part in parts], [dataset.instances(sample) for sample in samples]

    labels, instances = content()
    for path in tmp_path.rglob("*Ids.png"):
        path.unlink()
    before = files_of(tmp_path)
    for drawn, written in zip(content(), (labels, instances)):
        for one, other in zip(drawn, written):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
    assert files_of(tmp_path) == before


def polygons_alone(folder, text):
    write_image(
        folder / "leftImg8bit" / "train" / "x" / "x_000000_000019_leftImg8bit.png", np.zeros((4, 6, 3), np.uint8)
    )
    path = folder / "gtFine" / "train" / "x" / "x_000000_000019_gtFine_polygons.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


FRAME = '{"imgHeight": 4, "imgWidth": 6, "objects": [{"label": "%s", "polygon": %s}]}'


@pytest.mark.parametrize(
    "text, line",
    [
        ("", "cannot read the polygons in "),
        ('{"imgHeight": 4}', "cannot read the polygons in .*imgWidth"),
        (FRAME % ("car", "[[1]]"), "cannot read the polygons in "),
        (FRAME % ("car", "[[1, 2]]"), "cannot draw the polygons in "),
        (FRAME % ("cargroups", "[[1, 2], [3, 2], [3, 3]]"), "has a polygon of 'cargroups', which is no class"),
        (FRAME.replace("4", "5") % ("cargroup", "[[1, 2], [3, 2], [3, 3]]"), "is 4x6 but its label .* is 5x6"),
    ],
)
def test_polygons_that_can_not_be_drawn_are_named(tmp_path, text, line):
    pytest.importorskip("cityscapesscripts")
    path = polygons_alone(tmp_path, text)
    with pytest.raises(DataError, match=line) as error:
        read_only(tmp_path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_without_the_official_package_polygons_tell_how_to_get_it(tmp_path, monkeypatch):
    path = polygons_alone(tmp_path, FRAME % ("car", "[[1, 2], [3, 2], [3, 3]]"))
    for name in [name for name in sys.modules if name.startswith("cityscapesscripts")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cityscapesscripts", None)
    with pytest.raises(DataError, match=f"beside {path}, and only cityscapesScripts .*pip install .*\\[cityscapes"):
        read_only(tmp_path)


def test_instances_have_the_values_of_the_file(folder):
    dataset = load("cityscapes", folder, patches="twelve")
    frame, patch = dataset.images("train")[0], dataset.samples("train")[0]
    instances, label = dataset.instances(frame), dataset.read(frame)[1]
    assert instances.dtype == np.int32 and instances.shape == (48, 96)
    classes = np.where(instances >= 1000, instances // 1000, instances)
    np.testing.assert_array_equal(np.vectorize(lambda number: TRAIN_IDS.get(number, IGNORE))(classes), label)
    assert 0 < (instances[(label != IGNORE) & (label >= 11)] < 1000).mean() < 0.5, "some are groups"
    np.testing.assert_array_equal(dataset.instances(patch), instances)


@pytest.mark.parametrize(
    "write, line",
    [
        (lambda path: path.write_bytes(path.read_bytes()[:150]), "cannot decode .*_instanceIds.png"),
        (lambda path: path.write_bytes(b""), "cannot decode .*_instanceIds.png"),
        (lambda path: write_image(path, np.zeros((48, 96, 3), np.uint8)), "_instanceIds.png has mode RGB"),
    ],
)
def test_damaged_instances_are_named(folder, write, line):
    dataset = load("cityscapes", folder)
    frame = dataset.images("val")[0]
    path = frame.label.with_name(frame.label.name.replace("labelIds", "instanceIds"))
    write(path)
    with pytest.raises(DataError, match=line):
        dataset.instances(frame)
    path.unlink()
    assert dataset.instances(frame) is None
