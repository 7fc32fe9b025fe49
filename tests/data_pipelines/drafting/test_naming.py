"""Which files belong together by their names, told from lists of names alone."""

from pathlib import Path

import numpy as np
import pytest
from own_data import write_png

from data_pipelines.drafting.naming import File, find_naming, look

NUMBERS = range(12)


def files(names, top="top"):
    paths = [Path(name) for name in names]
    return [File(path.parent.as_posix(), path.stem, path.suffix, Path(top, path)) for path in paths]


def told(naming):
    return [str(affix) for affix in naming.images], str(naming.label)


@pytest.mark.parametrize(
    ("images", "labels", "affixes"),
    [
        ("a{}.png", "a{}.png", (["NAME"], "NAME")),
        ("weed ({}).png", "weed ({}).png", (["NAME"], "NAME")),
        ("a{}.png", "a{}_mask.png", (["NAME"], "NAME_mask")),
        ("day/a{}_rgb.png", "day/a{}.png", (["NAME_rgb"], "NAME")),
        ("img_{:03}.jpg", "mask_{:03}.png", (["img_NAME"], "mask_NAME")),
        ("IMG{}.png", "MSK{}.png", (["IMGNAME"], "MSKNAME")),
        ("red_patch_{}.TIF", "gt_patch_{}.TIF", (["red_NAME"], "gt_NAME")),
        ("{}_training.tif", "{}_manual1.gif", (["NAME_training"], "NAME_manual1")),
        (
            "top_potsdam_2_{}_RGBIR.tif",
            "top_potsdam_2_{}_label_noBoundary.tif",
            (["NAME_RGBIR"], "NAME_label_noBoundary"),
        ),
        ("scene{}/image.png", "scene{}/mask.png", (["NAMEimage"], "NAMEmask")),
        ("scene{}/B02.tif", "scene{}.tif", (["NAMEB02"], "NAME")),
        ("tr{}.jpg", "other{}x.png", (["trNAME"], "otherNAMEx")),
    ],
)
def test_beginnings_and_endings(images, labels, affixes):
    naming = find_naming(files(map(images.format, NUMBERS)), files(map(labels.format, NUMBERS), "labels"))
    assert told(naming) == affixes and not naming.other_images and not naming.other_labels


@pytest.mark.parametrize(
    ("names", "affixes"),
    [
        (["a{}.png", "a{}_mask.png"], (["NAME"], "NAME_mask")),
        (["img_{}.png", "mask_{}.png"], (["img_NAME"], "mask_NAME")),
        (["{}_sat.jpg", "{}_mask.png"], (["NAME_sat"], "NAME_mask")),
        (["p{}.jpg", "p{}.png"], (["NAME.jpg"], "NAME.png")),
        (
            ["T33_{}_B02.tif", "T33_{}_B10.tif", "T33_{}_B9.tif", "T33_{}_label.tif"],
            (["NAME_B02", "NAME_B9", "NAME_B10"], "NAME_label"),
        ),
    ],
)
def test_images_and_labels_in_one_folder(names, affixes):
    there = files(name.format(number) for number in NUMBERS for name in names)
    labels = [file for file in there if file.extension != ".jpg"]
    assert told(find_naming(there, labels)) == affixes


def test_a_file_for_each_band():
    bands = files(f"T33_{number}_{band}.tif" for number in NUMBERS for band in ("B02", "B03", "B8A", "B11"))
    naming = find_naming(bands, files((f"T33_{number}.tif" for number in NUMBERS), "labels"))
    assert told(naming) == (["NAME_B02", "NAME_B03", "NAME_B8A", "NAME_B11"], "NAME")


def test_labels_of_several_kinds_are_told_apart_by_what_their_names_say():
    frames = [f"city/aachen_{number:06}_000019_" for number in NUMBERS]
    images = files(f"{frame}leftImg8bit.png" for frame in frames)
    labels = files(
        (f"{frame}gtFine_{kind}.png" for frame in frames for kind in ("color", "instanceIds", "labelIds")), "gt"
    )
    naming = find_naming(images, labels)
    assert told(naming) == (["NAME_leftImg8bit"], "NAME_gtFine_labelIds")
    assert [str(affix) for affix in naming.other_labels] == ["NAME_gtFine_color", "NAME_gtFine_instanceIds"]


def test_pictures_of_labels_beside_these_are_told():
    labels = files((f"MSK_{number}{end}.png" for number in NUMBERS for end in ("", "_vis")), "labels")
    naming = find_naming(files(f"IMG_{number}.jpg" for number in NUMBERS), labels)
    assert told(naming) == (["IMG_NAME"], "MSK_NAME")
    assert [str(affix) for affix in naming.other_labels] == ["MSK_NAME_vis"]


def test_where_names_do_not_say_it_labels_are_what_holds_fewest_values(tmp_path):
    rng = np.random.default_rng(0)
    for number in NUMBERS:
        write_png(tmp_path / f"P{number:04}.png", rng.integers(0, 255, (8, 8, 3), np.uint8))
        write_png(
            tmp_path / f"P{number:04}_instance_color_RGB.png", rng.integers(0, 2, (8, 8, 1), np.uint8).repeat(3, -1)
        )
        write_png(tmp_path / f"P{number:04}_instance_id_RGB.png", rng.integers(0, 99, (8, 8, 3), np.uint8))
    there = look(tmp_path, {".png"})
    naming = find_naming(there, there)
    assert told(naming) == (["NAME"], "NAME_instance_color_RGB")
    assert [str(affix) for affix in naming.other_labels] == ["NAME_instance_id_RGB"]


def test_previews_beside_the_images_are_no_bands():
    images = files(f"a{number}{end}.png" for number in NUMBERS for end in ("", "_preview"))
    naming = find_naming(images, files((f"a{number}.png" for number in NUMBERS), "labels"))
    assert told(naming) == (["NAME"], "NAME")
    assert [str(affix) for affix in naming.other_images] == ["NAME_preview"]


def test_numbers_tell_images_apart_and_not_kinds():
    names = [f"{kind}/{split}/A_{number}.png" for kind in ("x", "y") for split in ("p", "q") for number in range(3)]
    naming = find_naming(files(names), files(names))
    assert told(naming) == (["NAME"], "NAME")


def test_names_that_have_nothing_in_common():
    naming = find_naming(files(["cat.png", "dog.png"]), files(["one.png", "two.png"], "labels"))
    assert told(naming) == (["NAME"], "NAME")
