"""What data are is told by what their files hold, whatever their sizes and times; and by what their values mean."""

import dataclasses
import json

import cv2
import numpy as np
import pytest
from folders import make_imagenet, rewrite
from in_memory import InMemory, pairs
from kitti_folder import make_kitti
from noise import Noise
from own_data import make_rgbd

from data_pipelines import load
from data_pipelines.identity import WITHOUT_MEANING, fingerprint, identity, meaning, with_content
from data_pipelines.spec import DataError, DatasetSpec, Sample


@pytest.mark.parametrize("folder", ["rgb", "depth", "labels"])
def test_a_change_of_the_same_size_and_time_in_any_file_of_a_sample(tmp_path, folder):
    """Names and sizes say nothing of it: labels drawn anew are often as large as the old ones."""
    make_rgbd(tmp_path)
    samples = load("folders", tmp_path).samples("train")
    before = fingerprint(samples)
    assert fingerprint(samples) == before
    rewrite(tmp_path / folder / "scene02.png")
    assert fingerprint(samples) != before


def test_files_that_changed_places(tmp_path):
    make_rgbd(tmp_path)
    samples = load("folders", tmp_path).samples("train")
    before = fingerprint(samples)
    one, other = (tmp_path / "labels" / f"scene0{number}.png" for number in (0, 1))
    spare = one.rename(tmp_path / "spare")
    other.rename(one)
    spare.rename(other)
    assert fingerprint(samples) != before


def test_the_same_files_elsewhere_are_the_same_data(tmp_path):
    found = []
    for name in ("here", "there"):
        make_rgbd(tmp_path / name)
        dataset = load("folders", tmp_path / name)
        found.append(identity(dataset, dataset.samples("train")))
    assert found[0] == found[1] == json.loads(json.dumps(found[0]))
    assert found[0]["samples"] == 6


@pytest.mark.parametrize("changes", [{"name": "b"}, {"window": (0, 0, 9, 9)}, {"class_id": 1}, {"label": None}])
def test_everything_about_a_sample_counts(tmp_path, changes):
    for name in ("image", "label"):
        (tmp_path / name).write_bytes(b"alike")
    sample = Sample("a", tmp_path / "image", tmp_path / "label", class_id=0)
    assert fingerprint([sample]) != fingerprint([dataclasses.replace(sample, **changes)])


def test_a_mask_beside_a_file_counts(tmp_path):
    (tmp_path / "image").write_bytes(b"alike")
    sample = Sample("a", tmp_path / "image")
    found = [fingerprint([sample])]
    for content in (b"one", b"two"):
        (tmp_path / "image.msk").write_bytes(content)
        found.append(fingerprint([sample]))
    assert len(set(found)) == 3


def test_what_gdal_notes_of_a_tiff_counts_where_it_changes_what_is_read(tmp_path):
    """Not where a program that looked at the file has noted statistics."""
    sample = Sample("a", tmp_path / "image")
    (tmp_path / "image").write_bytes(b"II*\0alike")
    found = [fingerprint([sample])]

    def noted(text):
        (tmp_path / "image.aux.xml").write_text(f"<PAMDataset>\n{text}</PAMDataset>")
        return fingerprint([sample])

    band = '<PAMRasterBand band="{}">\n {}</PAMRasterBand>\n'.format
    statistics = band(1, '<Metadata><MDI key="STATISTICS_MEAN">9</MDI></Metadata>') + band(2, "")
    assert noted("") == noted(statistics) == found[0]
    tag = "<NoDataValue>5</NoDataValue>\n"
    for text in (band(1, tag), band(1, "<NoDataValue>6</NoDataValue>"), band(2, tag), band(1, "<Scale>5</Scale>")):
        found.append(noted(text))
        assert noted(f" {statistics}{text}{statistics}") == found[-1]
    assert len(set(found)) == 5
    (tmp_path / "image").write_bytes(b"\x89PNG alike")
    assert noted(band(1, tag)) == noted("")


def test_a_label_is_no_further_band(tmp_path):
    for name in ("image", "other"):
        (tmp_path / name).write_bytes(name.encode())
    sample, other = Sample("a", tmp_path / "image"), tmp_path / "other"
    of_label, of_band = dataclasses.replace(sample, label=other), dataclasses.replace(sample, extras=(other,))
    assert fingerprint([of_label]) != fingerprint([of_band])


def test_masks_belong_to_their_classes(tmp_path):
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_bytes(path.name.encode())
    image, one, other = paths
    samples = [
        Sample("a", image, masks[0][0], masks=masks) for masks in (((one, 0),), ((one, 1),), ((one, 0), (other, 1)))
    ]
    samples += [dataclasses.replace(samples[2], masks=((one, 0), (image, 1)))]
    assert len({fingerprint([sample]) for sample in samples}) == 4


def test_what_came_later_leaves_older_digests_as_they_are():
    """Runs and records of version 0.3.0 go on."""
    assert meaning(SPEC) == "51058a0c8134010ee0d3bbbe36e2699b"


def test_order_and_number_count(tmp_path):
    make_imagenet(tmp_path)
    samples = load("imagenet", tmp_path).samples("train")
    assert len({fingerprint(some) for some in (samples, samples[::-1], samples[:-1])}) == 3
    assert fingerprint(Noise().samples("train")) != fingerprint(Noise().samples("train")[:-1])


def test_windows_of_one_image_have_its_content(tmp_path):
    make_kitti(tmp_path)
    samples = with_content(load("kitti_road", tmp_path, patch=64, stride=64).samples("train"))
    images = {sample.image for sample in samples}
    assert len({sample.content for sample in samples}) == len(images) < len(samples)
    before = fingerprint(samples[:2])
    rewrite(samples[0].label)
    again = load("kitti_road", tmp_path, patch=64, stride=64).samples("train")
    assert samples[0].image == again[1].image and fingerprint(again[:2]) != before


def test_a_missing_file_is_named(tmp_path):
    make_rgbd(tmp_path)
    samples = load("folders", tmp_path).samples("train")
    (tmp_path / "labels" / "scene03.png").unlink()
    with pytest.raises(DataError, match="cannot read .*labels/scene03.png: No such file"):
        fingerprint(samples)


SPEC = DatasetSpec("a", ("x", "y"), ((0, 0, 0), (1, 1, 1)), {"train": 3}, (1.0, 2.0), (3.0, 4.0))
CHANGES = {
    "classes": ("y", "x"),
    "mean": (1.0, 2.5),
    "std": (3.0, 4.5),
    "void_ids": (7,),
    "label_ids": (1, 0),
    "task": "classification",
    "dtype": "uint16",
    "band_names": ("depth", "heat"),
    "label_colours": ((0, 0, 0), (1, 1, 1)),
    "void_colours": ((2, 2, 2),),
    "nodata": float("nan"),
    "aliases": ((2, 1),),
    "rest": 255,
    "labels_soft": "nearest",
    "masks_overlap": True,
    "combinations": ((1, (0, 1)),),
    "nodata_rule": "any",
    "nodata_tags": "images",
    "shapes": (("pole", 1),),
    "label_property": "kind",
    "regions": (("second", (1,)),),
}


@pytest.mark.parametrize("key", [field.name for field in dataclasses.fields(DatasetSpec)])
def test_every_field_that_changes_pixels_or_labels_is_of_the_meaning(key):
    """With dataset.yaml changed and the files as they were, ids become other classes."""
    harmless = {"name": "b", "palette": ((2, 2, 2), (1, 1, 1)), "splits": {"train": 4}}
    assert set(harmless) == set(WITHOUT_MEANING)
    changed = dataclasses.replace(SPEC, **{key: {**harmless, **CHANGES}[key]})
    assert (meaning(changed) == meaning(SPEC)) == (key in harmless)


def test_what_was_always_so_keeps_its_digest():
    """That of SPEC by version 0.3.0: a field that says what was so then does not make other data of it."""
    assert meaning(SPEC) == "51058a0c8134010ee0d3bbbe36e2699b"
    several = dataclasses.replace(SPEC, nodata=0.0)
    assert meaning(dataclasses.replace(several, nodata_rule="any")) != meaning(several)


def test_numbers_of_numpy_mean_the_same():
    assert meaning(dataclasses.replace(SPEC, mean=tuple(np.array(SPEC.mean)))) == meaning(SPEC)


@pytest.mark.parametrize("options", [{"seed": 1}, {"height": 40}, {"bands": 1}])
def test_drawn_data_of_other_options(options):
    """No file holds them: what is drawn is looked at."""
    marks = []
    for more in ({}, {}, options):
        dataset = load("synthetic", **{"height": 32, "width": 32, **more})
        marks.append(identity(dataset, dataset.samples("val")))
    assert marks[0] == marks[1] != marks[2]


def test_images_without_labels_have_an_identity():
    dataset = InMemory({"test": [(image, None) for image, _ in pairs(2)]})
    other = InMemory({"test": [(image, None) for image, _ in pairs(2, seed=5)]})
    marks = [identity(one, one.images("test"))["fingerprint"] for one in (dataset, other)]
    assert marks[0] != marks[1]


def test_what_a_change_is_seen_in_are_bytes_and_not_pixels(tmp_path):
    """A picture that is saved anew, pixel by pixel the same, counts as another: in doubt, data have changed."""
    make_rgbd(tmp_path)
    samples = load("folders", tmp_path).samples("train")
    before, path = fingerprint(samples), tmp_path / "rgb" / "scene00.png"
    pixels = cv2.imread(str(path))
    cv2.imwrite(str(path), pixels, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    np.testing.assert_array_equal(cv2.imread(str(path)), pixels)
    assert fingerprint(samples) != before
