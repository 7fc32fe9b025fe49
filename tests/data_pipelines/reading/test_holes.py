"""Where files say that nothing was measured. GDAL's own mask of a data set, by rasterio, is the oracle."""

import dataclasses

import numpy as np
import pytest
import rasterio
from own_data import write_png, write_tiff
from PIL import Image

from data_pipelines import IGNORE, DataError, DatasetSpec
from data_pipelines.own_data.parts import Part, fill_parts, part_specs, read_parts
from data_pipelines.reading.images import read_filled, read_image, read_label, read_masked
from data_pipelines.spec import Window

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")  # of writing

SIZE = (9, 11)
LOWEST = -3.4028234663852886e38  # of float32, the usual one of many programs


def spec_of(bands, dtype="uint8", **facts):
    mean = tuple(100.4 + band for band in range(bands))
    return DatasetSpec("tiny", ("a", "b"), ((0, 0, 0),) * 2, {}, mean, (1.0,) * bands, dtype=dtype, **facts)


def values(bands, dtype="uint8", seed=0):
    """1 to 9, so that neither 0 nor a sentinel is among them."""
    return np.random.default_rng(seed).integers(1, 10, (*SIZE, bands)).astype(dtype)


def holed(nodata, bands=3, dtype="uint8"):
    """(pixels, [H, W, bands] bool): one pixel without any band, one without the second, one without the first two."""
    pixels, holes = values(bands, dtype), np.zeros((*SIZE, bands), bool)
    holes[1, 2], holes[3, 4, 1], holes[5, 6, :2] = True, True, True
    pixels[holes] = nodata
    return pixels, holes


def mask_by_gdal(path):
    with rasterio.open(path) as file:
        return file.dataset_mask() == 0


def void_of(path, spec, window=None):
    return read_masked(path, spec, window)[1]


TAGS = [(0, "uint8"), (255, "uint8"), (65535, "uint16"), (-9999, "float32"), (0, "float32"), (np.nan, "float32")]
TAGS += [(LOWEST, "float32"), (np.inf, "float32")]


@pytest.mark.parametrize(("nodata", "dtype"), TAGS)
def test_a_pixel_is_void_where_all_bands_are_the_tags_value(nodata, dtype, tmp_path):
    pixels, holes = holed(nodata, dtype=dtype)
    write_tiff(tmp_path / "a.tif", pixels, nodata=nodata)
    spec = spec_of(3, dtype)
    void = void_of(tmp_path / "a.tif", spec)
    np.testing.assert_array_equal(void, mask_by_gdal(tmp_path / "a.tif"))
    np.testing.assert_array_equal(void, holes.all(-1))
    # The data set may say so in place of the file, or for another value.
    np.save(tmp_path / "a.npy", pixels)
    np.testing.assert_array_equal(void_of(tmp_path / "a.npy", dataclasses.replace(spec, nodata=nodata)), void)


@pytest.mark.parametrize(("nodata", "dtype"), TAGS)
def test_by_the_other_rule_one_band_is_enough(nodata, dtype, tmp_path):
    pixels, holes = holed(nodata, dtype=dtype)
    write_tiff(tmp_path / "a.tif", pixels, nodata=nodata)
    image, void = read_masked(tmp_path / "a.tif", spec_of(3, dtype, nodata_rule="any"))
    np.testing.assert_array_equal(void, holes.any(-1))
    mean = np.array(spec_of(3).mean, dtype) if dtype == "float32" else np.array([100, 101, 102], dtype)
    np.testing.assert_array_equal(image, np.where(holes, mean, pixels))


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("nodata", [None, 3])
def test_masks(inside, nodata, tmp_path):
    """They come before the tag, whose value is then a value like others."""
    pixels, masked = values(3), np.zeros(SIZE, bool)
    masked[2:4, 5:] = True
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=inside):
        facts = {"height": SIZE[0], "width": SIZE[1], "count": 3, "dtype": "uint8", "nodata": nodata}
        with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", **facts) as file:
            file.write(np.moveaxis(pixels, -1, 0))
            file.write_mask(~masked)
    assert (tmp_path / "a.tif.msk").exists() == (not inside)
    image, void = read_masked(tmp_path / "a.tif", spec_of(3))
    np.testing.assert_array_equal(void, masked)
    np.testing.assert_array_equal(void, mask_by_gdal(tmp_path / "a.tif"))
    np.testing.assert_array_equal(image[~masked], pixels[~masked])
    window = Window(1, 7, 4, 6)
    np.testing.assert_array_equal(void_of(tmp_path / "a.tif", spec_of(3), window)[:, :4], masked[1:5, 7:])
    beyond = void_of(tmp_path / "a.tif", spec_of(3), Window(20, 20, 4, 6))
    assert beyond.shape == (4, 6) and not beyond.any()


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_alpha_where_the_data_set_has_one_band_less(dtype, tmp_path):
    pixels = values(4, dtype)
    pixels[..., 3] = 1
    pixels[2:4, 5:, 3] = 0
    write_tiff(tmp_path / "a.tif", pixels, photometric="rgb", alpha="yes")
    void = void_of(tmp_path / "a.tif", spec_of(3, dtype))
    np.testing.assert_array_equal(void, pixels[..., 3] == 0)
    np.testing.assert_array_equal(void, mask_by_gdal(tmp_path / "a.tif"))
    assert void_of(tmp_path / "a.tif", spec_of(4, dtype)) is None  # there it is a band like others


def test_alpha_and_a_tag(tmp_path):
    pixels = values(4)
    pixels[0, 0, 3], pixels[1, 1, :3] = 0, 0
    write_tiff(tmp_path / "a.tif", pixels, photometric="rgb", alpha="yes", nodata=0)
    assert np.argwhere(void_of(tmp_path / "a.tif", spec_of(3))).tolist() == [[0, 0], [1, 1]]


def test_a_mask_beside_any_file(tmp_path):
    masked = np.zeros((*SIZE, 1), np.uint8)
    masked[:, :4] = 255
    for name in ("a.png", "a.npy"):
        write_png(tmp_path / name, values(3)) if name == "a.png" else np.save(tmp_path / name, values(3))
        write_tiff(tmp_path / f"{name}.msk", masked)
        np.testing.assert_array_equal(void_of(tmp_path / name, spec_of(3)), masked[..., 0] == 0)
    write_tiff(tmp_path / "a.npy.msk", masked[1:])
    with pytest.raises(DataError, match=r"the mask .*a.npy.msk is 8x11, and its image 9x11"):
        read_image(tmp_path / "a.npy", spec_of(3))


def test_a_mask_is_turned_with_its_picture(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(values(3)).save(tmp_path / "a.png", exif=exif)
    masked = np.zeros((*SIZE, 1), np.uint8)
    masked[:, :4] = 255
    write_tiff(tmp_path / "a.png.msk", masked)
    _, void = read_masked(tmp_path / "a.png", spec_of(3), orientation="upright")
    np.testing.assert_array_equal(void, np.rot90(masked[..., 0] == 0, -1))


def test_nodata_in_the_notes_that_gdal_keeps_beside_a_file(tmp_path):
    """Where a TIFF may have no tags of GDAL's, it writes them to a file of its own; there, bands may differ."""
    pixels = values(2)
    pixels[1, 2], pixels[3, 4] = (5, 7), (5, 5)
    write_tiff(tmp_path / "a.tif", pixels, profile="baseline")
    bands = "".join(
        f'<PAMRasterBand band="{band}"><NoDataValue>{nodata}</NoDataValue></PAMRasterBand>'
        for band, nodata in ((1, 5), (2, 7))
    )
    (tmp_path / "a.tif.aux.xml").write_text(f"<PAMDataset>{bands}</PAMDataset>")
    void = void_of(tmp_path / "a.tif", spec_of(2))
    np.testing.assert_array_equal(void, (pixels == (5, 7)).all(-1))
    np.testing.assert_array_equal(void, mask_by_gdal(tmp_path / "a.tif"))


def test_what_the_data_set_says_counts_beside_the_files_word(tmp_path):
    pixels = values(1, "float32")
    pixels[0, 0], pixels[0, 1], pixels[0, 2] = 0, -9999, np.nan
    write_tiff(tmp_path / "a.tif", np.where(np.isnan(pixels), 5, pixels), nodata=-9999)
    assert np.argwhere(void_of(tmp_path / "a.tif", spec_of(1, "float32", nodata=0.0))).tolist() == [[0, 0], [0, 1]]
    for tags in ("labels", "none"):
        spec = spec_of(1, "float32", nodata=0.0, nodata_tags=tags)
        assert np.argwhere(void_of(tmp_path / "a.tif", spec)).tolist() == [[0, 0]]
    assert void_of(tmp_path / "a.tif", spec_of(1, "float32", nodata_tags="none")) is None
    write_tiff(tmp_path / "a.tif", pixels, nodata=-9999)
    with pytest.raises(DataError, match="1 pixel with NaN or infinite values"):
        read_image(tmp_path / "a.tif", spec_of(1, "float32"))


@pytest.mark.parametrize("nodata", [-1.7976931348623157e308, LOWEST, -9999.0])
def test_doubles_whose_nodata_float32_cannot_hold(nodata, tmp_path):
    pixels = values(1, "float64")
    pixels[1, 2] = nodata
    write_tiff(tmp_path / "a.tif", pixels, nodata=nodata)
    image, void = read_masked(tmp_path / "a.tif", spec_of(1, "float32"))
    assert np.argwhere(void).tolist() == [[1, 2]] and image[1, 2, 0] == np.float32(100.4)
    np.save(tmp_path / "a.npy", pixels)
    spec = spec_of(1, "float32", nodata=nodata)
    assert np.argwhere(void_of(tmp_path / "a.npy", spec)).tolist() == [[1, 2]]


def test_what_the_network_sees_of_pixels_that_were_measured_in_part(tmp_path):
    """A 0 in one band of three is mostly a dark pixel; a sentinel among floats is none."""
    for dtype in ("uint8", "float32"):
        pixels, holes = holed(0, dtype=dtype)
        write_tiff(tmp_path / "a.tif", pixels, nodata=0)
        image, filled, void = read_filled(tmp_path / "a.tif", spec_of(3, dtype))
        expected = holes.all(-1, keepdims=True) | (holes if dtype == "float32" else False)
        np.testing.assert_array_equal(filled, np.broadcast_to(expected, pixels.shape))
        np.testing.assert_array_equal(image[~filled], pixels[~filled])
        assert (image[filled] >= 100).all() and void.sum() == 1


def parts_of(tmp_path, rule):
    """Photographs of which (1, 2) is nothing, (3, 4) black in one band; depths of which (1, 2) and (5, 6) are 0."""
    photo, depth = holed(0)[0], values(1, "uint16")
    depth[1, 2] = depth[5, 6] = -9 % 65536
    write_tiff(tmp_path / "photo.tif", photo, nodata=0)
    write_tiff(tmp_path / "depth.tif", depth, nodata=65527)
    parts = [Part(tmp_path, "", ("red", "green", "blue"), "uint8"), Part(tmp_path, "", ("depth",), "uint16")]
    spec = spec_of(4, "uint16", nodata_rule=rule, band_names=("red", "green", "blue", "depth"))
    return [tmp_path / "photo.tif", tmp_path / "depth.tif"], part_specs(parts, spec)


@pytest.mark.parametrize(("rule", "expected"), [("all", [[1, 2]]), ("any", [[1, 2], [3, 4], [5, 6]])])
def test_files_of_one_image_each_with_a_nodata_of_its_own(rule, expected, tmp_path):
    paths, specs = parts_of(tmp_path, rule)
    image, void = read_parts(paths, specs)
    assert np.argwhere(void).tolist() == expected
    assert image[1, 2].tolist() == [100, 101, 102, 103]
    assert image[5, 6, 3] == 103  # nothing was measured in the whole file there
    assert image[3, 4, 1] == (0 if rule == "all" else 101)
    filled = fill_parts(paths, specs).filled
    assert filled[5, 6].tolist() == ([False] * 3 + [True] if rule == "all" else [True, True, False, True])


def test_files_of_which_one_says_nothing(tmp_path):
    """Where it always has values, no pixel is void by the rule of all."""
    (photo, depth), specs = parts_of(tmp_path, "all")
    write_tiff(depth, values(1, "uint16"))
    image, void = read_parts([photo, depth], specs)
    assert not void.any() and image[1, 2, :3].tolist() == [100, 101, 102]
    write_tiff(photo, values(3))
    assert read_parts([photo, depth], specs)[1] is None


# Labels


def write_label(path, label, **facts):
    write_tiff(path, label[..., None], **facts)


@pytest.mark.parametrize(
    ("nodata", "dtype"), [(9, "uint8"), (255, "uint8"), (0, "uint16"), (-9999, "int16"), (LOWEST, "float32")]
)
def test_what_a_label_calls_nodata_is_void(nodata, dtype, tmp_path):
    """Also where its value is no id that the data set knows, or could know."""
    label = np.array([[1, 2, nodata], [nodata, 1, 1]], dtype)
    write_label(tmp_path / "a.tif", label, nodata=nodata)
    expected = [[0, 1, IGNORE], [IGNORE, 0, 0]]
    spec = spec_of(1, label_ids=(1, 2))
    assert read_label(tmp_path / "a.tif", spec).tolist() == expected
    assert read_label(tmp_path / "a.tif", spec, Window(0, 1, 1, 3)).tolist() == [[1, IGNORE, IGNORE]]
    write_label(tmp_path / "a.tif", np.full((2, 3), nodata, dtype), nodata=nodata)
    assert read_label(tmp_path / "a.tif", spec).tolist() == [[IGNORE] * 3] * 2


def test_the_mask_of_a_label(tmp_path):
    write_label(tmp_path / "a.tif", np.array([[0, 1, 77]], np.uint8))
    write_label(tmp_path / "a.tif.msk", np.array([[0, 255, 0]], np.uint8))
    assert read_label(tmp_path / "a.tif", spec_of(1)).tolist() == [[IGNORE, 1, IGNORE]]
    with pytest.raises(DataError, match="holds value 77"):
        read_label(tmp_path / "a.tif", spec_of(1, nodata_tags="images"))


def test_a_class_that_the_label_calls_nodata_is_refused(tmp_path):
    """A tag that was copied from the image; nobody knows, and half of a class would be lost without a word."""
    path = tmp_path / "a.tif"
    write_label(path, np.array([[0, 1, 1]], np.uint8), nodata=0)
    with pytest.raises(DataError) as error:
        read_label(path, spec_of(1))
    assert str(error.value).startswith(f"label {path} says by its nodata tag that 0 is nothing, and for tiny it is the")
    assert "class 'a': list it as void, or set nodata_tags to images" in str(error.value)
    assert read_label(path, spec_of(1, nodata_tags="images")).tolist() == [[0, 1, 1]]
    assert read_label(path, spec_of(1, label_ids=(3, 1), void_ids=(0,))).tolist() == [[IGNORE, 1, 1]]
    assert read_label(path, spec_of(1, label_ids=(3, 1), rest=0)).tolist() == [[IGNORE, 1, 1]]
    write_label(path, np.array([[1, 1]], np.uint8), nodata=0)  # and where it isn't there, it does no harm
    assert read_label(path, spec_of(1)).tolist() == [[1, 1]]


def test_colours_that_are_nodata(tmp_path):
    """All three channels are the value."""
    colours = np.array([[[0, 0, 0], [0, 0, 9], [9, 9, 9]]], np.uint8)
    write_tiff(tmp_path / "a.tif", colours, nodata=0)
    spec = spec_of(3, label_colours=((0, 0, 9), (9, 9, 9)))
    assert read_label(tmp_path / "a.tif", spec).tolist() == [[IGNORE, 0, 1]]
    with pytest.raises(DataError, match="that 0/0/0 is nothing, and for tiny it is the class 'a'"):
        read_label(tmp_path / "a.tif", spec_of(3, label_colours=((0, 0, 0), (0, 0, 9)), void_colours=((9, 9, 9),)))


# Tags by which values are something else


def scaled(path, pixels, scale, offset, **facts):
    write_tiff(path, pixels, **facts)
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (scale,) * file.count, (offset,) * file.count
    return path


def test_scale_and_offset_are_applied_to_floats(tmp_path):
    """Files of different scale then hold the same unit. Nodata is meant before."""
    spec = spec_of(2, "float32")
    pixels = values(2, "uint16")
    pixels[1, 2] = 0
    path = scaled(tmp_path / "a.tif", pixels, 0.5, 3, nodata=0)
    image, void = read_masked(path, spec)
    expected = pixels.astype(np.float32) / 2 + 3
    expected[1, 2] = spec.mean
    np.testing.assert_array_equal(image, expected)
    assert np.argwhere(void).tolist() == [[1, 2]]
    np.testing.assert_array_equal(
        read_image(scaled(path, pixels, 0.5, 3), dataclasses.replace(spec, nodata=0.0)), image
    )


def test_scale_and_offset_are_refused_elsewhere(tmp_path):
    path = scaled(tmp_path / "a.tif", values(1, "uint16"), 0.5, 3)
    with pytest.raises(
        DataError, match="has a scale of 0.5 and an offset of 3 .its tags., but tiny has uint16: with fl"
    ):
        read_image(path, spec_of(1, "uint16"))
    label = scaled(tmp_path / "b.tif", values(1) % 2, 1, 3)
    with pytest.raises(DataError, match=r"label .*b.tif has a scale or an offset .its tags., and ids have none"):
        read_label(label, spec_of(1))


@pytest.mark.parametrize(
    "options", [{"compress": "lerc", "max_z_error": 2}, {"compress": "lerc_deflate", "max_z_error": 1}]
)
def test_labels_that_lost_their_ids(options, tmp_path):
    write_tiff(tmp_path / "a.tif", values(1) % 2, **options)
    with pytest.raises(DataError, match=f"compressed as {options['compress'].upper()}, which changes class ids"):
        read_label(tmp_path / "a.tif", spec_of(1))
    write_tiff(tmp_path / "a.tif", values(1) % 2, **{**options, "max_z_error": 0.5})  # rounding restores them
    np.testing.assert_array_equal(read_label(tmp_path / "a.tif", spec_of(1)), values(1)[..., 0] % 2)
