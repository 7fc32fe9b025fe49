"""Several formats at once, with formats that need no package: writers of this file, run in this process."""

import json
import math
import os

import exported
import numpy as np
import pytest
import tiny
from program import launch_here
from served_here import ServedHere

from did_tf import wiring
from did_tf.inference import alone, export, exports
from did_tf.inference.formats import SAVED_MODEL, Format, tensorflow_model


def wrong(network, folder, precision):
    tensorflow_model.write(exported.shaken(network), folder, precision)


def fail(network, folder, precision):
    raise ValueError("no")


GOOD = SAVED_MODEL
FAILING = Format("saved_model", "bfloat16", "SavedModel", "TensorFlow", "saved_model.pb", fail)
WRONG = Format("saved_model", "float16", "SavedModel", "TensorFlow", "saved_model.pb", wrong)
MISSING = Format("onnx", "float32", "ONNX file", "ONNX Runtime", "network.onnx", wrong, ("no_such_package",))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """(folder, rows, gate, what went to stderr) of three formats, of which one is right."""
    folder = tmp_path_factory.mktemp("exports")
    network = exported.network("fcrn")
    gate = exported.gate(network, lambda probabilities: float(probabilities(np.zeros((1, 20, 20, 3), "uint8")).mean()))
    gate.score = 0.9

    def card(form, result):
        return f"card of {form.title}"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "Served", ServedHere)
        rows = exports.write_all([GOOD, WRONG, MISSING], gate, folder, card, "val (first 2 images)")
    return folder, rows, gate


def test_one_that_is_refused_does_not_stop_the_others(written):
    folder, rows, _ = written
    assert [row.result is None for row in rows] == [False, True, True]
    assert rows[1].refused == "the SavedModel in float16 differs from the model: mIoU 20.0 in place of 90.0 %"
    assert rows[2].refused.endswith("[onnx]'")
    assert {path.name for path in folder.iterdir()} == {"saved_model", "formats.json", "formats.md"}
    assert (folder / "saved_model" / "MODEL_CARD.md").read_text() == "card of SavedModel"


def test_the_table_says_what_each_takes(written):
    _, rows, gate = written
    heads, checkpoint, good, *refused = exports.table(rows, gate)
    assert heads[:5] == ["format", "MB", "mIoU, %", "ms per image", "memory, MB"]
    assert checkpoint[2] == "90.0" and good[2:5] == ["20.0", "500", "7"]
    assert [row[:2] for row in refused] == [["saved_model_float16", "refused"], ["onnx", "refused"]]
    assert len({len(row) for row in (heads, checkpoint, good, *refused)}) == 1


def test_the_files_say_it_too(written):
    folder, rows, _ = written
    told = json.loads((folder / "formats.json").read_text(), parse_constant=pytest.fail)
    assert told["checkpoint"] == {"score": 0.9} and told["image"] == [72, 101] and told["score"] == "miou"
    assert (told["weights"], told["split"]) == ("d", "val (first 2 images)")
    good, *refused = told["formats"]
    assert good["milliseconds"] == 500 and good["bytes"] == rows[0].result.bytes and good["refused"] is None
    assert [entry["refused"] for entry in refused] == [row.refused for row in rows[1:]]
    lines = (folder / "formats.md").read_text().splitlines()
    assert lines[0].startswith("| format | MB") and lines[1] == "|---" * 7 + "|"
    assert lines[-1] == f"onnx was refused: {rows[2].refused}"
    assert "Of the weights with digest d, scored on val (first 2 images)." in lines


def test_cores_are_those_that_the_process_may_use(written, monkeypatch):
    _, rows, gate = written
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0}, raising=False)
    assert exports._report(rows, gate, "")["machine"]["cores"] == alone._cores() == 1


def test_what_was_not_measured_is_no_number():
    result = export.Export(None, 10, 0.0, 0.0, math.nan, math.nan, math.nan)
    assert exports._entry(exports.Row(GOOD, result))["score"] is None
    assert exports._cells(exports.Row(GOOD, result))[2:5] == ["not measured", "-", "-"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = tiny.config()
    model = wiring.make_model(config, wiring.make_dataset(config).spec)
    return tiny.save_run(tmp_path_factory.mktemp("run"), config, model)


def test_command_writes_several_and_its_status_says_whether_one_was_refused(run, monkeypatch):
    monkeypatch.setattr(export, "Served", ServedHere)
    monkeypatch.setattr("did_tf.inference.formats.FORMATS", (GOOD, FAILING))
    done = launch_here("export", "--experiment=did_synthetic", f"--run={run.folder}", "--format=all", "--limit=2")
    assert done.returncode == 1
    assert "refused: saved_model_bfloat16: the network can't be written as SavedModel" in done.stderr
    assert done.stderr.splitlines()[-1] == "error: 1 of 2 formats were refused, see above: saved_model_bfloat16"
    assert "checkpoint" in done.stdout and {path.name for path in (run.folder / "exports").iterdir()} == {
        *("saved_model", "formats.json", "formats.md"),
    }
    assert json.loads((run.folder / "exports" / "formats.json").read_text())["split"] == "val (first 2 images)"
    card = (run.folder / "exports" / "saved_model" / "MODEL_CARD.md").read_text()
    assert "mIoU on split val (first 2 images), whole images" in card


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--format=onx"], "--format must be of"),
        (["--format=litert", "--precision=bfloat16"], "--format=litert has the precisions float32, float16, int8"),
    ],
)
def test_a_flag_that_is_no_good_ends_it_before_anything_is_loaded(flags, told, run):
    done = launch_here("export", "--experiment=did_synthetic", f"--run={run.folder}", *flags)
    assert done.returncode == 2 and told in done.stderr and "weights from" not in done.stdout
