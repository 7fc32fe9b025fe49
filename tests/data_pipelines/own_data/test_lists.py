"""List files of a user's own data: lines of many kinds mean the right images, or are refused by name and line."""

from pathlib import Path

import pytest
from own_data import complaint, edit, names_of

from data_pipelines import load
from data_pipelines.own_data import lists
from data_pipelines.own_data.parts import Part


def listed(folder, text, place="train.txt", **keys):
    """Names of the split whose list holds this text (or bytes)."""
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    edit(folder, splits={"train": place}, **keys)
    return names_of(load("folders", folder), "train")


@pytest.mark.parametrize(
    "text",
    [
        "night/d\nday/a\n",
        "\ufeffnight/d.png\r\n\r\n# of June\r\n  day/a.png\r\n",
        "images/night/d.png\nimages/day/a.png",
        "./images/night/d.png\n./images/day/a.png",
        "images\\night\\d.png\nimages\\day\\a.JPG\n",
        "/home/someone/photos/night/d.png\n/home/someone/photos/day/a.png\n",
        "C:\\data\\night\\d.png\r\nC:\\data\\day\\a.png\r\n",
        "{folder}/images/night/d.png\n{folder}/images/day/a.png\n",
        "night/d day/a\n".replace(" ", "\n"),
        "images/night/d.png labels/night/d.png\nimages/day/a.png labels/day/a.png\n",
        "images/night/d.png\tlabels/night/d.png\nimages/day/a.png\tlabels/day/a.png\n",
        "images/night/d.png, labels/night/d.png\nimages/day/a.png, labels/day/a.png\n",
        "image,mask\nimages/night/d.png,labels/night/d.png\nimages/day/a.png,labels/day/a.png\n",
        "images/night/d.png|labels/night/d.png\r\nimages/day/a.png|labels/day/a.png\r\n",
        '"night/d.png";"night/d.png"\n"day/a.png";"day/a.png"\n',
        "/x/train/night/d.png /x/trainannot/night/d.png\n/x/train/day/a.png /x/trainannot/day/a.png",
    ],
)
def test_a_list_however_it_is_written(plain, text):
    folder = plain(["a", "b c", "day/a", "night/d"])
    assert listed(folder, text.replace("{folder}", str(folder))) == ["night/d", "day/a"]


def test_of_a_long_path_no_more_beginnings_are_tried_than_may_be_left_out(monkeypatch):
    """Each takes as long as the path is: a line of 20 kB took half a second, found by fuzzing."""
    name_of, tried = lists._name, []
    monkeypatch.setattr(lists, "_name", lambda parts, files: tried.append(parts) or name_of(parts, files))
    files = lists.Files(Part(Path("images"), "", (), ""), {name: Path(name) for name in ("a", "day/c")})
    deep = "/disk" * 1000
    assert lists.meant([f"{deep}/day/c", f"{deep}/images/a"], files, []) == [None, None]
    assert lists.meant([f"{deep}/images/day/c", f"{deep}/images/a"], files, []) == ["day/c", "a"]
    assert len(tried) < 20


def test_paths_from_the_list_and_from_the_description(plain):
    folder = plain(["a", "b"])
    assert listed(folder, "../../images/b.png\n", "lists/of/train.txt") == ["b"]
    assert listed(folder, "images/b.png\nimages/a.png\n", "lists/train.txt") == ["b", "a"]


def test_names_with_spaces(plain):
    folder = plain(["a (1)", "c d"])
    assert listed(folder, "a (1)\nc d.png\n") == ["a (1)", "c d"]
    assert listed(folder, "images/c d.png labels/c d.png\nimages/a (1).png labels/a (1).png\n") == ["c d", "a (1)"]


def test_bare_names_of_a_list_like_that_of_voc(plain):
    assert listed(plain(["2007_000032", "2007_000039"]), "2007_000039\n2007_000032\n") == ["2007_000039", "2007_000032"]


def test_lists_of_files_with_prefix_and_suffix(plain):
    folder = plain(["img_1_rgb", "img_2_rgb"], labels=["1_mask", "2_mask"])
    keys = {"image_prefix": "img_", "image_suffix": "_rgb", "label_suffix": "_mask"}
    assert listed(folder, "images/img_2_rgb.png labels/2_mask.png\n", **keys) == ["2"]
    assert listed(folder, "2\n1\n", **keys) == ["2", "1"]


def test_what_stands_for_the_images_of_another_disk_is_told(plain, capsys):
    folder = plain(["a", "b"])
    assert listed(folder, "/other/photos/a.png\n/other/photos/b.png\n") == ["a", "b"]
    assert "splits.train: /other/photos is taken for " in capsys.readouterr().err
    assert listed(folder, "/other/images/a.png\n") == ["a"]
    assert "taken for" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "/other/day/a.png\n/other/night/a.png\n",
            "train.txt line 1 is no image with a label: '/other/day/a.png' (nor",
        ),
        ("a\n/other/b.png\n", "train.txt line 2 is no image with a label: '/other/b.png'"),
        ("/other/night/a.png\n", "train.txt line 1 is no image with a label: '/other/night/a.png'"),
        ("a\n\n# more\nx.png\n", "train.txt line 4 is no image with a label: 'x.png'"),
        ("a\nb\na.png\n", "train.txt line 3 names 'a', as "),
        (
            "a.png b.png\nb.png a.png",
            "train.txt line 1 pairs image 'a' with 'b.png', which is not its label by their names",
        ),
        ("other,label\na.png,a.png", "train.txt line 1 is no image with a label: 'other'"),
        ("a.png a.png 1\n", "train.txt line 1 pairs image 'a' with 'a.png 1', which is not"),
        ("# nothing\n", "train.txt is empty"),
    ],
)
def test_a_line_that_means_nothing(plain, text, told):
    folder = plain(["a", "b", "deep/c"])
    (folder / "train.txt").write_text(text)
    edit(folder, splits={"train": "train.txt"})
    assert told in complaint(folder)
