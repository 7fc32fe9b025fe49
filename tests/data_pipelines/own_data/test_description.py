"""A user's own data: the keys of dataset.yaml."""

import pytest
from own_data import complaint, describe, edit

from data_pipelines import DataError, load, spec_of
from data_pipelines.own_data.description import read_description
from data_pipelines.own_data.parsing import parse


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


def test_paths_from_the_users_own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    text = """
    images: ~/a
    labels: ~/{b,c}/d
    classes: [e]
    extras: [{folder: ~/f, bands: 1}, {folder: ~g, bands: [h]}]
    pseudo: {images: ~/i, labels: ../~/j}
    splits: {train: ~/train.txt, val: [~/k]}
    """
    (tmp_path / "dataset.yaml").write_text(text.replace("\n    ", "\n"))
    found, home = read_description(tmp_path), tmp_path / "home"
    assert [part.folder for part in found.parts] == [home / "a", home / "f", tmp_path / "~g"]
    assert found.labels == home / "{b,c}" / "d"
    assert (found.pseudo.images, found.pseudo.labels) == (home / "i", tmp_path / ".." / "~" / "j")
    assert dict(found.splits) == {"train": str(home / "train.txt"), "val": ("~/k",)}


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
    assert f"no dataset.yaml in {tmp_path}: `did_tf describe-data --images=dir --labels=dir --folder=" in complaint(
        tmp_path
    )
    with pytest.raises(DataError, match="no dataset.yaml in .*pass --data=dir .with .*--folder=dir"):
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
        ({"classes": ["a", "b\nc"]}, "classes: 'b\\nc' has '\\n', which can't stand in a line of text: write it"),
        ({"classes": {"0": "\ud83d\ude00", "1": "b"}}, "classes: '\\ud83d\\ude00' has '\\ud83d', which can't stand in"),
        ({"classes": ["a"], "rest": "a\u2028"}, "rest: 'a\\u2028' has '\\u2028', which can't stand in"),
        ({"bands": ["red", "\x1b[31mx"]}, "bands: '\\x1b[31mx' has '\\x1b', which can't stand in"),
        ({"regions": {"a\tb": ["a"]}}, "regions: 'a\\tb' has '\\t', which can't stand in"),
        ({"classes": ["a", "b", "a"]}, "classes: 'a' stands there twice"),
        ({"classes": {"1": "a", "x": "b"}}, "classes: 'x' is no id"),
        ({"classes": {"1": "a", "65536": "b"}}, "id 65536 is not in 0..65535"),
        ({"classes": [str(n) for n in range(256)]}, "256 classes: there can be 255 at most"),
        ({"void": 255}, "void must be a list, or others, got 255"),
        ({"void": [2]}, "the ids of classes and void: 2 stands there twice"),
        ({"void": [0.5]}, "void: 0.5 is no id"),
        ({"palette": {"grond": [0, 0, 0]}}, "palette names 'grond', which is no class, did you mean 'ground'"),
        ({"palette": {"ground": [0, 0, 256]}}, "palette.ground must be a colour [red, green, blue] of 0 to 255"),
        ({"palette": {"ground": [0, 0]}}, "palette.ground must be a colour"),
        ({"labels_hold": "colors"}, "must be one of ids, colours, masks, shapes, got 'colors', did you mean 'colours'"),
        ({"labels_hold": "colours", "palette": {"ground": [1, 2, 3]}}, "class 'water' has no colour in palette"),
        ({"labels_hold": "colours", "classes": {"1": "a"}}, "classes has ids, but labels_hold is colours"),
        ({"dtype": "int16"}, "dtype must be one of uint8, uint16, float32, got 'int16', did you mean 'uint16'"),
        ({"bands": 0}, "bands must be 1 or more"),
        ({"bands": ["a", "a"]}, "bands: 'a' stands there twice"),
        ({"extras": {"folder": "x"}}, "extras must be a list"),
        ({"extras": [{"folder": "x"}]}, "key 'extras[0].bands' is missing"),
        ({"extras": [{"folder": "x", "bands": 1, "type": 1}]}, "unknown key 'extras[0].type'"),
        ({"extras": ["x"]}, "extras[0] must be a map"),
        ({"label_suffix": None, "image_suffix": "a/b"}, "image_suffix must be what begins or ends the names"),
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
        ({"group": 3}, "group must be 'folder', 'region' or a regular expression"),
        ({"group": "region"}, "group is 'region', but no patch: say how large the windows are"),
        ({"overlap": 8}, "overlap is set, but no patch"),
        ({"patch": 0}, "patch must be a number of pixels or [height, width], got 0"),
        ({"patch": [64]}, "patch must be a number of pixels or [height, width], got [64]"),
        ({"patch": True}, "patch must be a number of pixels or [height, width], got True"),
        ({"patch": [64, 32], "overlap": 32}, "overlap is 32, which is no less than patch [64, 32]: lower it"),
        ({"patch": 64, "overlap": -1}, "overlap must be a whole number of pixels, got -1"),
        ({"label_prefix": "a/b"}, "label_prefix must be "),
        ({"splits": "folder"}, "{train: folder, val: folder}, got 'folder'"),
        ({"group": "("}, "group is no regular expression: "),
    ],
)
def test_every_key_is_checked(tmp_path, changes, told):
    describe(tmp_path, 4)
    edit(tmp_path, **changes)
    line = complaint(tmp_path)
    assert line.startswith(f"{tmp_path / 'dataset.yaml'}: ") and told in line


def test_words_of_yaml_that_are_text(tmp_path):
    text = "images: a\nlabels: b\nclasses: [yes, no, on, Off, y, 2024-01-31]\nsplits: {train: [n, 008]}"
    (tmp_path / "dataset.yaml").write_text(text)
    found = read_description(tmp_path)
    assert found.classes == ("yes", "no", "on", "Off", "y", "2024-01-31")
    assert found.splits == {"train": ("n", "008")}


@pytest.mark.parametrize("number", ["010", "0x10", "0b11", "1_000", "1:30", "1:30.5", "1_0.5", "-07"])
def test_numbers_that_yaml_reads_as_others(number, tmp_path):
    """By YAML 1.1, 010 is 8, and 1:30 is 90."""
    (tmp_path / "dataset.yaml").write_text(f"images: a\nlabels: b\nclasses: {{7: a}}\nnodata: {number}\n")
    assert f"line 4 has {number}, which YAML reads as another number" in complaint(tmp_path)
    (tmp_path / "dataset.yaml").write_text(f"images: a\nlabels: b\nclasses: {{{number}: a}}\n")
    assert f"line 3 has {number}, which YAML reads as another number" in complaint(tmp_path)


@pytest.mark.parametrize("text", ["0", "-1", "+7", "1.5", "-3.4e+38", ".nan", "-.inf", ".5"])
def test_plain_numbers_are_read(text, tmp_path):
    (tmp_path / "a.yaml").write_text(f"a: {text}")
    expected = float(text.replace(".nan", "nan").replace(".inf", "inf"))
    assert repr(float(parse(tmp_path / "a.yaml")["a"])) == repr(expected)


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
