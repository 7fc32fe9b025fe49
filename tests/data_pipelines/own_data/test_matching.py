"""A user's own data: how files find each other."""

import numpy as np
import pytest
from own_data import complaint, edit, names_of, write_png

from data_pipelines import load


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


def test_a_folder_that_is_linked_beside_itself_is_called_by_its_own_name(plain):
    """Whatever order the disk gives: with so many links the folder itself is hardly ever its first."""
    folder = plain(["x/a"])
    for number in range(20):
        (folder / "images" / f"again{number}").symlink_to(folder / "images" / "x")
    assert names_of(load("folders", folder), "train") == ["x/a"]


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
    assert complaint(folder).endswith("looked for .bmp .gif .npy .pgm .png .ppm .tif .tiff, and there is .jpg")


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
