"""Drafts of dataset.yaml where labels are files of other tools: they work as they are, and say what was chosen."""

import annotation_files as tools
import numpy as np
import pytest
from annotation_files import square
from own_data import scene, write_png, write_tiff
from rasterio.transform import Affine

from data_pipelines import DataError, load
from data_pipelines.programs import audit
from data_pipelines.programs.describe import draft, main
from data_pipelines.writing import write_file

SIZE = (20, 30)


@pytest.fixture
def photos(tmp_path):
    for number, name in enumerate("abcdefgh"):
        write_png(tmp_path / "photos" / f"{name}.png", scene(number, SIZE)[0][..., :3].astype(np.uint8))
    return tmp_path / "photos"


def drafted(folder, images, labels):
    """(the data set by a draft, its text, what was told)."""
    text, told = draft(folder, images, labels)
    write_file(folder / "dataset.yaml", text.encode())
    return load("folders", folder), text, told


def samples(dataset):
    return [dataset.read(sample) for split in dataset.spec.splits for sample in dataset.samples(split)]


def test_labelme_beside_the_images(photos, tmp_path, capsys):
    for name in "abcdefgh":
        shapes = [("car", "polygon", square(0, 0, 10)), ("tree", "rectangle", [[20, 0], [25, 12]])]
        tools.labelme(photos / f"{name}.json", SIZE, *(shapes if name != "h" else []), ("car", "point", [[1, 1]]))
    dataset, text, told = drafted(tmp_path / "new", photos, photos)
    assert dataset.spec.classes == ("background", "car", "tree")
    assert np.sum([np.bincount(label.ravel(), minlength=3) for _, label in samples(dataset)], axis=0).tolist() == [
        8 * 600 - 7 * 160,
        700,
        420,
    ]
    assert '  "car": "car"  # 7 shapes, 14.58% of the pixels\n' in text
    assert "rest: background  # what no shape covers; or void: others" in text
    assert told.splitlines() == [
        "8 pairs; 3 bands of uint8; shapes of labelme, 2 classes",
        "76.67% of the pixels are in no shape: they are background, unless you say void: others",
        "1 images have no shape: h",
        "left out, as they are no areas: 8 point",
    ]
    assert main(["--images", str(photos), "--labels", str(photos), "--folder", str(tmp_path / "other")]) == 0
    assert (tmp_path / "other" / "dataset.yaml").read_text() == text
    capsys.readouterr()
    folder = str(tmp_path / "new")
    assert audit.main(["--dataset", "folders", "--folder", folder, "--output", str(tmp_path / "audit")]) == 0


@pytest.mark.parametrize("there", ["abcdefg", "abcd"])
def test_labelme_beside_most_of_the_images(photos, tmp_path, there, capsys):
    """Where they lie beside half, the others may be masks."""
    for name in there:
        tools.labelme(photos / f"{name}.json", SIZE, ("car", "polygon", square(0, 0, 10)))
    (photos / "a.png.aux.xml").touch()
    (photos / "notes.txt").touch()
    if len(there) > 4:
        dataset, *_ = drafted(tmp_path / "new", photos, photos)
        assert len(samples(dataset)) == 7
        assert f"left out, as the other file of the pair is missing: 1 of {photos} (h)" in capsys.readouterr().err
    else:
        with pytest.raises(DataError, match=r"no label lies beside .*; its 4 .json are labels if they are named"):
            draft(tmp_path / "new", photos, photos)


def test_shapes_that_hide_each_other_are_told(photos, tmp_path):
    """A window drawn before its facade is gone; the last of classes lies above where dataset.yaml says so."""
    for name in "abcdefgh":
        shapes = [("window", "polygon", square(3, 3, 4)), ("facade", "polygon", square(0, 0, 10))]
        tools.labelme(photos / f"{name}.json", SIZE, *shapes, ("tree", "rectangle", [[9, 0], [15, 10]]))
    dataset, text, told = drafted(tmp_path / "new", photos, photos)
    share = f"{(16 + 10) / 600:.2%} of the pixels are in shapes of two classes or more"
    line = f"{share}; hidden most: window, 100.00% of its own "
    line += "(masks_overlap: last puts the later of classes above, a map keeps both)"
    assert line in told.splitlines() and f"# {line}" in text
    assert not any((label == 3).any() for _, label in samples(dataset)) and dataset.spec.classes[3] == "window"
    with (tmp_path / "new" / "dataset.yaml").open("a") as file:
        file.write("masks_overlap: last\n")
    for _, label in samples(load("folders", tmp_path / "new")):
        assert [(label == number).sum() for number in (1, 2, 3)] == [74, 60, 16]


def test_names_that_no_line_can_hold_are_written_out(photos, tmp_path):
    for name in "abcdefgh":
        tools.labelme(photos / f"{name}.json", SIZE, ("a\nb\u2028", "polygon", square(0, 0, 10)))
    dataset, _, _ = drafted(tmp_path / "new", photos, photos)
    assert dataset.spec.classes == ("background", "a\\u000ab\\u2028")
    assert all((label == 1).sum() == 100 for _, label in samples(dataset))


def test_coco_where_all_pixels_are_covered(photos, tmp_path):
    images = [(f"{name}.png", SIZE) for name in "abcdefgz"]
    whole = [[0, 0, 30, 0, 30, 20, 0, 20]]
    annotations = [(number, "field", whole) for number in range(7)] + [
        (0, "house", [np.ravel(square(3, 3, 4)).tolist()])
    ]
    path = tools.coco(tmp_path / "coco.json", images, annotations, ["house", "field", "unused"])
    dataset, text, told = drafted(tmp_path / "new", photos, path)
    assert dataset.spec.classes == ("field", "house") and len(samples(dataset)) == 7
    assert f'labels: "{path}"' in text and "void: others  # what no shape covers, of which there is none" in text
    share = f"{16 / 4200:.2%}"
    assert told.splitlines()[1:] == [
        "1 images that the labels name are not there",
        f"{share} of the pixels are in shapes of two classes or more; hidden most: field, {share} of its own "
        "(masks_overlap: last puts the later of classes above, a map keeps both)",
    ]


def test_crowds_of_coco_are_void_and_no_pixels_that_nobody_labelled(photos, tmp_path):
    flat = [np.ravel(square(0, 0, 10)).tolist()]
    crowd = [np.ravel(square(10, 0, 20)).tolist()]  # all of the other 20 columns
    annotations = [(0, "car", flat), (0, "car", crowd, True), (0, "tree", crowd, True), (1, "car", flat)]
    path = tools.coco(tmp_path / "coco.json", [("a.png", SIZE), ("b.png", SIZE)], annotations, ["car", "tree"])
    dataset, text, told = drafted(tmp_path / "new", photos, path)
    assert f"{(100 + 500) / 1200:.2%} of the pixels are in no shape: they are background" in told
    assert f"2 shapes are crowds (iscrowd): void, {400 / 1200:.2%} of the pixels" in told
    assert f'"car": "car"  # 2 shapes, {200 / 1200:.2%} of the pixels' in text
    assert '"tree": "tree"  # 0 shapes, 0.00% of the pixels' in text
    counts = np.sum([np.bincount(label.ravel(), minlength=256) for _, label in samples(dataset)], axis=0)
    assert (counts[0], counts[1], counts[255]) == (600, 200, 400)


def test_coco_of_two_splits(photos, tmp_path):
    """Each file names images of its own; what lies beside the files does not matter."""
    for split, name in (("train", "a"), ("val", "b")):
        write_png(tmp_path / "coco" / split / f"{name}.png", np.zeros((*SIZE, 3), np.uint8))
        box = [np.ravel(square(0, 0, 4)).tolist()]
        path = tmp_path / "annotations" / f"instances_{split}.json"
        tools.coco(path, [(f"{name}.png", SIZE)], [(0, split, box)], [split])
    (tmp_path / "annotations" / "captions_train.json").write_text("{}")
    named = tmp_path / "annotations" / "instances_{train,val}.json"
    dataset, *_ = drafted(tmp_path / "new", tmp_path / "coco" / "{train,val}", named)
    found = {split: [sample.name for sample in dataset.samples(split)] for split in dataset.spec.splits}
    assert found == {"train": ["train/a"], "val": ["val/b"]}
    assert dataset.spec.classes == ("background", "train", "val")


def test_geojson_says_by_which_property_shapes_are_called(tmp_path):
    place = Affine(2.0, 0, 400_000, 0, -2.0, 5_800_000)
    write_tiff(tmp_path / "raster" / "a.tif", np.full((*SIZE, 3), 90, np.uint8), crs="EPSG:32633", transform=place)
    features = [
        (
            {"fid": number, "use": use, "Type": kind, "note": None},
            "Polygon",
            [[[x, y], [x + 8, y], [x + 8, y - 8], [x, y]]],
        )
        for number, (use, kind) in enumerate([("a", "crop"), ("b", "crop"), ("a", "wood"), ("b", "wood")])
        for x, y in [(400_003 + 11 * number, 5_799_997)]
    ]
    path = tools.geojson(tmp_path / "all.geojson", *features, crs="urn:ogc:def:crs:EPSG::32633")
    text, told = draft(tmp_path / "new", tmp_path / "raster", path)
    assert 'label_property: "Type"' in text and '  "crop": "crop"' in text
    assert "shapes are called by their property 'Type' (label_property); others could be: use" in told


def test_images_and_files_that_do_not_belong_together(photos, tmp_path):
    tools.labelme(tmp_path / "labels" / "x.json", SIZE)
    with pytest.raises(
        DataError, match="no image of .*photos has the name of a file of .*labels: the first are 'a' and"
    ):
        draft(tmp_path / "new", photos, tmp_path / "labels")


def test_a_json_among_masks_is_no_label(photos, tmp_path):
    for name in "abcdefgh":
        write_png(tmp_path / "masks" / f"{name}.png", np.zeros(SIZE, np.uint8))
    tools.labelme(tmp_path / "masks" / "a.json", SIZE)
    assert "shapes" not in draft(tmp_path / "new", photos, tmp_path / "masks")[0]


def test_files_in_place_of_folders(photos, tmp_path, capsys):
    """Nothing is said of a dataset.yaml, which is not there yet."""
    shapes, scene, package = tools.geojson(tmp_path / "fields.geojson"), photos / "a.png", tmp_path / "fields.gpkg"
    package.touch()
    file = f"no folder {scene}, but a file: name the folder that it lies in"
    for images, labels, told in [
        (scene, shapes, file),
        (photos, scene, file),
        (tmp_path / "x", shapes, f"no folder {tmp_path / 'x'}"),
        (photos, tmp_path / "{fields,x}.geojson", f"no folder {tmp_path / 'x.geojson'}"),
        (photos, package, f"no folder {package}; save it as GeoJSON: ogr2ogr -f GeoJSON {shapes} {package}"),
    ]:
        assert main(["--images", str(images), "--labels", str(labels), "--folder", str(tmp_path / "new")]) == 2
        assert capsys.readouterr().err == f"error: {told}\n"
