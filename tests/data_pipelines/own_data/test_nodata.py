"""A user's own data: files that say where they have no data, and files that lie elsewhere."""

import json

import numpy as np
import pytest
import rasterio
from own_data import complaint, describe, edit, scene, write_tiff
from PIL import Image
from rasterio.transform import from_origin

from data_pipelines import IGNORE, DataError, load, spec_of
from data_pipelines.own_data.band_statistics import Moments, moments

SIZE = (24, 32)


def make(folder, images, labels=None, **keys):
    """Images [H, W, bands] with the facts of their TIFFs, [(pixels, facts)], labelled by `scene`; all but one train."""
    for number, (pixels, facts) in enumerate(images):
        write_tiff(folder / "images" / f"{number}.tif", pixels, **facts)
        label, facts = (labels or {}).get(number, (scene(number, SIZE)[1], {}))
        write_tiff(folder / "labels" / f"{number}.tif", label[..., None], **facts)
    names = [str(number) for number in range(len(images))]
    keys = {"splits": {"train": names[:-1], "val": names[-1:]}, "dtype": images[0][0].dtype.name, **keys}
    return describe(folder, 4, **{"bands": images[0][0].shape[2], **keys})


def tile(seed, bands=3, dtype="uint8"):
    """Values of 1 to 200."""
    return np.random.default_rng(seed).integers(1, 201, (*SIZE, bands)).astype(dtype)


def test_a_class_that_is_0_in_one_band_keeps_its_pixels(tmp_path):
    """Such as one without blue: a pixel is void where all bands are nodata, as GDAL has it."""
    images = [(tile(number), {"nodata": 0}) for number in range(3)]
    for number, (pixels, _) in enumerate(images):
        pixels[scene(number, SIZE)[1] == 1, 2] = 0
        pixels[:4] = 0
    dataset = load("folders", make(tmp_path, images))
    measured = [dataset.read(sample) for sample in dataset.samples("train")]
    for number, (image, label) in enumerate(measured):
        assert (label[:4] == IGNORE).all()
        np.testing.assert_array_equal(label[4:], scene(number, SIZE)[1][4:])
        np.testing.assert_array_equal(image[4:], images[number][0][4:])
    there = np.concatenate([pixels[4:].reshape(-1, 3) for pixels, _ in images[:2]]).astype(float)
    np.testing.assert_allclose(dataset.spec.mean, there.mean(0))
    np.testing.assert_allclose(dataset.spec.std, there.std(0))


def late(nodata=-9999):
    """Floats, of which the first has neither nodata nor its tag."""
    images = [(tile(number, dtype="float32"), {"nodata": nodata} if number else {}) for number in range(4)]
    for pixels, _ in images[1:]:
        pixels[:10] = nodata
    return images


def test_every_files_own_tag_counts(tmp_path, capsys):
    images = late()
    dataset = load("folders", make(tmp_path, images))
    there = np.concatenate(
        [pixels[10 if number else 0 :].reshape(-1, 3) for number, (pixels, _) in enumerate(images[:3])]
    )
    np.testing.assert_allclose(dataset.spec.mean, there.astype(float).mean(0))
    told = capsys.readouterr().err
    assert "images differ in their own nodata tags: of 3, 1 with none" in told
    assert f"2 with -9999 ({tmp_path / 'images' / '1.tif'}" in told and "would for all" in told
    load("folders", tmp_path).check_statistics()  # and again at every start
    assert capsys.readouterr().err == told
    assert dataset.odd_files(dataset.samples("val")) == []


@pytest.mark.parametrize("nodata", [-9999, float("nan")])
def test_files_that_agree_with_dataset_yaml_are_not_told(tmp_path, nodata, capsys):
    make(tmp_path, late(nodata), nodata="nan" if np.isnan(nodata) else nodata)
    load("folders", tmp_path)
    assert "note" not in capsys.readouterr().err


def test_files_that_differ_from_dataset_yaml(tmp_path, capsys):
    make(tmp_path, late(), nodata=0)
    load("folders", tmp_path)
    told = capsys.readouterr().err
    assert "of 3, 2 with -9999" in told and told.endswith("dataset.yaml says 0, and both count\n")
    edit(tmp_path, nodata_tags="labels")
    assert "is of nodata_tags both, but" in complaint(tmp_path)
    (tmp_path / "statistics.json").unlink()
    assert load("folders", tmp_path).spec.mean[0] < -1000
    assert "note" not in capsys.readouterr().err


def test_tags_of_labels_are_compared_too(tmp_path):
    label = scene(1, SIZE)[1]
    label[:5] = 9
    images = [(tile(number), {}) for number in range(4)]
    make(tmp_path, images, {1: (label, {"nodata": 9}), 2: (scene(2, SIZE)[1], {"nodata": 255})})
    dataset = load("folders", tmp_path)
    (line,) = dataset.odd_files(dataset.samples("train"))
    assert line.startswith("labels differ in their own nodata tags: of 3, 1 with none (")
    assert "1 with 9 (" in line and "255" not in line  # which is void anyway
    edit(tmp_path, void=[9])
    assert load("folders", tmp_path).odd_files(dataset.samples("train")) == []
    assert (dataset.read(dataset.samples("train")[1])[1][:5] == IGNORE).all()


def test_a_band_that_is_missing_in_part_is_measured_where_it_is_there(tmp_path):
    pixels = tile(0, 2, "float32")
    pixels[:10, :, 1] = np.nan
    pixels[:3] = np.nan
    make(tmp_path, [(pixels, {"nodata": np.nan})] * 2)
    dataset = load("folders", tmp_path)
    spec = dataset.spec
    np.testing.assert_allclose(spec.mean, np.nanmean(pixels.astype(float), (0, 1)))
    np.testing.assert_allclose(spec.std, np.nanstd(pixels.astype(float), (0, 1)))
    image, label = dataset.read(dataset.samples("train")[0])
    assert (label[:3] == IGNORE).all() and (label[3:] != IGNORE).all()
    np.testing.assert_array_equal(image[3:10, :, 1], np.float32(spec.mean[1]))
    np.testing.assert_array_equal(image[3:10, :, 0], pixels[3:10, :, 0])


def test_a_band_without_any_data(tmp_path):
    pixels = tile(0, 2, "float32")
    pixels[..., 1] = np.nan
    make(tmp_path, [(pixels, {"nodata": np.nan})] * 2)
    assert "no image of the training split has data in its band 2: check nodata" in complaint(tmp_path)


def test_moments_of_parts_are_those_of_all():
    rng = np.random.default_rng(0)
    images = rng.normal(5, 2, (3, 8, 9, 2))
    left = rng.random(images.shape) < 0.4
    left[0, ..., 1] = True  # a band that one image has not at all
    total = sum((moments(image, out) for image, out in zip(images, left)), Moments(*(np.zeros(2) for _ in range(3))))
    there = np.ma.array(images, mask=left)
    np.testing.assert_array_equal(total.count, (~left).sum((0, 1, 2)))
    np.testing.assert_allclose(total.mean, there.mean((0, 1, 2)))
    np.testing.assert_allclose(total.std, there.std((0, 1, 2)))


def as_of_an_earlier_version(folder):
    path = folder / "statistics.json"
    content = json.loads(path.read_text())
    for key in ("nodata_rule", "nodata_tags", "odd_files"):
        del content[key]
    path.write_text(json.dumps(content))


def test_statistics_of_an_earlier_version_that_took_what_files_call_nodata_for_data(tmp_path):
    make(tmp_path, late())
    load("folders", tmp_path)
    as_of_an_earlier_version(tmp_path)
    dataset = load("folders", tmp_path)  # runs that were trained with it go on
    with pytest.raises(DataError, match=r"statistics.json is of an earlier version, .* such as .*1.tif: move it away"):
        dataset.check_statistics()
    edit(tmp_path, nodata_tags="none")
    load("folders", tmp_path).check_statistics()


@pytest.mark.parametrize("inside", [True, False])
def test_statistics_of_an_earlier_version_that_took_what_is_masked_for_data(tmp_path, inside):
    make(tmp_path, [(tile(number), {}) for number in range(3)])
    load("folders", tmp_path)
    as_of_an_earlier_version(tmp_path)
    load("folders", tmp_path).check_statistics()
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=inside), rasterio.open(tmp_path / "images" / "1.tif", "r+") as file:
        file.write_mask(np.arange(SIZE[0])[:, None] > np.zeros(SIZE))
    with pytest.raises(DataError, match=r"is of an earlier version, .* such as .*1.tif: move it away"):
        load("folders", tmp_path).check_statistics()


def test_statistics_of_an_earlier_version_and_the_rule(tmp_path):
    make(tmp_path, [(tile(number), {}) for number in range(3)])
    load("folders", tmp_path)
    as_of_an_earlier_version(tmp_path)
    load("folders", tmp_path).check_statistics()
    (tmp_path / "statistics.json").unlink()
    edit(tmp_path, nodata=0)
    load("folders", tmp_path)
    as_of_an_earlier_version(tmp_path)
    assert "is of nodata_rule any, but" in complaint(tmp_path) and "says all: correct" in complaint(tmp_path)
    edit(tmp_path, nodata_rule="any")
    assert load("folders", tmp_path).spec == spec_of("folders", tmp_path)
    edit(tmp_path, nodata_rule="some")
    assert "nodata_rule must be one of all, any, got 'some'" in complaint(tmp_path)


HERE = {"crs": "EPSG:32633", "transform": from_origin(500000, 5000000, 10, 10)}
THERE = {"crs": "EPSG:32633", "transform": from_origin(500300, 5000400, 10, 10)}


@pytest.mark.parametrize("what", ["labels", "images", "nothing"])
def test_files_of_one_image_at_different_places(tmp_path, what):
    images = [(tile(number), HERE) for number in range(3)]
    make(tmp_path, images, {number: (scene(number, SIZE)[1], HERE) for number in range(3)})
    for number in range(3):
        write_tiff(tmp_path / "heat" / f"{number}.tif", tile(number, 1), **(THERE if what == "images" else {}))
    edit(tmp_path, extras=[{"folder": "heat", "bands": ["heat"]}])
    if what == "images":
        line = complaint(tmp_path)
        assert f"{tmp_path / 'images' / '0.tif'} and {tmp_path / 'heat' / '0.tif'} lie at different places" in line
        assert "30 columns and 40 rows apart" in line
        return
    dataset = load("folders", tmp_path)
    sample = dataset.samples("val")[0]
    if what == "labels":
        write_tiff(sample.label, scene(2, SIZE)[1][..., None], **THERE)
        with pytest.raises(
            DataError, match=f"{sample.image} and {sample.label} lie at different places: their corners"
        ):
            dataset.read(sample)
    else:
        dataset.read(sample)


def test_a_mask_of_a_class_at_another_place(tmp_path):
    make(tmp_path, [(tile(number), HERE) for number in range(2)])
    for name, place in (("a", HERE), ("b", THERE)):
        for number in range(2):
            mask = (scene(number, SIZE)[1][..., None] == 1).astype(np.uint8)
            write_tiff(tmp_path / "labels" / name / f"{number}.tif", mask * (name == "a"), **place)
    edit(tmp_path, labels_hold="masks", classes=["a", "b"], void="others")
    dataset = load("folders", tmp_path)
    with pytest.raises(DataError, match="labels/b/0.tif lie at different places"):
        dataset.read(dataset.samples("train")[0])


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_a_label_marked_to_be_turned_is_refused(tmp_path, kind):
    """By the rule of images: who draws on a turned picture may save the mark with the label."""
    make(tmp_path, [(tile(number), {}) for number in range(2)])
    (tmp_path / "labels" / "0.tif").unlink()
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(scene(0, SIZE)[1]).save(tmp_path / "labels" / f"0.{kind}", exif=exif)
    dataset = load("folders", tmp_path)
    told = f"0.{kind} is marked to be turned .* so that image, label and further bands lie alike"
    with pytest.raises(DataError, match=told):
        dataset.read(dataset.samples("train")[0])
