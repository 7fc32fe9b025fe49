"""Every way a file can be wrong ends in one clear line that names it."""

import re
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import rasterio
import tifffile
from folders import write_palette_png
from PIL import Image
from program import PROJECT

from data_pipelines.reading import decoding
from data_pipelines.reading.images import read_image, read_label, size_of
from data_pipelines.spec import IGNORE, DataError, DatasetSpec, Window

SPEC = DatasetSpec(
    name="tiny",
    classes=("sky", "road"),
    palette=((0, 0, 0), (9, 9, 9)),
    splits={"train": 1},
    mean=(0.0,) * 3,
    std=(1.0,) * 3,
    void_ids=(11,),
)


def read_tiny_label(path):
    return read_label(path, SPEC)


pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")  # of writing


def spec_of(bands, dtype="uint8", **facts):
    mean = tuple(10.6 + band for band in range(bands))
    return DatasetSpec("tiny", ("sky", "road"), ((0, 0, 0),) * 2, {}, mean, (1.0,) * bands, dtype=dtype, **facts)


READERS = pytest.mark.parametrize("read", [read_image, read_tiny_label])


def write_png(path, pixels):
    cv2.imencode(".png", pixels)[1].tofile(path)
    return path


def noise(*shape):
    return np.random.default_rng(0).integers(0, 2, shape).astype(np.uint8)


def assert_refused(read, path, *parts):
    with pytest.raises(DataError) as error:
        read(path)
    for part in (str(path), *parts):
        assert part in str(error.value)
    assert "\n" not in str(error.value)


@READERS
def test_missing_file(read, tmp_path):
    assert_refused(read, tmp_path / "a.png", "No such file")


@READERS
def test_folder_in_place_of_a_file(read, tmp_path):
    assert_refused(read, tmp_path, "directory")


@READERS
def test_zero_bytes(read, tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    assert_refused(read, tmp_path / "a.png", "damaged or no image")


@READERS
def test_no_image(read, tmp_path):
    (tmp_path / "a.png").write_text("<html>404</html>")
    assert_refused(read, tmp_path / "a.png", "damaged or no image")


@READERS
@pytest.mark.parametrize("kept", [0.05, 0.5, 0.95])
def test_truncated_png(read, kept, tmp_path):
    path = write_png(tmp_path / "a.png", noise(40, 40))
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    assert_refused(read, path, "damaged or no image")


@READERS
def test_names_beyond_ascii(read, tmp_path):
    path = write_png(tmp_path / "straße 街.png", noise(3, 5))
    assert read(path).shape[:2] == (3, 5)


def test_grey_images_get_three_equal_bands(tmp_path):
    image = read_image(write_png(tmp_path / "a.png", noise(3, 5)))
    assert image.shape == (3, 5, 3)
    assert (image == image[..., :1]).all()


def test_images_are_contiguous_rgb(tmp_path):
    image = read_image(write_png(tmp_path / "a.png", np.full((2, 2, 3), (10, 20, 30), np.uint8)))
    assert image[0, 0].tolist() == [30, 20, 10]
    assert image.flags.c_contiguous


@pytest.mark.parametrize("channels", [3, 4])
def test_label_with_channels(channels, tmp_path):
    pixels = noise(3, 5, channels)
    pixels[..., 3:] = 255
    path = write_png(tmp_path / "a.png", pixels)
    assert_refused(read_tiny_label, path, "3 channels", "one channel of class ids")


@pytest.mark.parametrize(
    ("values", "text"),
    [((2,), "holds value 2:"), ((7, 3, 254), "holds values 3, 7, 254:"), (range(2, 11), "values 2, 3, 4, 5, 6:")],
)
def test_unknown_label_values_are_named(values, text, tmp_path):
    path = write_png(tmp_path / "a.png", np.array([[0, 1, 11, *values]], np.uint8))
    assert_refused(read_tiny_label, path, text, "classes 0 to 1 and void 11, 255")


def test_void_and_ignore_become_ignore(tmp_path):
    label = read_tiny_label(write_png(tmp_path / "a.png", np.array([[0, 1, 11, 255]], np.uint8)))
    assert label.tolist() == [[0, 1, IGNORE, IGNORE]]
    assert label.dtype == np.uint8


def test_16_bit_label_with_known_ids_is_read(tmp_path):
    label = read_tiny_label(write_png(tmp_path / "a.png", np.array([[0, 1, 11]], np.uint16)))
    assert label.tolist() == [[0, 1, IGNORE]]
    assert label.dtype == np.uint8


def test_16_bit_label_does_not_wrap_around(tmp_path):
    path = write_png(tmp_path / "a.png", np.array([[0, 256, 65535]], np.uint16))
    assert_refused(read_tiny_label, path, "values 256, 65535")


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_label_of_few_bits(bits, tmp_path):
    ids = np.arange(20).reshape(4, 5) % 2**bits
    rows = np.packbits(np.unpackbits(ids.astype(np.uint8)[..., None], axis=2)[..., -bits:].reshape(4, -1), axis=1)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 5, 4, bits, 0, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    )
    spec = DatasetSpec("few", tuple("abcdefghijklmnop"), ((0, 0, 0),) * 16, {}, mean=(0.0,), std=(1.0,))
    np.testing.assert_array_equal(read_label(tmp_path / "a.png", spec), ids)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_palette_changes_no_id(bits, tmp_path):
    ids = np.array([[0, 1, 0], [1, 1, 0]], np.uint8)
    write_palette_png(tmp_path / "a.png", ids, bits)
    assert (tmp_path / "a.png").read_bytes()[24:26] == bytes([bits, 3])
    assert read_tiny_label(tmp_path / "a.png").tolist() == ids.tolist()


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.95])
def test_truncated_palette_png(kept, tmp_path):
    write_palette_png(tmp_path / "a.png", noise(40, 40))
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: int(kept * len(data))])
    assert_refused(read_tiny_label, tmp_path / "a.png", "damaged or no image")


def test_unknown_ids_of_a_palette_png_are_named(tmp_path):
    write_palette_png(tmp_path / "a.png", np.array([[0, 1, 7]], np.uint8))
    assert_refused(read_tiny_label, tmp_path / "a.png", "holds value 7:")


def test_label_ids_become_classes_in_their_order(tmp_path):
    spec = DatasetSpec("odd", ("a", "b"), ((0, 0, 0),) * 2, {}, (0.0,), (1.0,), void_ids=(0,), label_ids=(300, 7))
    path = write_png(tmp_path / "a.png", np.array([[300, 7, 0, 255]], np.uint16))
    assert read_label(path, spec).tolist() == [[0, 1, IGNORE, IGNORE]]
    path = write_png(tmp_path / "a.png", np.array([[300, 1]], np.uint16))
    assert_refused(lambda path: read_label(path, spec), path, "value 1: odd knows classes 300, 7 and void 0, 255")


def smooth_jpeg(path):
    picture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (80, 90, 3)).astype(np.uint8), (0, 0), 3)
    cv2.imencode(".jpg", picture)[1].tofile(path)
    return path.read_bytes()


@pytest.mark.parametrize("kept", [0.5, 0.9, 0.999])
def test_a_truncated_jpeg_is_not_filled_up(kept, tmp_path):
    path = tmp_path / "a.jpg"
    data = smooth_jpeg(path)
    path.write_bytes(data[: int(kept * len(data))])
    assert cv2.imread(str(path)) is not None  # OpenCV fills it up
    assert_refused(read_image, path, "damaged or no image")


def test_what_follows_a_jpeg_does_no_harm(tmp_path):
    path = tmp_path / "a.jpg"
    data = smooth_jpeg(path)
    whole = read_image(path)
    path.write_bytes(data + b"\0 a film of two seconds")
    np.testing.assert_array_equal(read_image(path), whole)


# TIFF and NumPy


def write_tiff(path, pixels, **options):
    height, width, bands = pixels.shape
    facts = {"height": height, "width": width, "count": bands, "dtype": pixels.dtype, "driver": "GTiff", **options}
    with rasterio.open(path, "w", **facts) as file:
        file.write(pixels.transpose(2, 0, 1))
    return path


def values(dtype, *shape):
    """Random numbers all over the range of `dtype`."""
    rng, dtype = np.random.default_rng(1), np.dtype(dtype)
    if dtype.kind == "f":
        return rng.normal(0, 1e3, shape).astype(np.float32).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max, shape).astype(dtype)


TILES = {"tiled": True, "blockxsize": 16, "blockysize": 16}


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 5, 13])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize(
    "options",
    [
        {"interleave": "pixel"},
        {"interleave": "band", "compress": "lzw", "predictor": 2},
        {**TILES, "compress": "deflate"},
    ],
    ids=["strips", "planes", "tiles"],
)
def test_tiffs_of_any_bands_depth_and_layout(bands, dtype, options, tmp_path):
    pixels = values(dtype, 21, 37, bands)
    path = write_tiff(tmp_path / "a.tif", pixels, **options)
    image = read_image(path, spec_of(bands, dtype))
    assert image.dtype == dtype and image.flags.c_contiguous and size_of(path) == (21, 37)
    np.testing.assert_array_equal(image, pixels)


@pytest.mark.parametrize(
    "options", [{}, {"byteorder": ">"}, {"bigtiff": True}, {"compression": "zlib", "tile": (16, 16)}]
)
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_tiffs_of_another_writer(options, planar, tmp_path):
    pixels = values("uint16", 21, 37, 5)
    stored = pixels if planar == "contig" else pixels.transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="minisblack", planarconfig=planar, **options)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", spec_of(5, "uint16")), pixels)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", ">u2", ">f4"])
def test_arrays(dtype, order, tmp_path):
    pixels = values(dtype, 6, 8, 5)
    np.save(tmp_path / "a.npy", np.asarray(pixels, order=order))
    image = read_image(tmp_path / "a.npy", spec_of(5, pixels.dtype.name))
    assert image.dtype.isnative and image.flags.c_contiguous and image.flags.writeable
    np.testing.assert_array_equal(image, pixels)
    np.save(tmp_path / "a.npy", pixels[..., 0])
    np.testing.assert_array_equal(read_image(tmp_path / "a.npy", spec_of(1, pixels.dtype.name)), pixels[..., :1])


@pytest.mark.parametrize(
    "shape, wrong",
    [
        ((5,), ": expected [H, W] or [H, W, bands]"),
        ((2, 3, 4, 5), ": expected [H, W] or [H, W, bands]"),
        ((0, 4, 3), ", which has no pixels"),
        ((2, 4, 0), ", which has no pixels"),
    ],
)
def test_arrays_that_are_no_images(shape, wrong, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
    assert_refused(read_image, tmp_path / "a.npy", f"of shape {shape}{wrong}")


def test_a_tiff_of_several_images(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", noise(3, 6, 8), photometric="minisblack", metadata=None)
    assert_refused(read_image, tmp_path / "a.tif", "holds 3 images: save one per file", "docs/how-to/more-bands.md")
    assert_refused(read_tiny_label, tmp_path / "a.tif", "holds 3 images")


def test_pages_that_are_bands_become_an_array_as_the_guide_says(tmp_path, monkeypatch):
    pixels, guide = values("uint16", 6, 8, 5), PROJECT / "docs" / "how-to" / "more-bands.md"
    (tmp_path / "pages").mkdir()
    tifffile.imwrite(tmp_path / "pages" / "a.tif", pixels.transpose(2, 0, 1), photometric="minisblack")
    assert_refused(read_image, tmp_path / "pages" / "a.tif", "holds 5 images")
    monkeypatch.chdir(tmp_path)
    exec(re.search(r"^```python\n(.*?)^```$", guide.read_text(encoding="utf-8"), re.M | re.S)[1], {})
    np.testing.assert_array_equal(read_image(tmp_path / "images" / "a.npy", spec_of(5, "uint16")), pixels)


def test_a_tiff_whose_white_is_0(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", noise(6, 8), photometric="miniswhite")
    assert_refused(read_image, tmp_path / "a.tif", "stores white as 0")


def test_a_tiff_of_few_bits(tmp_path):
    path = write_tiff(tmp_path / "a.tif", noise(6, 8, 1), nbits=4)
    assert_refused(read_image, path, "has 4 bits per value: save it with 8")
    np.testing.assert_array_equal(read_tiny_label(path), noise(6, 8, 1)[..., 0])
    path = write_tiff(tmp_path / "b.tif", noise(6, 8, 1), nbits=1)
    np.testing.assert_array_equal(read_image(path), np.repeat(255 * noise(6, 8, 1), 3, axis=2))
    np.testing.assert_array_equal(read_tiny_label(path), noise(6, 8, 1)[..., 0])


def test_threads_read_parts_of_one_tiff(tmp_path):
    pixels = values("uint16", 160, 160, 3)
    path = write_tiff(tmp_path / "a.tif", pixels, **TILES, compress="deflate")

    def read(seed):
        rng = np.random.default_rng(seed)
        for top, left in rng.integers(0, 120, (40, 2)).tolist():
            part = read_image(path, spec_of(3, "uint16"), Window(top, left, 40, 40))
            np.testing.assert_array_equal(part, pixels[top : top + 40, left : left + 40])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(read, range(8)))


# Bands and numbers


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.npy"])
@pytest.mark.parametrize(("found", "expected"), [(3, 5), (4, 5), (3, 1), (1, 4), (3, 4)])
def test_another_number_of_bands(name, found, expected, tmp_path):
    path = tmp_path / name
    if name == "a.npy":
        np.save(path, noise(3, 5, found))
    else:
        write_tiff(path, noise(3, 5, found)) if name == "a.tif" else write_png(path, noise(3, 5, found))
    text = f"has {found} band{'s' * (found > 1)}, but tiny has {expected}: convert it"
    assert_refused(lambda path: read_image(path, spec_of(expected)), path, text)


def test_four_bands_are_not_three_with_alpha(tmp_path):
    pixels = np.full((3, 5, 4), 255, np.uint8)
    path = write_tiff(tmp_path / "a.tif", pixels, photometric="rgb", alpha="unspecified")
    assert_refused(lambda path: read_image(path, SPEC), path, "has 4 bands, but tiny has 3")
    np.save(tmp_path / "a.npy", pixels)
    assert_refused(lambda path: read_image(path, SPEC), tmp_path / "a.npy", "has 4 bands, but tiny has 3")


@pytest.mark.parametrize("facts", [{"dtype": "uint16"}, {"band_names": ("infrared", "red", "green")}])
def test_grey_is_not_spread_over_bands_that_are_no_rgb(facts, tmp_path):
    spec = spec_of(3, **facts)
    path = write_png(tmp_path / "a.png", noise(3, 5).astype(spec.dtype))
    assert_refused(lambda path: read_image(path, spec), path, "has 1 band, but tiny has 3")
    cv2.imencode(".jpg", noise(3, 5))[1].tofile(tmp_path / "a.jpg")
    assert_refused(lambda path: read_image(path, spec), tmp_path / "a.jpg")


@pytest.mark.parametrize("bands", [1, 3, 4])
def test_16_bit_pngs(bands, tmp_path):
    pixels = values("uint16", 5, 7, bands)
    write_png(tmp_path / "a.png", pixels[..., [2, 1, 0, 3][:bands]] if bands > 1 else pixels)  # OpenCV takes BGR
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", spec_of(bands, "uint16")), pixels)


@pytest.mark.parametrize("dtype", ["int16", "uint32", "float64", "float16", "int32"])
def test_numbers_that_float32_holds(dtype, tmp_path):
    pixels = np.array([[[0], [1]], [[3000], [7]]], dtype)
    np.save(tmp_path / "a.npy", pixels)
    image = read_image(tmp_path / "a.npy", spec_of(1, "float32"))
    assert image.dtype == np.float32 and image.ravel().tolist() == [0, 1, 3000, 7]


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("uint32", 2**24 + 1),
        ("uint32", 2**32 - 1),
        ("int32", -(2**24) - 1),
        ("int64", 2**53 + 1),
        ("float64", 0.1),
        ("float64", 1e300),
    ],
)
def test_numbers_that_float32_cannot_hold(dtype, value, tmp_path):
    np.save(tmp_path / "a.npy", np.array([[value, 1]], dtype))
    text = f"{dtype} values that float32 can't hold exactly"
    assert_refused(lambda path: read_image(path, spec_of(1, "float32")), tmp_path / "a.npy", text)


@pytest.mark.parametrize("dtype", ["int16", "uint32", "float32", "float64", "complex64", "bool"])
def test_numbers_of_a_kind_that_is_not_the_data_sets(dtype, tmp_path):
    np.save(tmp_path / "a.npy", np.ones((2, 2), dtype))
    text = f"has {dtype} values, but tiny has uint8"
    assert_refused(lambda path: read_image(path, spec_of(1)), tmp_path / "a.npy", text)


def test_without_the_fast_flag_of_opencv_pixels_are_the_same(tmp_path, monkeypatch):
    paths = [
        write_png(tmp_path / "a.png", values("uint8", 5, 7, 3)),
        write_png(tmp_path / "b.png", values("uint8", 5, 7)),
    ]
    for channels in (1, 3):
        path = tmp_path / f"{channels}.jpg"
        cv2.imencode(".jpg", values("uint8", 16, 24, channels))[1].tofile(path)
        paths.append(path)
    Image.fromarray(values("uint8", 16, 24, 4), "CMYK").save(tmp_path / "cmyk.jpg")
    fast = [read_image(path) for path in (*paths, tmp_path / "cmyk.jpg")]
    monkeypatch.setattr(decoding, "TO_RGB", None)
    for path, image in zip((*paths, tmp_path / "cmyk.jpg"), fast):
        np.testing.assert_array_equal(read_image(path), image)


# Windows


WINDOWS = [
    (0, 0, 20, 30), (3, 5, 7, 11), (-4, 2, 9, 9), (15, 25, 9, 9), (-5, -5, 40, 50), (4, -8, 3, 60),
    (-9, 3, 5, 5), (30, 40, 4, 4), (20, 0, 5, 5),
]  # fmt: skip


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.npy"])
def test_windows_are_cut_from_any_format(name, window, tmp_path):
    pixels, ids = noise(20, 30, 3), noise(20, 30)
    for path, stored in ((tmp_path / f"image_{name}", pixels), (tmp_path / f"label_{name}", ids)):
        if name == "a.npy":
            np.save(path, stored)
        elif name == "a.tif":
            write_tiff(path, np.atleast_3d(stored), **TILES)
        else:
            Image.fromarray(stored).save(path)
    window = Window(*window)
    image = read_image(tmp_path / f"image_{name}", spec_of(3), window)
    label = read_label(tmp_path / f"label_{name}", spec_of(3), window)
    assert image.shape == (window.height, window.width, 3) and label.shape == (window.height, window.width)
    for row in range(window.height):
        for column in range(window.width):
            y, x = window.top + row, window.left + column
            inside = 0 <= y < 20 and 0 <= x < 30
            assert image[row, column].tolist() == (pixels[y, x].tolist() if inside else [11, 12, 13])
            assert label[row, column] == (ids[y, x] if inside else IGNORE)


def test_beyond_a_float_image_lies_the_mean_itself(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 2), np.float32))
    image = read_image(tmp_path / "a.npy", spec_of(1, "float32"), Window(-1, 0, 2, 1))
    np.testing.assert_array_equal(image.ravel(), np.array([10.6, 0], np.float32))


@pytest.mark.parametrize("name", ["a.png", "a.npy"])
def test_a_window_holds_no_more_than_itself(name, tmp_path):
    if name == "a.npy":
        np.save(tmp_path / name, noise(20, 30, 3))
    else:
        write_png(tmp_path / name, noise(20, 30, 3))
    for part in (read_image(tmp_path / name, None, Window(0, 0, 5, 30)), read_image(tmp_path / name, None, None)):
        while part.base is not None:
            part = part.base
            assert part.size <= 20 * 30 * 3 and not isinstance(part, np.memmap)
    part = read_image(tmp_path / name, None, Window(0, 0, 5, 30))
    assert (part if part.base is None else part.base).size == 5 * 30 * 3


@pytest.mark.parametrize("orientation", [1, 6])
def test_windows_are_of_the_picture_as_it_is_turned(orientation, tmp_path):
    exif = Image.Exif()
    exif[274] = orientation
    pixels = noise(20, 30, 3)
    window = Window(2, 3, 4, 5)
    for kind in ("PNG", "TIFF"):
        Image.fromarray(pixels).save(tmp_path / "a.x", format=kind, exif=exif)
        expected = pixels if orientation == 1 else pixels[::-1].swapaxes(0, 1)  # 6: a quarter clockwise
        image = read_image(tmp_path / "a.x", None, window, "upright")
        np.testing.assert_array_equal(image, expected[2:6, 3:8])
    with pytest.raises(ValueError, match="orientation 'up': use one of stored, upright, refuse"):
        read_image(tmp_path / "a.x", orientation="up")


# Labels


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "uint64", "bool"])
def test_labels_of_all_integers(dtype, tmp_path):
    ids = np.array([[0, 1, 1], [1, 0, 0]], dtype)
    np.save(tmp_path / "a.npy", ids)
    assert read_tiny_label(tmp_path / "a.npy").tolist() == [[0, 1, 1], [1, 0, 0]]
    if dtype not in ("bool", "int64", "uint64"):
        assert read_tiny_label(write_tiff(tmp_path / "a.tif", ids[..., None])).tolist() == [[0, 1, 1], [1, 0, 0]]
    if dtype not in ("bool", "uint8", "int8"):
        far = np.iinfo(dtype).max
        np.save(tmp_path / "a.npy", np.array([[0, far, 256]], dtype))
        assert_refused(read_tiny_label, tmp_path / "a.npy", f"holds values 256, {far}:")
    if dtype.startswith("int"):
        np.save(tmp_path / "a.npy", np.array([[0, -1]], dtype))
        assert_refused(read_tiny_label, tmp_path / "a.npy", "holds value -1:")


def test_ids_of_64_bits_do_not_wrap_around(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[2**32, 2**16, 2**40 + 1]], np.int64))
    assert_refused(read_tiny_label, tmp_path / "a.npy", f"values {2**16}, {2**32}, {2**40 + 1}:")


def test_labels_that_are_no_integers(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 2), complex))
    assert_refused(read_tiny_label, tmp_path / "a.npy", "holds complex128 values: expected integers")


def test_a_label_tiff_that_is_compressed_with_loss(tmp_path):
    path = write_tiff(tmp_path / "a.tif", noise(16, 16, 1), compress="jpeg")
    assert_refused(read_tiny_label, path, "compressed as JPEG, which changes class ids")


def test_void_255_can_be_a_class(tmp_path):
    path = write_png(tmp_path / "a.png", np.array([[0, 255]], np.uint8))
    assert read_label(path, spec_of(3, label_ids=(0, 255))).tolist() == [[0, 1]]


COLOURED = spec_of(3, label_colours=((128, 64, 1), (1, 64, 128)), void_colours=((0, 0, 0), (255, 255, 255)))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "WEBP", "palette", "npy", "alpha"])
def test_colours_become_classes(kind, tmp_path):
    rng = np.random.default_rng(0)
    table = np.array([*COLOURED.label_colours, *COLOURED.void_colours], np.uint8)
    which = rng.integers(0, 4, (20, 30))
    path, colours = tmp_path / "a.x", table[which]
    if kind == "npy":
        with open(path, "wb") as file:
            np.save(file, colours)
    elif kind == "palette":
        Image.fromarray(colours).convert("P", palette=Image.Palette.ADAPTIVE, colors=4).save(path, format="PNG")
    elif kind == "alpha":
        Image.fromarray(np.dstack([colours, np.full((20, 30), 255, np.uint8)])).save(path, format="PNG")
    else:
        Image.fromarray(colours).save(path, format=kind, **({"lossless": True} if kind == "WEBP" else {}))
    expected = np.array([0, 1, IGNORE, IGNORE])[which]
    np.testing.assert_array_equal(read_label(path, COLOURED), expected)
    np.testing.assert_array_equal(read_label(path, COLOURED, Window(18, 28, 3, 3))[:2, :2], expected[18:, 28:])
    assert (read_label(path, COLOURED, Window(18, 28, 3, 3))[2] == IGNORE).all()


def read_colours(path):
    return read_label(path, COLOURED)


def test_unknown_colours_are_named_with_their_pixels(tmp_path):
    colours = np.zeros((4, 5, 3), np.uint8)
    colours[0, :3] = 128, 64, 2
    path = tmp_path / "a.png"
    Image.fromarray(colours).save(path)
    assert_refused(read_colours, path, "holds the colour (128, 64, 2) in 3 pixels: tiny has neither a class nor void")
    colours[1] = 7, 8, 9
    Image.fromarray(colours).save(path)
    assert_refused(read_colours, path, "the colour (7, 8, 9) in 5 pixels, and 1 further colour:")


def test_colours_that_jpeg_has_changed(tmp_path):
    colours = np.array(COLOURED.label_colours, np.uint8)[noise(20, 30)]
    Image.fromarray(colours).save(tmp_path / "a.jpg")
    assert_refused(read_colours, tmp_path / "a.jpg", "JPEG changes colours: use the original")


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_ids_in_place_of_colours(dtype, tmp_path):
    path = write_png(tmp_path / "a.png", noise(3, 5).astype(dtype))
    assert_refused(read_colours, path, f"has 3x5x1 {dtype} values: expected 8-bit colours in three channels")


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"task": "detection"}, "odd: unknown task 'detection'; known: segmentation, classification"),
        ({"palette": ()}, "odd: 2 classes but 0 palette colours"),
        ({"label_ids": (1, 2, 3)}, "odd: 2 classes but 3 label ids"),
        ({"label_ids": (4, 4)}, "odd: a label id stands for two classes, or for a class and void"),
        ({"label_ids": (4, 5), "void_ids": (5,)}, "odd: a label id stands for two classes, or for a class and void"),
        ({"void_ids": (1,)}, "odd: a label id stands for two classes, or for a class and void"),
        ({"label_colours": ((1, 2, 3),)}, "odd: 2 classes but 1 label colours"),
        ({"label_colours": ((1, 2, 3),) * 2}, "odd: a label colour stands for two classes, or for a class and void"),
        (
            {"label_colours": ((1, 2, 3), (4, 5, 6)), "void_colours": ((4, 5, 6),)},
            "odd: a label colour stands for two classes, or for a class and void",
        ),
    ],
)
def test_a_descriptor_that_contradicts_itself(facts, message):
    settings = {"palette": ((0, 0, 0),) * 2, "splits": {}, "mean": (0.0,), "std": (1.0,), **facts}
    with pytest.raises(ValueError, match=message):
        DatasetSpec("odd", ("a", "b"), **settings)
