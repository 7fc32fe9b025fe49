"""A user's own data: dataset.yaml, pairs of files, splits, statistics."""

import dataclasses
import hashlib
import json

import cv2
import numpy as np
import pytest
from own_data import describe, make_five_bands, make_rgbd, scene, write_png, write_tiff
from PIL import Image

from data_pipelines import IGNORE, DataError, load, spec_of
from data_pipelines.own_data.description import read_description
from data_pipelines.own_data.folders import place
from data_pipelines.programs import describe as describe_data
from data_pipelines.spec import Window


@pytest.fixture
def rgbd(tmp_path):
    return make_rgbd(tmp_path / "data")


@pytest.fixture
def plain(tmp_path):
    """Function that makes 8-bit RGB images and labels of these names (default: a to h), and dataset.yaml of `keys`."""

    def make(names="abcdefgh", labels=None, **keys):
        folder = tmp_path / "plain"
        for number, name in enumerate(names):
            pixels, _ = scene(number, (16, 16))
            write_png(folder / "images" / f"{name}.png", pixels[..., :3].astype(np.uint8))
        for name in names if labels is None else labels:
            write_png(folder / "labels" / f"{name}.png", np.zeros((16, 16), np.uint8))
        return describe(folder, 1, **{"splits": {"train": 1.0}, **keys})

    return make


def edit(folder, **changes):
    """Changes keys of the dataset.yaml; None deletes one."""
    path = folder / "dataset.yaml"
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def complaint(folder):
    """The one line with which `load` refuses."""
    with pytest.raises(DataError) as error:
        load("folders", folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def names_of(dataset, split):
    return [sample.name for sample in dataset.samples(split)]


# What is read


def test_five_bands_of_16_bits(tmp_path):
    folder = make_five_bands(tmp_path, count=4)
    dataset = load("folders", folder)
    assert (dataset.spec.bands, dataset.spec.dtype, dataset.spec.rgb) == (5, "uint16", (0, 1, 2))
    assert dataset.spec.band_names == ("red", "green", "blue", "infrared", "thermal")
    assert names_of(dataset, "train") == ["scene00", "scene01", "scene02"] and names_of(dataset, "val") == ["scene03"]
    image, label = dataset.read(dataset.samples("val")[0])
    pixels, expected = scene(3)
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image, (pixels * 40).astype(np.uint16))
    np.testing.assert_array_equal(label, expected)


def test_depth_stands_behind_the_colours_and_keeps_its_values(rgbd):
    dataset = load("folders", rgbd)
    assert (dataset.spec.bands, dataset.spec.dtype) == (4, "uint16")
    assert dataset.spec.band_names == ("red", "green", "blue", "depth")
    image, label = dataset.read(dataset.samples("train")[2])
    pixels, expected = scene(2)
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image[..., :3], pixels[..., :3].astype(np.uint8))
    np.testing.assert_array_equal(image[..., 3], (pixels[..., 4] * 40).astype(np.uint16))
    np.testing.assert_array_equal(label, expected)


def test_beyond_an_image_every_part_has_its_own_mean(rgbd):
    dataset = load("folders", rgbd)
    sample = dataclasses.replace(dataset.samples("train")[0], window=Window(-3, 70, 20, 20))
    image, label = dataset.read(sample)
    whole = dataset.read_image(dataset.samples("train")[0])
    np.testing.assert_array_equal(image[3:, :10], whole[:17, 70:])
    assert (image[:3] == np.rint(dataset.spec.mean)).all() and (image[:, 10:] == np.rint(dataset.spec.mean)).all()
    assert (label[:3] == IGNORE).all() and (label[3:, :10] != IGNORE).all()


def test_an_extra_of_float_makes_all_of_it_float(rgbd):
    for path in list((rgbd / "depth").iterdir()):
        metres = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.float32) / 1000
        np.save(path.with_suffix(".npy"), metres)
        path.unlink()
    edit(rgbd, extras=[{"folder": "depth", "bands": ["depth"], "dtype": "float32"}])
    dataset = load("folders", rgbd)
    image = dataset.read_image(dataset.samples("train")[0])
    pixels, _ = scene(0)
    assert dataset.spec.dtype == "float32" and image.dtype == np.float32
    np.testing.assert_array_equal(image[..., 1], pixels[..., 1].astype(np.uint8))
    np.testing.assert_allclose(image[..., 3], (pixels[..., 4] * 40).astype(np.uint16) / 1000, rtol=1e-6)


def test_files_of_an_image_that_differ_in_size(rgbd):
    write_png(rgbd / "depth" / "scene07.png", np.zeros((64, 79), np.uint16))
    dataset = load("folders", rgbd)
    with pytest.raises(DataError, match=r"rgb/scene07\.png is 64x80 but .*depth/scene07\.png is 64x79 .* be equal"):
        dataset.read(dataset.samples("val")[-1])


def test_ids_of_ones_own_and_void(plain):
    folder = plain("a", classes={"26": "car", "7": "road", "300": "sky"}, void=[0, 9])
    ids = np.array([[26, 7, 300], [0, 9, 255]], np.uint16)
    write_png(folder / "images" / "a.png", np.arange(18, dtype=np.uint8).reshape(2, 3, 3))
    write_png(folder / "labels" / "a.png", ids)
    dataset = load("folders", folder)
    assert dataset.spec.classes == ("car", "road", "sky")
    np.testing.assert_array_equal(dataset.read(dataset.samples("train")[0])[1], [[0, 1, 2], [IGNORE] * 3])


def test_255_can_be_a_class(plain):
    folder = plain("a", classes={"0": "other", "255": "building"})
    write_png(folder / "labels" / "a.png", np.kron([[0, 255]], np.ones((16, 8))).astype(np.uint8))
    dataset = load("folders", folder)
    label = dataset.read(dataset.samples("train")[0])[1]
    assert label[0].tolist() == [0] * 8 + [1] * 8


def test_void_colours(rgbd):
    colours = np.full((64, 80, 3), (0, 0, 255), np.uint8)
    colours[:10] = (255, 0, 255)
    write_png(rgbd / "labels" / "scene00.png", colours)
    edit(rgbd, void=[[255, 0, 255]])
    dataset = load("folders", rgbd)
    label = dataset.read(dataset.samples("train")[0])[1]
    assert (label[:10] == IGNORE).all() and (label[10:] == 1).all()


# How files find each other


def test_names_with_suffixes_and_subfolders(plain, capsys):
    folder = plain([])
    for name in ("night/b", "a", "day/deep/c ü"):
        write_png(folder / "images" / f"{name}_rgb.PNG", np.zeros((4, 4, 3), np.uint8))
        write_png(folder / "labels" / f"{name}_mask.png", np.zeros((4, 4), np.uint8))
        write_png(folder / "labels" / f"{name}_preview.png", np.zeros((4, 4, 3), np.uint8))
    write_png(folder / "images" / ".thumbs" / "x_rgb.png", np.zeros((4, 4, 3), np.uint8))
    edit(folder, image_suffix="_rgb", label_suffix="_mask")
    samples = load("folders", folder).samples("train")
    assert "left out" not in capsys.readouterr().err
    assert [sample.name for sample in samples] == ["a", "day/deep/c ü", "night/b"]
    assert samples[1].label == folder / "labels" / "day" / "deep" / "c ü_mask.png"


def test_images_and_labels_in_one_folder(plain):
    folder = plain([])
    for name in "ab":
        write_png(folder / "both" / f"{name}.png", np.zeros((4, 4, 3), np.uint8))
        write_png(folder / "both" / f"{name}_mask.png", np.zeros((4, 4), np.uint8))
    edit(folder, images="both", labels="both", label_suffix="_mask")
    samples = load("folders", folder).samples("train")
    assert [(s.image.name, s.label.name) for s in samples] == [("a.png", "a_mask.png"), ("b.png", "b_mask.png")]
    edit(folder, label_suffix="")
    assert "both is named for two things: tell their files apart by image_suffix or label_suffix" in complaint(folder)


def test_labels_below_the_images_are_no_images(plain, capsys):
    folder = plain("ab")
    (folder / "labels").rename(folder / "images" / "labels")
    edit(folder, labels="images/labels")
    assert names_of(load("folders", folder), "train") == ["a", "b"]
    assert "left out" not in capsys.readouterr().err


def test_folders_elsewhere(plain, tmp_path):
    folder = plain("ab")
    (folder / "images").rename(tmp_path / "photos")
    (folder / "labels").rename(tmp_path / "masks")
    edit(folder, images="../photos", labels=str(tmp_path / "masks"))
    assert names_of(load("folders", folder), "train") == ["a", "b"]


def test_a_folder_that_links_to_itself(plain):
    folder = plain("ab")
    (folder / "images" / "again").symlink_to(folder / "images")
    assert names_of(load("folders", folder), "train") == ["a", "b"]


def test_what_lacks_its_other_half_is_told_and_left_out(plain, capsys):
    dataset = load("folders", plain("abcdef", labels="axyz"))
    assert names_of(dataset, "train") == ["a"]
    told = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert len(told) == 1
    assert "5 of " in told[0] and "images (b, c, d, ...)" in told[0] and "labels (x, y, z)" in told[0]


def test_names_are_equal_however_their_accents_are_stored(plain):
    folder = plain(["u\u0308"], labels=["\u00fc"], splits={"train": ["u\u0308.png"]})
    assert names_of(load("folders", folder), "train") == ["\u00fc"]


def test_what_is_there_instead_is_named(plain):
    folder = plain("a")
    (folder / "labels" / "a.png").rename(folder / "labels" / "a.JPG")
    assert complaint(folder).endswith("looked for .bmp .npy .pgm .png .ppm .tif .tiff, and there is .jpg")


def test_an_image_without_its_depth_is_left_out(rgbd, capsys):
    (rgbd / "depth" / "scene03.png").unlink()
    edit(rgbd, splits={"train": 1.0})
    assert "scene03" not in names_of(load("folders", rgbd), "train")
    assert "rgb (scene03)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda f: (f / "images" / "a.jpg").touch(), "a.jpg and a.png have one name"),
        (lambda f: (f / "labels").rename(f / "old"), "labels: correct it in dataset.yaml"),
        (lambda f: [path.unlink() for path in (f / "labels").iterdir()], "no files in "),
        (lambda f: edit(f, label_suffix="_m"), "whose names end with '_m': looked for .bmp"),
        (lambda f: (f / "labels" / "a.png").rename(f / "labels" / "b.png"), "the first are 'a' and 'b'; names must be"),
    ],
)
def test_files_that_do_not_fit(plain, change, told):
    folder = plain("a")
    change(folder)
    assert told in complaint(folder)


# Splits


def test_more_files_move_none_between_the_splits(plain):
    shares = {"train": 0.5, "val": 0.3, "test": 0.2}
    names = [f"{number:03d}" for number in range(60)]
    before = load("folders", plain(names[::2], splits=shares))
    after = load("folders", plain(names, splits=shares))
    counts = [len(names_of(after, split)) for split in shares]
    assert sum(counts) == 60 and counts[0] > counts[1] > 5 and counts[2] > 3
    for split in shares:
        assert names_of(before, split) == [name for name in names_of(after, split) if name in names[::2]]


def test_the_hash_is_the_same_everywhere():
    digest = hashlib.sha256("bü".encode()).hexdigest()
    assert place("bü") == place("bu\u0308") == int(digest[:12], 16) / 16**12
    places = np.sort([place(f"image{number}") for number in range(2000)])
    np.testing.assert_allclose(places, np.linspace(0, 1, 2000), atol=0.04)  # as good as uniform


def test_shares_below_one_leave_images_unused(plain):
    names = [f"{number:03d}" for number in range(40)]
    dataset = load("folders", plain(names, splits={"train": 0.25, "val": 0.25}))
    assert all(place(name) < 0.5 for split in ("train", "val") for name in names_of(dataset, split))
    assert len(names_of(dataset, "train")) + len(names_of(dataset, "val")) < 35


@pytest.mark.parametrize("group", ["folder", "^(.*)/", "^site."])
def test_groups_stay_together(plain, group):
    names = [f"site{site}/frame{number}" for site in range(9) for number in range(4)]
    dataset = load("folders", plain(names, splits={"train": 0.5, "val": 0.5}, group=group))
    sites = [{name.split("/")[0] for name in names_of(dataset, split)} for split in ("train", "val")]
    assert sites[0] and sites[1] and not sites[0] & sites[1] and len(sites[0] | sites[1]) == 9


def test_names_without_a_group(plain):
    assert "group is 'folder', but image 'a' is in no subfolder" in complaint(plain("a", group="folder"))
    assert r"group '_(\\d+)' finds nothing in the image name 'a'" in complaint(plain("a", group=r"_(\d+)"))


def test_lists_in_files_and_in_place(plain):
    folder = plain(["a", "b c", "day/a", "night/d"], splits={"train": "lists/train.txt", "val": ["b c.png"]})
    (folder / "lists").mkdir()
    lines = "\ufeffnight/d\n\n/home/someone/project/images/day/a.png\nC:\\data\\a.JPG\n"
    (folder / "lists" / "train.txt").write_text(lines, encoding="utf-8")
    dataset = load("folders", folder)
    assert names_of(dataset, "train") == ["night/d", "day/a", "a"]
    assert names_of(dataset, "val") == ["b c"]


@pytest.mark.parametrize(
    ("splits", "told"),
    [
        ({"train": ["a", "b"], "val": ["c", "b.png"]}, "splits 'train' and 'val' share 1 images: b"),
        ({"train": ["a", "a.png"]}, "splits.train names twice: a"),
        ({"train": ["a", "x", "night/a"]}, "splits.train names 2 of 3 that are no image with a label: x, night/a"),
        ({"train": "train.txt"}, "splits.train: cannot read "),
        ({"train": "images/a.png"}, "a.png: it is no text in UTF-8; save it"),
    ],
)
def test_bad_lists(plain, splits, told):
    assert told in complaint(plain("abc", splits=splits))


def test_lists_that_tear_a_group(plain):
    splits = {"train": ["v1_0", "v2_0"], "val": ["v1_1"]}
    folder = plain(["v1_0", "v1_1", "v2_0"], splits=splits, group="^v.")
    assert "splits 'train' and 'val' share 1 groups: v1" in complaint(folder)


def test_an_empty_share_and_an_unknown_split(plain):
    (name,) = [letter for letter in "abcdefgh" if place(letter) < 0.3][:1]
    dataset = load("folders", plain(name, splits={"train": 0.5, "val": 0.5}))
    with pytest.raises(DataError, match=r"'val' is empty: none of 1 images falls into its share; raise that in "):
        dataset.samples("val")
    with pytest.raises(DataError, match="no split 'test'; known: train, val"):
        dataset.samples("test")


# Statistics


def test_mean_and_deviation_are_those_of_all_training_pixels(tmp_path):
    folder = make_five_bands(tmp_path, count=5)
    write_tiff(folder / "images" / "scene01.tif", np.full((7, 3, 5), 65535, np.uint16))  # images count by their pixels
    dataset = load("folders", folder)
    images = [dataset.read_image(sample) for sample in dataset.samples("train")]
    pixels = np.concatenate([image.reshape(-1, 5) for image in images]).astype(np.longdouble)
    np.testing.assert_allclose(dataset.spec.mean, pixels.mean(0).astype(float), rtol=1e-13)
    np.testing.assert_allclose(dataset.spec.std, pixels.std(0).astype(float), rtol=1e-13)
    stored = json.loads((folder / "statistics.json").read_text())
    assert stored["images"] == 4 and tuple(stored["mean"]) == dataset.spec.mean


def test_large_values_that_hardly_change_lose_no_digits(plain, monkeypatch):
    monkeypatch.setattr("data_pipelines.own_data.band_statistics.CHUNK", 50)
    folder = plain([], bands=["height"], dtype="float32")
    values = np.float32(1e5) + np.random.default_rng(0).integers(-8, 9, (3, 20, 21, 1)) / np.float32(64)
    for number, image in enumerate(values.astype(np.float32)):
        write_tiff(folder / "images" / f"{number}.tif", image)
        write_png(folder / "labels" / f"{number}.png", np.zeros((20, 21), np.uint8))
    spec = load("folders", folder).spec
    np.testing.assert_allclose(spec.mean, values.astype(np.longdouble).mean().astype(float), rtol=1e-13)
    np.testing.assert_allclose(spec.std, values.astype(np.longdouble).std().astype(float), rtol=1e-6)


def test_they_are_measured_once_and_need_no_images_then(rgbd, monkeypatch):
    first = load("folders", rgbd).spec
    monkeypatch.setattr("data_pipelines.own_data.band_statistics.measure", None)
    assert load("folders", rgbd).spec == first
    for name in ("rgb", "depth", "labels"):
        (rgbd / name).rename(rgbd / f"{name}_gone")
    spec = spec_of("folders", rgbd)
    assert spec == first


def test_a_changed_training_split_is_told(rgbd, capsys):
    first = load("folders", rgbd).spec
    edit(rgbd, splits={"train": ["scene00", "scene07"]})
    assert load("folders", rgbd).spec.mean == first.mean
    assert spec_of("folders", rgbd) == load("folders", rgbd).spec and spec_of("folders", rgbd).splits == {"train": 2}
    told = capsys.readouterr().err
    assert "measured on 6 images, and the split 'train' has changed since" in told and "its 2 images" in told
    (rgbd / "statistics.json").unlink()
    assert load("folders", rgbd).spec.mean != first.mean


def test_statistics_of_other_bands(rgbd):
    load("folders", rgbd)
    edit(rgbd, extras=None)
    assert "is of bands red, green, blue, depth, but" in complaint(rgbd)
    edit(rgbd, extras=[{"folder": "depth", "bands": ["depth"], "dtype": "uint16"}], nodata=0)
    assert "is of nodata None, but" in complaint(rgbd)
    (rgbd / "statistics.json").unlink()
    load("folders", rgbd)
    load("folders", rgbd)
    edit(rgbd, nodata=1)
    assert "is of nodata 0.0, but" in complaint(rgbd) and "says 1.0: correct that, or delete" in complaint(rgbd)
    (rgbd / "statistics.json").write_text('{"mean": [1, 2')
    assert "statistics.json is damaged: delete it" in complaint(rgbd)


def test_damaged_images_do_not_keep_the_others_from_being_checked(rgbd, capsys):
    (rgbd / "rgb" / "scene01.png").write_bytes(b"")
    dataset = load("folders", rgbd)
    assert "1 of 6 images can't be measured, such as: " in capsys.readouterr().err
    assert not (rgbd / "statistics.json").exists()
    pixels = [dataset.read_image(sample) for sample in dataset.samples("train") if sample.name != "scene01"]
    np.testing.assert_allclose(dataset.spec.mean, np.mean(pixels, (0, 1, 2)))


def test_a_band_that_says_nothing(plain, capsys):
    folder = plain("a")
    write_png(
        folder / "images" / "a.png",
        np.dstack([np.arange(256).reshape(16, 16)] * 2 + [np.full((16, 16), 9)]).astype(np.uint8),
    )
    assert load("folders", folder).spec.std[2] == 1
    assert "band 'blue' is 9 everywhere" in capsys.readouterr().err


# dataset.yaml


def test_yaml_with_comments(tmp_path):
    text = """
    # mine
    images: a/b     # photos
    labels: /masks
    classes: {7: road, 26: "no"}
    palette: {"no": [1, 2, 3]}
    extras:
      - folder: x
        bands: 2
        suffix: _x
    """
    (tmp_path / "dataset.yaml").write_text(text.replace("\n    ", "\n"))
    found = read_description(tmp_path)
    assert found.parts[0].folder == tmp_path / "a/b" and str(found.labels) == "/masks"
    assert found.bands == ("red", "green", "blue", "band_1", "band_2") and found.dtype == "uint8"
    assert (found.classes, found.label_ids, found.void_ids) == (("road", "no"), (7, 26), ())
    assert found.palette[1] == (1, 2, 3) and dict(found.splits) == {"train": 0.8, "val": 0.2}


@pytest.mark.parametrize("text", ["nan", ".nan", "-3.4e38", "-3.4e+38"])
def test_nodata_however_it_is_spelt(text, tmp_path):
    (tmp_path / "dataset.yaml").write_text(f"images: a\nlabels: b\nclasses: [c]\ndtype: float32\nnodata: {text}\n")
    assert repr(read_description(tmp_path).nodata) == repr(float(text.lstrip(".")))


def test_json_is_as_good(rgbd):
    expected = load("folders", rgbd).spec
    (rgbd / "dataset.yaml").rename(rgbd / "dataset.json")
    assert load("folders", rgbd).spec == expected
    (rgbd / "dataset.yaml").touch()
    assert "dataset.yaml and dataset.json both describe the data" in complaint(rgbd)


def test_no_description(tmp_path):
    assert f"no dataset.yaml in {tmp_path}: `make describe-data IMAGES=dir LABELS=dir DATA=" in complaint(tmp_path)
    with pytest.raises(DataError, match="no dataset.yaml in .*pass DATA=dir"):
        spec_of("folders", tmp_path / "nowhere")


def test_every_class_has_a_colour_of_its_own(tmp_path):
    names = [f"c{number}" for number in range(255)]
    describe(tmp_path, 2, classes=names, palette={"c200": [128, 0, 0], "c0": [1, 1, 1]})
    palette = read_description(tmp_path).palette
    assert len(set(palette)) == 255 and (0, 0, 0) not in palette
    assert palette[200] == (128, 0, 0) and palette[0] == (1, 1, 1)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"clases": ["a"]}, "unknown key 'clases', did you mean 'classes'"),
        ({"zzz": 1}, "unknown key 'zzz'; known: bands, classes, "),
        ({"images": None}, "key 'images' is missing"),
        ({"images": 3}, "images must be text, got 3; put it in quotes"),
        ({"classes": "road"}, "classes must be a list of names or a map of id to name, got 'road'"),
        ({"classes": []}, "classes must be a list"),
        ({"classes": ["a", True]}, "classes must be text, got True; put it in quotes"),
        ({"classes": ["a", "b", "a"]}, "classes: 'a' stands there twice"),
        ({"classes": {"1": "a", "x": "b"}}, "classes: 'x' is no id"),
        ({"classes": {"1": "a", "65536": "b"}}, "id 65536 is not in 0..65535"),
        ({"classes": [str(n) for n in range(256)]}, "256 classes: there can be 255 at most"),
        ({"void": 255}, "void must be a list, got 255"),
        ({"void": [2]}, "the ids of classes and void: 2 stands there twice"),
        ({"void": [-1]}, "void: id -1 is not in"),
        ({"palette": {"grond": [0, 0, 0]}}, "palette names 'grond', which is no class, did you mean 'ground'"),
        ({"palette": {"ground": [0, 0, 256]}}, "palette.ground must be a colour [red, green, blue] of 0 to 255"),
        ({"palette": {"ground": [0, 0]}}, "palette.ground must be a colour"),
        ({"labels_hold": "colors"}, "labels_hold must be one of ids, colours, got 'colors', did you mean 'colours'"),
        ({"labels_hold": "colours", "palette": {"ground": [1, 2, 3]}}, "class 'water' has no colour in palette"),
        ({"labels_hold": "colours", "classes": {"1": "a"}}, "classes has ids, but labels_hold is colours"),
        ({"dtype": "int16"}, "dtype must be one of uint8, uint16, float32, got 'int16', did you mean 'uint16'"),
        ({"bands": 0}, "bands must be 1 or more"),
        ({"bands": ["a", "a"]}, "bands: 'a' stands there twice"),
        ({"extras": {"folder": "x"}}, "extras must be a list"),
        ({"extras": [{"folder": "x"}]}, "key 'extras[0].bands' is missing"),
        ({"extras": [{"folder": "x", "bands": 1, "type": 1}]}, "unknown key 'extras[0].type'"),
        ({"extras": ["x"]}, "extras[0] must be a map"),
        ({"label_suffix": None, "image_suffix": "a/b"}, "image_suffix must be what ends the names"),
        ({"splits": [0.8, 0.2]}, "splits must be a map"),
        ({"splits": {"train": 0.8, "val": 0.3}}, "the shares of splits add up to 1.1, which is more than 1"),
        ({"splits": {"train": 80, "val": 20}}, "splits.train must be a share above 0 and up to 1, got 80"),
        ({"splits": {"train": 0.8, "val": ["a"]}}, "splits are either all shares, or all lists"),
        ({"splits": {"train+val": 0.8}}, "'train+val' is no name of a split"),
        ({"splits": {"train": []}}, "splits.train is empty"),
        ({"splits": {"train": [1]}}, "splits.train must be text, got 1; put it in quotes"),
        ({"nodata": "none"}, "nodata must be a number, got 'none'"),
        ({"nodata": True}, "nodata must be a number, got True"),
        ({"nodata": -9999}, "nodata is -9999, but no value of uint8 is: correct it"),
        ({"nodata": 0.5}, "nodata is 0.5, but no value of uint8 is"),
        ({"nodata": "nan", "dtype": "uint16"}, "nodata is nan, but no value of uint16 is"),
        ({"nodata": 1e40, "dtype": "float32"}, "nodata is 1e+40, but no value of float32 is"),
        ({"group": 3}, "group must be 'folder' or a regular expression"),
        ({"group": "("}, "group is no regular expression: "),
    ],
)
def test_every_key_is_checked(tmp_path, changes, told):
    describe(tmp_path, 4)
    edit(tmp_path, **changes)
    line = complaint(tmp_path)
    assert line.startswith(f"{tmp_path / 'dataset.yaml'}: ") and told in line


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("images: a\nimages: b\n", "'images' stands there twice"),
        ("classes: {1: a, 1: b}", "1 stands there twice"),
        ("? [a]\n: b", "no valid YAML in line 1: found unhashable key"),
        ("images: [a\nlabels: b", "no valid YAML in line 2: "),
        ("images: a\n\tlabels: b", "no valid YAML in line 2: "),
        ("images: !!python/object:os.system {}", "no valid YAML in line 1: "),
        ("", "must be a map of keys to values, got 'None'"),
        ("- a", "must be a map of keys"),
        (b"images: \xff", "can't be parsed"),
    ],
)
def test_bad_yaml(tmp_path, text, told):
    path = tmp_path / "dataset.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert told in complaint(tmp_path)


def test_bad_json(tmp_path):
    (tmp_path / "dataset.json").write_text('{"images": "a", "images": "b"}')
    assert "dataset.json: 'images' stands there twice" in complaint(tmp_path)
    (tmp_path / "dataset.json").write_text('{"images": "a"')
    assert "dataset.json: can't be parsed: " in complaint(tmp_path)


# No data


def test_where_there_is_no_data_nothing_is_measured_or_learnt(tmp_path):
    folder = make_five_bands(tmp_path, count=4)
    image, label = scene(0)
    pixels = (image * 40 + 1).astype(np.uint16)
    pixels[:20, :, 2] = 0
    write_tiff(folder / "images" / "scene00.tif", pixels)
    edit(folder, nodata=0)
    dataset = load("folders", folder)
    first = dataset.samples("train")[0]
    read, ids = dataset.read(first)
    assert (ids[:20] == IGNORE).all() and (ids[20:] == label[20:]).all()
    scenes = [pixels, *((scene(number)[0] * 40).astype(np.uint16) for number in (1, 2))]
    whole = np.concatenate([one.reshape(-1, 5) for one in scenes]).astype(float)
    whole = whole[(whole > 0).all(axis=1)]
    np.testing.assert_allclose(dataset.spec.mean, whole.mean(0), rtol=1e-13)
    np.testing.assert_array_equal(read[:20, :, 2], round(dataset.spec.mean[2]))


def test_a_photograph_marked_to_be_turned_is_refused(plain):
    folder = plain([])
    exif = Image.Exif()
    exif[274] = 3
    (folder / "images").mkdir()
    Image.fromarray(scene(0)[0][..., :3].astype(np.uint8)).save(folder / "images" / "a.jpg", exif=exif)
    write_png(folder / "labels" / "a.png", np.zeros((64, 80), np.uint8))
    assert "a.jpg is marked to be turned" in complaint(folder)


# The draft of a description


def drafted(capsys, *arguments):
    """(exit status, what was printed, error) of the program."""
    status = describe_data.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_a_draft_works_as_it_is(rgbd, tmp_path, capsys):
    folder = tmp_path / "new" / "place"
    arguments = ("--images", rgbd / "rgb", "--labels", rgbd / "labels", "--extras", rgbd / "depth", "--folder", folder)
    status, out, _ = drafted(capsys, *arguments)
    assert status == 0 and "8 pairs; 4 bands of uint8, uint16; 3 colours" in out
    assert f"make check-data DATASET=folders DATA={folder}" in out
    dataset, original = load("folders", folder), load("folders", rgbd)
    assert dataset.spec.classes == ("class_0", "class_1", "class_2")
    assert set(dataset.spec.label_colours) == set(original.spec.label_colours)
    assert (dataset.spec.dtype, dataset.spec.band_names) == ("uint16", ("red", "green", "blue", "depth"))
    train, val = (set(names_of(dataset, split)) for split in ("train", "val"))
    assert len(train | val) == 8 and len(val) in (1, 2)
    text = (folder / "dataset.yaml").read_text()
    labels = np.concatenate(
        [original.read(s)[1].ravel() for split in ("train", "val") for s in original.samples(split)]
    )
    assert f"[0, 0, 255]  # {np.mean(labels == 1):.2%} of the pixels" in text

    status, _, error = drafted(capsys, *arguments)
    assert status == 2 and "dataset.yaml is there already: edit it" in error
    assert (folder / "dataset.yaml").read_text() == text


def test_a_draft_of_many_bands_and_ids(tmp_path, capsys, monkeypatch):
    make_five_bands(tmp_path, count=30)
    (tmp_path / "dataset.yaml").unlink()
    ids = np.array([[7, 7, 26, 255]], np.uint8).repeat(64, 0).repeat(20, 1)
    write_png(tmp_path / "labels" / "scene05.png", ids)
    monkeypatch.chdir(tmp_path)
    assert drafted(capsys, "--images", "images", "--labels", "labels", "--folder", ".")[0] == 0
    found = read_description(tmp_path)
    assert (found.bands, found.dtype) == (("band_1", "band_2", "band_3", "band_4", "band_5"), "uint16")
    assert found.label_ids == (0, 1, 2, 7, 26) and found.void_ids == (255,)
    assert dict(found.splits) == {"train": 0.8, "val": 0.2}
    assert (found.parts[0].folder, found.labels) == (tmp_path / "images", tmp_path / "labels")


@pytest.mark.parametrize(
    ("images", "labels", "suffixes"),
    [
        (("a", "b"), ("a", "b"), ("", "")),
        (("a1", "a10"), ("a1_mask", "a10_mask"), ("", "_mask")),
        (("x/a_rgb", "x/b_rgb"), ("x/a", "x/b"), ("_rgb", "")),
        (("a_left", "b_left"), ("a_ids", "b_ids"), ("_left", "_ids")),
    ],
)
def test_a_draft_finds_the_endings_of_names(plain, capsys, images, labels, suffixes):
    folder = plain(images, labels=labels)
    (folder / "dataset.yaml").unlink()
    arguments = ("--images", folder / "images", "--labels", folder / "labels", "--folder", folder)
    assert drafted(capsys, *arguments)[0] == 0
    found = read_description(folder)
    assert (found.parts[0].suffix, found.label_suffix) == suffixes


def test_a_draft_of_one_folder_with_black_and_white_masks(plain, capsys):
    folder = plain(["a", "b"])
    for path in list((folder / "labels").iterdir()):
        write_png(folder / "images" / f"{path.stem}-gt.png", np.eye(16, dtype=np.uint8) * 255)
    (folder / "dataset.yaml").unlink()
    arguments = ("--images", folder / "images", "--labels", folder / "images", "--folder", folder)
    assert drafted(capsys, *arguments)[0] == 0
    found = read_description(folder)
    assert (found.label_ids, found.void_ids, found.label_suffix) == ((0, 255), (), "-gt")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda f: write_png(f / "images" / "b.png", np.zeros((9, 9), np.uint16)), "b.png of uint16: 1: convert"),
        (lambda f: write_png(f / "labels" / "b.png", np.zeros((9, 9, 3), np.uint8)), "holds ids: convert one kind"),
        (lambda f: (f / "images" / "b.png").write_bytes(b"x"), "images/b.png: the file is damaged"),
        (lambda f: write_png(f / "labels" / "b.png", np.arange(300, dtype=np.uint16)[None]), "are these labels?"),
        (lambda f: write_tiff(f / "labels" / "d.tif", np.full((9, 9, 1), -1, np.int16)), "d.tif holds -1: ids are 0"),
        (lambda f: [write_png(p, np.full((9, 9), 255, np.uint8)) for p in (f / "labels").iterdir()], "hold 255 alone"),
        (lambda f: [p.rename(p.with_name(f"x{p.name}y.png")) for p in (f / "labels").iterdir()], "rename them alike"),
    ],
)
def test_a_draft_of_what_does_not_fit(plain, capsys, change, told):
    folder = plain(["a", "b", "c"])
    (folder / "dataset.yaml").unlink()
    change(folder)
    arguments = ("--images", folder / "images", "--labels", folder / "labels", "--folder", folder)
    status, _, error = drafted(capsys, *arguments)
    assert status == 2 and told in error and error.count("\n") == 1
    assert not (folder / "dataset.yaml").exists()


def test_a_draft_where_there_can_be_none(plain, capsys):
    folder = plain(["a"])
    arguments = ("--images", folder / "images", "--labels", folder / "labels", "--folder")
    place = folder / "images" / "a.png" / "x"
    status, _, error = drafted(capsys, *arguments, place)
    assert status == 2 and error.count("\n") == 1
    assert f"cannot write to {place}: {place.parent} is no folder; name another folder (DATA=dir)" in error


def test_a_draft_in_a_linked_folder_with_spaces(plain, tmp_path, capsys, monkeypatch):
    images = plain("ab") / "images"
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "my link").symlink_to(tmp_path / "deep" / "er")
    monkeypatch.chdir(tmp_path)
    arguments = ("--images", "plain/images", "--labels", "plain/labels", "--folder", "my link/data")
    status, out, _ = drafted(capsys, *arguments)
    assert status == 0 and "DATA='my link/data'" in out
    assert load("folders", "my link/data").samples("train")[0].image.resolve().parent == images


def test_a_draft_says_what_is_left_out_and_what_stands_for_no_data(plain, capsys):
    folder = plain("abc", labels="abx")
    (folder / "dataset.yaml").unlink()
    for name in "abc":
        (folder / "images" / f"{name}.png").unlink()
        write_tiff(folder / "images" / f"{name}.tif", np.ones((16, 16, 2), np.float32), nodata=-9999)
    arguments = ("--images", folder / "images", "--labels", folder / "labels", "--folder", folder)
    status, _, told = drafted(capsys, *arguments)
    assert status == 0 and "left out, as the other file of the pair is missing: 1 of" in told and "(x)" in told
    assert read_description(folder).nodata == -9999


def test_a_draft_of_photographs_marked_to_be_turned(plain, capsys):
    folder = plain("a")
    (folder / "dataset.yaml").unlink()
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (16, 16)).save(folder / "images" / "a.png", exif=exif)
    arguments = ("--images", folder / "images", "--labels", folder / "labels", "--folder", folder)
    status, _, told = drafted(capsys, *arguments)
    assert status == 2 and "a.png is marked to be turned" in told
