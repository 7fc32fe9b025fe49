import errno
import json
import os
from types import SimpleNamespace

import pytest

import did_tf
from data_pipelines import DatasetSpec
from data_pipelines.writing import beside
from did_tf.common.errors import ConfigError
from did_tf.inference import folder
from did_tf.inference.folder import Predictions

SPEC = DatasetSpec("two", ("a", "b"), ((9, 9, 9), (0, 9, 0)), {}, (0.0,) * 3, (1.0,) * 3, label_ids=(7, 300))
SAME = {"weights": "abc", "scales": (1.0,)}


def opened(folder, depends=SAME, names=("day/x", "y")):
    return Predictions(folder, depends, SPEC, names)


def write(predictions, name="day/x", content="1", kinds=("label", "color")):
    with predictions.writing(name, content) as place:
        for kind in kinds:
            (place / f"{name}_{kind}.png").parent.mkdir(parents=True, exist_ok=True)
            (place / f"{name}_{kind}.png").write_text(f"{content} {kind}")


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_what_is_done_is_known_to_the_next_process(tmp_path):
    with opened(tmp_path) as first:
        write(first)
    assert files(tmp_path) == {"day/x_label.png", "day/x_color.png", "legend.png", "predictions.json"}
    again = opened(tmp_path)
    assert again.has("day/x", "1", ["label", "color"])
    assert not again.has("y", "1", ["label"])
    assert not again.has("day/x", "2", ["label"]), "the image is another"
    assert not again.has("day/x", "1", ["label", "probabilities"]), "more is wanted"
    (tmp_path / "day" / "x_color.png").unlink()
    assert not again.has("day/x", "1", ["label"]), "a file is missing"


def test_what_was_made_in_another_way_is_not_taken_for_done(tmp_path, monkeypatch):
    """As by an older version, whose results don't stay beside those of now."""
    with opened(tmp_path) as first:
        write(first)
        write(first, name="y")
    monkeypatch.setattr(folder, "RESULTS", folder.RESULTS + 1)
    monkeypatch.setattr(did_tf, "__version__", "999")
    with opened(tmp_path) as again:
        assert not again.has("day/x", "1", ["label"])
        write(again, kinds=("label",))
        assert again.has("day/x", "1", ["label"])
    assert "day/x_color.png" not in files(tmp_path)
    record = json.loads((tmp_path / "predictions.json").read_text())
    assert "did_tf" not in record and record["images"]["day/x"]["did_tf"] == "999" != record["images"]["y"]["did_tf"]


def test_of_an_older_record_each_image_keeps_what_has_made_it(tmp_path):
    with opened(tmp_path) as first:
        write(first)
    record = json.loads((tmp_path / "predictions.json").read_text())
    del record["images"]["day/x"]["results"], record["images"]["day/x"]["did_tf"]
    (tmp_path / "predictions.json").write_text(json.dumps({**record, "did_tf": "0.1.0"}))
    with opened(tmp_path) as again:
        assert not again.has("day/x", "1", ["label"])
    assert json.loads((tmp_path / "predictions.json").read_text())["images"]["day/x"]["did_tf"] == "0.1.0"


def test_images_without_files_are_never_done(tmp_path):
    with opened(tmp_path) as first:
        write(first, content="")
    assert not opened(tmp_path).has("day/x", "", ["label"])


def test_an_image_is_there_wholly_or_not_at_all(tmp_path):
    with opened(tmp_path) as predictions:
        write(predictions)
        with pytest.raises(RuntimeError), predictions.writing("y", "1") as place:
            place.mkdir()
            (place / "y_label.png").touch()
            raise RuntimeError
    assert files(tmp_path) == {"day/x_label.png", "day/x_color.png", "legend.png", "predictions.json"}
    assert not opened(tmp_path).has("y", "1", [])


def test_results_are_on_the_disk_before_they_are_in_their_places(tmp_path, monkeypatch):
    def broken(descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    predictions = opened(tmp_path)
    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="cannot write: Input/output error: '.*day/x_label.png'"):
        write(predictions, kinds=("label",))
    assert files(tmp_path) == {"legend.png", "predictions.json"}
    assert not predictions.has("day/x", "1", ["label"])


def test_results_of_what_an_image_was_before_are_removed(tmp_path):
    with opened(tmp_path) as predictions:
        write(predictions, kinds=("label", "color", "probabilities"))
        write(predictions, content="2", kinds=("label",))
        assert (tmp_path / "day" / "x_label.png").read_text() == "2 label"
        assert files(tmp_path / "day") == {"x_label.png"}
        assert not predictions.leave_out("day/x", "damaged", "3")
        assert not files(tmp_path / "day")
    assert json.loads((tmp_path / "predictions.json").read_text())["damaged"] == {"day/x": "damaged"}


def test_results_of_an_image_that_is_as_it_was_stay_where_it_is_left_out(tmp_path):
    with opened(tmp_path) as predictions:
        write(predictions, "y", kinds=("label",))
        assert predictions.leave_out("y", "there is no memory for it", "1")
        assert predictions.leave_out("y", "it can't be read"), "and nobody knows what it is now"
        assert not predictions.leave_out("day/x", "damaged", "1")
    assert opened(tmp_path).has("y", "1", ["label"])


@pytest.mark.parametrize("order", [1, -1])
def test_another_engine_adds_to_what_is_there(tmp_path, order):
    told = [{"engine": "tensorflow"}, {"engine": "openvino", "openvino": "9.9"}][::order]
    for computed, kind in zip(told, ("label", "margin")):
        with Predictions(tmp_path, SAME, SPEC, ["y"], lambda computed=computed: computed) as predictions:
            write(predictions, "y", kinds=(kind,))
    assert {"y_label.png", "y_margin.png"} <= files(tmp_path)
    entry = json.loads((tmp_path / "predictions.json").read_text())["images"]["y"]
    assert {key: entry.get(key) for key in told[1]} == told[1] and ("openvino" in entry) == ("openvino" in told[1])


def test_what_was_left_half_written_is_removed(tmp_path):
    left = beside(tmp_path / "results").with_suffix(".1.partial")  # of another process
    left.mkdir()
    (left / "y_label.png").touch()
    with opened(tmp_path) as predictions:
        write(predictions)
    assert not [*tmp_path.rglob("*.partial")]


def test_counts_are_known_to_the_next_process_and_must_be_there_for_each_image(tmp_path):
    with opened(tmp_path) as first:
        for name, counts in (("day/x", [[5, 3], [4, 0]]), ("y", [[1, 1], [0, 1]])):
            with first.writing(name, "1"):
                first.count(name, counts)
    assert opened(tmp_path).counted(["day/x", "y", "unread"], 2).tolist() == [[6, 4], [4, 1]]
    with opened(tmp_path) as again:
        write(again, "z")
    with pytest.raises(ConfigError, match="predictions.json is damaged: .*delete it, or pass another --output=dir"):
        opened(tmp_path).counted(["day/x", "z"], 2)


@pytest.mark.parametrize("seconds, times", [(6, 2), (0.1, 4)])
def test_a_record_that_takes_long_is_written_seldom(tmp_path, monkeypatch, seconds, times):
    """It names every image that there is, and would else be written with each; images here take two seconds."""
    now, written = [0.0], []

    def write_slowly(*given):
        now[0] += seconds
        written.append(given)

    monkeypatch.setattr(folder, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(folder, "write_json", write_slowly)
    with opened(tmp_path) as predictions:
        for number in range(6):
            now[0] += 2
            write(predictions, str(number), kinds=("label",))
    assert len(written) == times and len(written[-1][1]["images"]) == 6


def test_results_of_other_weights_are_not_mixed_in(tmp_path):
    with opened(tmp_path) as first:
        write(first)
    before = (tmp_path / "predictions.json").read_text()
    with pytest.raises(ConfigError, match="holds results of other weights or settings .*pass another --output=dir"):
        opened(tmp_path, {**SAME, "weights": "def"})
    assert (tmp_path / "predictions.json").read_text() == before
    with opened(tmp_path, json.loads(json.dumps(SAME))) as again:
        assert again.has("day/x", "1", ["label"]), "tuples are lists in JSON"


def test_settings_of_a_folder_without_results_may_change(tmp_path):
    opened(tmp_path)
    opened(tmp_path, {**SAME, "weights": "def"})


@pytest.mark.parametrize("name", ["y_label.png", "y_color.tif", "day/x_polygons.geojson", "legend.png"])
def test_files_that_nobody_knows_are_not_overwritten(tmp_path, name):
    (tmp_path / "day").mkdir()
    (tmp_path / name).write_text("mine")
    with pytest.raises(ConfigError, match=f"holds {name}, which would be overwritten, and no predictions.json says"):
        opened(tmp_path)
    assert (tmp_path / name).read_text() == "mine"


def test_files_that_are_called_otherwise_may_be_there(tmp_path):
    for name in ("y_labels.png", "z_label.png", "y.png"):
        (tmp_path / name).touch()
    opened(tmp_path)


def test_other_kinds_of_the_same_image_stay(tmp_path):
    with opened(tmp_path) as predictions:
        write(predictions, kinds=("label", "color"))
    with opened(tmp_path) as predictions:
        write(predictions, kinds=("label", "margin"))
        assert files(tmp_path / "day") == {"x_label.png", "x_color.png", "x_margin.png"}
        assert predictions.has("day/x", "1", ["label", "color", "margin"])
        with predictions.writing("day/x", "1") as place:
            (place / "day").mkdir(parents=True)
            (place / "day" / "x_label.tif").touch()
        assert files(tmp_path / "day") == {"x_label.tif", "x_color.png", "x_margin.png"}
        with predictions.writing("day/x", "1", protocol="tiles"):
            pass
        assert not files(tmp_path / "day"), "these went by another protocol"


def test_a_record_that_is_none_is_named(tmp_path):
    (tmp_path / "predictions.json").write_text("[]")
    with pytest.raises(ConfigError, match="predictions.json"):
        opened(tmp_path)


def test_the_record_says_what_ids_mean(tmp_path):
    opened(tmp_path)
    told = json.loads((tmp_path / "predictions.json").read_text())
    assert [(entry["id"], entry["name"], entry["color"]) for entry in told["classes"]] == [
        (7, "a", [9, 9, 9]),
        (300, "b", [0, 9, 0]),
    ]
    assert told["void"] == {"id": 255, "color": [0, 0, 0]} and told["depends"]["weights"] == "abc"
