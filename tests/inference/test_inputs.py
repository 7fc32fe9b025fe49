from pathlib import Path
from unittest.mock import Mock

import numpy as np
import own_data
import pytest
import rasterio
import tiny
from in_memory import InMemory
from photos import make_photos, picture

from data_pipelines import DataError, DatasetSpec
from data_pipelines.own_data.parts import Part
from data_pipelines.spec import Sample, Window
from did_tf import wiring
from did_tf.common import files, visualize
from did_tf.common.damage import Damage
from did_tf.common.errors import ConfigError
from did_tf.inference import inputs

SPEC = DatasetSpec("three", ("a", "b", "c"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)), {}, (0.0,) * 3, (1.0,) * 3)


@pytest.fixture
def folder(tmp_path):
    return make_photos(tmp_path / "images")


def test_images_are_found_in_subfolders_and_names_are_unique(folder, tmp_path):
    found = {image.name: image for image in inputs.find_images(folder, tmp_path / "out", SPEC)}
    assert list(found) == ["a.jpg", "a.png", "b", "day/a", "night/a"]
    for name, seed in (("night/a", 4), ("day/a", 3)):
        image, mask = found[name].read()
        np.testing.assert_array_equal(image, picture(20, 30, seed))
        assert mask is None and found[name].size() == (20, 30) and found[name].place() is None
    (folder / "a.png.tif").touch()  # which, less its extension, is called as another is with it
    names = [image.name for image in inputs.find_images(folder, tmp_path / "out", SPEC)]
    assert names == ["a.jpg", "a.png", "a.png.tif", "b", "day/a", "night/a"]


def test_linked_folders_are_searched_too_and_no_file_has_two_names(folder, tmp_path):
    visualize.save_png(tmp_path / "other" / "c.png", picture(4, 5))
    visualize.save_png(tmp_path / "other" / ".thumbs" / "d.png", picture(4, 5))
    (folder / "more").symlink_to(tmp_path / "other")
    (folder / "again").symlink_to(folder / "day")
    (folder / "day" / "up").symlink_to(folder)
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "written").symlink_to(tmp_path / "out")
    visualize.save_png(tmp_path / "out" / "a_color.png", picture(4, 5))
    names = [image.name for image in inputs.find_images(folder, tmp_path / "out", SPEC)]
    assert names == ["a.jpg", "a.png", "b", "day/a", "more/c", "night/a"]


def test_links_to_one_file_are_images_of_their_own(tmp_path):
    visualize.save_png(tmp_path / "store" / "x.png", picture(4, 5))
    for number in (1, 2):
        (tmp_path / f"L{number}").mkdir()
        (tmp_path / f"L{number}" / "a.png").symlink_to(tmp_path / "store" / "x.png")
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"n{number}").symlink_to(tmp_path / f"L{number}")
    (tmp_path / "in" / "pick.png").symlink_to(tmp_path / "store" / "x.png")
    names = [image.name for image in inputs.find_images(tmp_path / "in", tmp_path / "out", SPEC)]
    assert names == ["n1/a", "n2/a", "pick"]


def test_a_single_image(folder):
    (image,) = inputs.find_images(str(folder / "b.TIFF"), folder, SPEC)
    assert image.name == "b"
    np.testing.assert_array_equal(image.read()[0], picture(20, 30, 2))


def test_content_tells_a_changed_image(folder):
    (image,) = inputs.find_images(folder / "a.png", folder, SPEC)
    before = image.content()
    assert before and before == image.content()
    files.write_file(folder / "a.png", (folder / "day" / "a.png").read_bytes())
    assert image.content() != before


def noted(content):
    """GDAL's notes with statistics of a band, and what else they hold."""
    band = '<PAMRasterBand band="1"><Metadata><MDI key="STATISTICS_MEAN">5</MDI></Metadata></PAMRasterBand>'
    return f"<PAMDataset>{content}{band}</PAMDataset>"


@pytest.mark.parametrize(
    ("name", "beside", "text"),
    [
        ("a.png", "a.pgw", "2\n0\n0\n-2\n5\n9\n"),
        ("a.png", "a.png.msk", "mask"),
        ("a.png", "a.png.aux.xml", noted("<GeoTransform>5, 2, 0, 9, 0, -2</GeoTransform>")),
        ("b.TIFF", "b.TIFF.aux.xml", noted("<SRS>EPSG:32633</SRS>")),
    ],
)
def test_what_lies_beside_an_image_is_of_its_content(folder, name, beside, text):
    (image,) = inputs.find_images(folder / name, folder / "out", SPEC)
    before = image.content()
    (folder / beside).write_text(text)
    assert image.content() != before and inputs.contents([image], Damage()) == {image.name: image.content()}


@pytest.mark.parametrize("name", ["a.png", "b.TIFF"])
def test_what_programs_note_that_only_look_at_an_image_is_not(folder, name):
    (image,) = inputs.find_images(folder / name, folder / "out", SPEC)
    before = image.content()
    (folder / f"{name}.aux.xml").write_text(noted(""))
    assert image.content() == before


def test_contents_of_many_but_for_what_is_gone(folder):
    images, damage = inputs.find_images(folder, folder / "out", SPEC), Damage()
    expected = {image.name: image.content() for image in images}
    assert inputs.contents(images, damage) == expected and not damage.reasons
    (folder / "day" / "a.png").unlink()
    assert inputs.contents(images, damage) == {name: found for name, found in expected.items() if name != "day/a"}
    assert "cannot read" in damage.reasons["day/a"]


def test_one_file_that_is_gone_has_no_other_read_by_itself(folder, monkeypatch):
    images = inputs.find_images(folder, folder / "out", SPEC)
    (folder / "day" / "a.png").unlink()
    read = Mock(wraps=inputs.digests)
    monkeypatch.setattr(inputs, "digests", read)
    inputs.contents(images, Damage())
    together, *alone = ([*map(str, call.args[0])] for call in read.call_args_list)
    assert len(together) == len(images) - 1 and sum(alone, []) == [str(folder / "day" / "a.png")]


def test_earlier_results_are_no_input(folder):
    before = inputs.find_images(folder, folder / "out", SPEC)
    visualize.save_png(folder / "out" / "day" / "a_color.png", picture(5, 5))
    assert [image.name for image in inputs.find_images(folder, folder / "out", SPEC)] == [i.name for i in before]


def test_results_do_not_mix_with_the_images(folder):
    with pytest.raises(ConfigError, match="would mix with the images"):
        inputs.find_images(folder, folder / "day" / "..", SPEC)


def test_nothing_there(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=f"no images in {tmp_path} or its subfolders: looked for .bmp .gif"):
        inputs.find_images(tmp_path, tmp_path / "out", SPEC)
    with pytest.raises(DataError, match="no image or folder .*missing"):
        inputs.find_images(tmp_path / "missing", tmp_path / "out", SPEC)


def test_an_unreadable_file_is_named(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    (image,) = inputs.find_images(tmp_path, tmp_path / "out", SPEC)
    with pytest.raises(DataError, match=r"broken\.png"):
        image.read()


def test_images_of_a_split():
    config = tiny.config()
    dataset = wiring.make_dataset(config)
    images = inputs.split_images(dataset, "val", 2)
    assert [image.name for image in images] == ["val_00000", "val_00001"]
    for image, sample in zip(images, dataset.samples("val")):
        np.testing.assert_array_equal(image.read()[0], dataset.read(sample)[0])
        assert image.size() == (48, 64) and image.content() == "" and image.place() is None


def test_images_of_a_split_are_as_large_as_they_are_read(monkeypatch):
    dataset = wiring.make_dataset(tiny.config())
    monkeypatch.setattr(dataset, "size", lambda sample: (24, 32))
    (image,) = inputs.split_images(dataset, "val", 1)
    assert image.size() == (24, 32)


def geotiff(path, pixels, nodata=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, count = pixels.shape
    size = {"height": height, "width": width, "count": count, "dtype": pixels.dtype, "nodata": nodata}
    with rasterio.open(path, "w", crs="EPSG:32633", transform=(10, 0, 500000, 0, -10, 5000000), **size) as file:
        file.write(pixels.transpose(2, 0, 1))


def test_windows_of_a_raster_keep_their_places(tmp_path):
    geotiff(tmp_path / "site.tif", picture(20, 30))
    dataset = InMemory({"val": []})
    dataset.samples = lambda split: [Sample("site_r4_c6", tmp_path / "site.tif", window=Window(4, 6, 8, 10))]
    (image,) = inputs.split_images(dataset, "val", 1)
    assert image.size() == (8, 10)
    assert image.place().transform == (10, 0, 500060, 0, -10, 4999960) and "33N" in image.place().crs


@pytest.mark.parametrize("nodata", [None, 0])
def test_what_the_file_says_has_no_data_is_masked(nodata, tmp_path):
    pixels = np.maximum(picture(20, 30), 1)
    pixels[:, :6], pixels[10, 20, 1] = 0, 0
    geotiff(tmp_path / "edge.tif", pixels, nodata)
    (image,) = inputs.find_images(tmp_path / "edge.tif", tmp_path, SPEC)
    _, mask = image.read()
    assert (mask is None) == (nodata is None)
    if nodata == 0:
        assert mask[:, :6].all() and not mask[:, 6:].any()


# What dataset.yaml says of names


def bands(folder, *suffixes):
    return tuple(Part(folder, suffix, (suffix,), "uint8") for suffix in suffixes)


def test_files_without_the_suffix_are_no_images(tmp_path, capsys):
    for name in ("a_rgb", "a_depth", "b_rgb"):
        visualize.save_png(tmp_path / "in" / f"{name}.png", picture(4, 5))
    part = Part(Path("elsewhere"), "_rgb", ("red", "green", "blue"), "uint8")
    found = inputs.find_images(tmp_path / "in", tmp_path / "out", SPEC, [part])
    assert [image.name for image in found] == ["a_rgb", "b_rgb"]
    told = "1 of 3 files are left out, such as a_depth.png: names of images end with '_rgb', by dataset.yaml"
    assert told in capsys.readouterr().err


def test_where_no_file_has_the_suffix_all_are_images(tmp_path, capsys):
    visualize.save_png(tmp_path / "in" / "IMG_1.png", picture(4, 5))
    part = Part(Path("elsewhere"), "_rgb", ("red", "green", "blue"), "uint8")
    assert [i.name for i in inputs.find_images(tmp_path / "in", tmp_path / "out", SPEC, [part])] == ["IMG_1"]
    assert capsys.readouterr().err == ""


def test_earlier_results_are_no_bands(tmp_path):
    for name in ("a", "a_depth", "out/a_label"):
        visualize.save_png(tmp_path / "in" / f"{name}.png", picture(4, 5))
    (image,) = inputs.find_images(
        tmp_path / "in", tmp_path / "in" / "out", SPEC, bands(Path("elsewhere"), "", "_depth")
    )
    assert image.name == "a"


@pytest.mark.parametrize("one_file", [False, True])
def test_files_of_one_band_are_put_together(one_file, tmp_path):
    pixels = picture(4, 5)
    for number, suffix in enumerate(("_B2", "_B3", "_B4")):
        own_data.write_tiff(tmp_path / "in" / f"t{suffix}.tif", pixels[..., number : number + 1])
    parts = bands(Path("elsewhere"), "_B2", "_B3", "_B4")
    source = tmp_path / "in" / "t_B3.tif" if one_file else tmp_path / "in"
    (image,) = inputs.find_images(source, tmp_path / "out", SPEC, parts)
    assert image.name == "t" and image.size() == (4, 5)
    np.testing.assert_array_equal(image.read()[0], pixels)


def test_an_image_without_one_of_its_files_is_no_reason_to_leave_out_others(tmp_path):
    for name in ("a_B2", "a_B3", "a_B4", "b_B2", "b_B4"):
        visualize.save_png(tmp_path / "in" / f"{name}.png", picture(4, 5)[..., 0])
    a, b = inputs.find_images(tmp_path / "in", tmp_path / "out", SPEC, bands(Path("elsewhere"), "_B2", "_B3", "_B4"))
    assert a.read()[0].shape == (4, 5, 3)
    with pytest.raises(DataError, match=r"no file .*b_B3\.\* with bands of image 'b'"):
        b.read()
