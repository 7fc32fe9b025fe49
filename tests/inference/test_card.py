import dataclasses
import json

import exported
import numpy as np
import pytest

from did_tf.common.files import write_json
from did_tf.inference import card
from did_tf.inference.export import Export
from did_tf.inference.formats import FORMATS
from did_tf.runs import checkpoints, weights
from did_tf.runs.run_folder import RunFolder

LITERT = next(form for form in FORMATS if form.folder == "litert_int8")
RESULT = Export(None, 10, 0.02, 0.013, 0.512, 3.0, 4.0)


@pytest.fixture(scope="module")
def gate():
    found = exported.gate(exported.network("fcrn"), size=(33, 33))
    found.score, found.source = 0.515, "images of the data set"
    return found


def test_it_says_what_the_gate_and_the_data_say(gate, tmp_path):
    text = card.text(LITERT, RESULT, gate, RunFolder(tmp_path), "val")
    assert text.startswith("# fcrn, drawn: LiteRT file in int8\n")
    assert "| 2 | c | 8 | #5000af |" in text
    assert "`image`: uint8 [N, height, width, 3]" in text and "Bands: red, green, blue." in text
    assert "mean (127.5, 127.5, 127.5) and deviation" in text
    assert "on images of the data set" in text and "within 0.02, 1.3 % of the labels" in text
    assert "mIoU on split val, whole images: 51.2 % of this file" in text and "51.5 % of the checkpoint" in text


def test_what_nothing_says_is_not_made_up(gate, tmp_path):
    text = card.text(LITERT, RESULT._replace(score=float("nan")), gate, RunFolder(tmp_path), "val")
    for line in ("| command | not recorded |", "| commit | not recorded |", "Licence of the data: not recorded"):
        assert line in text
    assert "did_tf not recorded, commit not recorded" in text
    assert "mIoU of this file: not measured." in text and "best validation" not in text


def test_it_says_what_the_run_says(gate, tmp_path):
    run = RunFolder(tmp_path)
    run.best.mkdir()
    run.evaluation.mkdir()
    data = {"split": "train", "samples": 367, "fingerprint": "f00"}
    made = {"command": ["did_tf train", "--experiment=x"], "experiment": "x", "git_commit": "c0ffee", "data": data}
    run.manifest.write_text(json.dumps({**made, "packages": {"tensorflow": "2.21.0"}}))
    (run.best / "metrics.json").write_text(json.dumps({"step": 800, "miou": 0.5238}))
    report = {"outputs": {"main": {"miou": 0.61}}, "protocol": {"name": "tiles"}}
    (run.evaluation / "test.json").write_text(json.dumps(report))
    for other in ("val_crf.json", "val_calibration.json"):  # which are no reports
        (run.evaluation / other).write_text("{}")
    text = card.text(LITERT, RESULT, gate, run, "val")
    for told in ("split train: 367 images, fingerprint f00", "--experiment=x", "commit | c0ffee", "tensorflow 2.21.0"):
        assert told in text
    assert "best validation in training, step 800: miou 52.4 %" in text
    assert "evaluation/test.json, protocol tiles: miou 61.0 %" in text


def test_scores_of_other_weights_and_of_some_images_alone_are_left_out(gate, tmp_path, monkeypatch):
    run = RunFolder(tmp_path)
    for folder, digest, miou in ((".", "of these", 0.61), ("tiles", "of others", 0.62), ("first_3", "of these", 0.63)):
        (run.evaluation / folder).mkdir(parents=True, exist_ok=True)
        scored = {"outputs": {"main": {"miou": miou}}, "protocol": {"name": "whole"}}
        report = json.dumps({**scored, "identity": {"weights": {"digest": digest}}})
        (run.evaluation / folder / "val.json").write_text(report)
    of_these = dataclasses.replace(gate.network, identity={"weights": {"digest": "of these"}})
    monkeypatch.setattr(gate, "network", of_these)
    text = card.text(LITERT, RESULT, gate, run, "val")
    assert "evaluation/val.json, protocol whole: miou 61.0 %" in text
    assert "62.0" not in text and "63.0" not in text


def test_it_says_which_scores_and_images_are_others(gate, tmp_path, monkeypatch):
    run = RunFolder(tmp_path)
    write_json(run.best / "metrics.json", {"step": 800, "miou": 0.5238})
    write_json(run.config, {"evaluate": {"flip": True}, "dataset": {"options": {"half": True}}})
    of_network = {"name": "fcrn", "dilation": 2, "dropout": 0.1}
    for name, protocol in {
        "flipped": {"flip": True, "turns": True},
        "plain": {"flip": False, "model": {**of_network, "dropout": 0.5}},
        "dilated": {"model": {**of_network, "dilation": 4}},
    }.items():
        scores = {"outputs": {"main": {"miou": 0.61}}, "protocol": {"name": "whole", **protocol}}
        write_json(run.evaluation / f"{name}.json", scores)
    monkeypatch.setattr(gate, "network", dataclasses.replace(gate.network, identity={"network": of_network}))
    text = card.text(LITERT, RESULT, gate, run, "val")
    assert "best validation in training with flip, which this file has not, step 800: miou 52.4 %" in text
    assert "flipped.json, protocol whole with flip and turns, which this file has not: miou 61.0 %" in text
    assert "plain.json, protocol whole: miou 61.0 %" in text and "dilated.json" not in text
    assert "It has learnt from frames at half size" in text


def test_the_best_validation_is_not_of_another_checkpoint(gate, tmp_path, monkeypatch):
    run = RunFolder(tmp_path)
    checkpoints.write(run.best / "weights.npz", {f"{checkpoints.MODEL}a": np.zeros(3, np.float32)})
    write_json(run.best / "metrics.json", {"step": 800, "miou": 0.5238})
    for digest, is_told in ((weights.digest(run.best / "weights.npz"), True), ("of step 900", False)):
        exported_weights = {"weights": {"digest": digest}}
        monkeypatch.setattr(gate, "network", dataclasses.replace(gate.network, identity=exported_weights))
        assert ("best validation in training" in card.text(LITERT, RESULT, gate, run, "val")) == is_told


def test_the_best_validation_is_not_of_a_checkpoint_before_the_weights(gate, tmp_path, monkeypatch):
    """As a process leaves them that is killed between writing the one and the other."""
    run = RunFolder(tmp_path)
    arrays = {f"{checkpoints.MODEL}a": np.zeros(3, np.float32)}
    checkpoints.write(run.best / "weights.npz", arrays, {"network": {"name": "fcrn"}, "step": 600})
    exported_weights = {"weights": {"digest": weights.digest(run.best / "weights.npz")}}
    monkeypatch.setattr(gate, "network", dataclasses.replace(gate.network, identity=exported_weights))
    for step, is_told in ((600, True), (300, False)):
        write_json(run.best / "metrics.json", {"step": step, "miou": 0.5238})
        assert ("best validation in training" in card.text(LITERT, RESULT, gate, run, "val")) == is_told


def test_an_error_of_nothing_is_told(gate, tmp_path):
    run = RunFolder(tmp_path)
    write_json(run.evaluation / "val.json", {"outputs": {"main": {"top1_error": 0.0}}, "protocol": {}})
    assert "protocol centre crops: top1_error 0.0 %." in card.text(LITERT, RESULT, gate, run, "val")


def test_it_says_at_which_temperature_probabilities_are(gate, tmp_path, monkeypatch):
    def told():
        return "Logits are divided by 1.5 for probabilities" in card.text(
            LITERT, RESULT, gate, RunFolder(tmp_path), "val"
        )

    assert not told()
    monkeypatch.setattr(gate, "network", dataclasses.replace(gate.network, temperature=1.5))
    assert told()


def test_uint16_goes_into_litert_as_float32(tmp_path):
    gate = exported.gate(exported.network("fcrn", dtype="uint16"), size=(33, 33))
    assert "`image`: float32 [" in card.text(LITERT, RESULT, gate, RunFolder(tmp_path), "val")


def test_values_of_tiffs_with_a_scale_are_measurements(gate, tmp_path, monkeypatch):
    told = "Pixel values as they are in files (value * scale + offset, where a TIFF has such tags): the"
    assert told not in card.text(LITERT, RESULT, gate, RunFolder(tmp_path), "val")
    spec = dataclasses.replace(gate.network.spec, dtype="float32")
    monkeypatch.setattr(gate, "network", dataclasses.replace(gate.network, spec=spec))
    assert told in card.text(LITERT, RESULT, gate, RunFolder(tmp_path), "val")


@pytest.mark.parametrize(
    "nodata, told", [(-9999999.0, "-9999999"), (-3.4028234663852886e38, "-3.4028234663852886e+38"), (0.0, "0")]
)
def test_the_value_of_no_data_has_all_its_digits(gate, tmp_path, monkeypatch, nodata, told):
    spec = dataclasses.replace(gate.network.spec, dtype="float32", nodata=nodata)
    monkeypatch.setattr(gate, "network", dataclasses.replace(gate.network, spec=spec))
    assert f"\n- {told} stands for no data; a" in card.text(LITERT, RESULT, gate, RunFolder(tmp_path), "val")


def test_it_says_which_class_is_of_which_regions(gate, tmp_path, monkeypatch):
    regions = (("roof", (1, 3)), ("shadow", (2, 3)), ("snow", (4,)))
    spec = dataclasses.replace(gate.network.spec, regions=regions)
    monkeypatch.setattr(gate, "network", dataclasses.replace(gate.network, spec=spec))
    text = card.text(LITERT, RESULT, gate, RunFolder(tmp_path), "val")
    assert "whose regions are the likeliest to be there, and no others:\n" in text
    assert "  none -> a, roof -> b, shadow -> c, snow -> e, roof and shadow -> d.\n" in text
