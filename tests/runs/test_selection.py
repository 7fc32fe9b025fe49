"""How weights were chosen, from what a run leaves on disk, and the last step's weights beside them."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from inria_folder import make_inria
from kitti_folder import make_kitti
from own_data import edit, make_rgbd
from tensorflow import keras

from data_pipelines import load
from did_tf.runs import checkpoints, manifest, selection
from did_tf.runs.run_folder import RunFolder
from did_tf.runs.selection import Selection
from did_tf.runs.weights import Weights

CONTENT = {"split": "val", "samples": 3, "fingerprint": "abc", "meaning": "m"}


def record(folder, scores, best, steps=20, saved=(), extend=0, validation=CONTENT):
    """A run with validations {step: mIoU} among its logged steps, weights of step `best` and checkpoints `saved`."""
    run = RunFolder(folder)
    run.best.mkdir(parents=True)
    train = {"steps": steps, "extend": extend}
    run.config.write_text(json.dumps({"train": train, "dataset": {"name": "camvid", "val_split": "val"}}))
    run.manifest.write_text(json.dumps({"validation": validation}))
    (run.best / "metrics.json").write_text(json.dumps({"step": best, "miou": scores.get(best, 0.0)}))
    rows = [f"{step},0.5,{scores.get(step, '')}" for step in sorted({1, 2, *scores})]
    run.metrics.write_text("\n".join(["step,loss,val_miou", *rows, ""]))
    for step in saved:
        checkpoints.write(run.checkpoints / f"step_{step:08d}.npz", {"model/kernel": np.zeros(2)})
    return run


def test_the_best_of_several_validations_was_chosen(tmp_path):
    run = record(tmp_path / "run", {10: 0.3, 15: 0.6, 20: 0.5}, 15, saved=(10, 20))
    found = selection.of_run(run)
    assert found == Selection("val", 3, 15, 20, run.checkpoints / "step_00000020.npz")
    assert str(found) == (
        "weights of step 15, the best of 3 validations on val: slightly favourable; the last step is 20"
    )
    assert selection.last_scores(run) == {"miou": 0.5}


def test_where_the_last_is_the_best_it_says_so(tmp_path):
    run = record(tmp_path / "run", {10: 0.3, 20: 0.5}, 20, saved=(20,))
    found = selection.of_run(run)
    assert found.is_last and str(found).endswith("slightly favourable; they are those of the last step")
    assert selection.last_scores(run) == {"miou": 0.5}


def test_a_run_that_has_not_ended_has_no_weights_of_its_last_step(tmp_path):
    run = record(tmp_path / "run", {5: 0.3, 10: 0.2}, 5, saved=(5, 10))
    found = selection.of_run(run)
    assert found.checkpoint is None and str(found).endswith("the last step is 20, of which there are no weights")
    assert selection.last_scores(run) == {}


def test_the_last_step_of_a_run_that_has_ended_early_is_the_one_it_ended_with(tmp_path):
    run = record(tmp_path / "run", {5: 0.3, 10: 0.2}, 5, saved=(5, 10))
    run.end(10, "its time is over (train.hours=1)")
    assert selection.of_run(run) == Selection("val", 2, 5, 10, run.checkpoints / "step_00000010.npz")


def test_the_last_step_of_an_extended_run_is_that_of_its_extension(tmp_path):
    run = record(tmp_path / "run", {20: 0.6, 30: 0.5}, 20, extend=10, saved=(20, 30))
    assert selection.of_run(run) == Selection("val", 2, 20, 30, run.checkpoints / "step_00000030.npz")


@pytest.mark.parametrize("scores", [{}, {20: 0.5}])
def test_without_a_choice_there_is_none(tmp_path, scores):
    assert selection.of_run(record(tmp_path / "run", scores, 20, saved=(20,))) is None
    assert selection.of_run(RunFolder(tmp_path / "nowhere")) is None


@pytest.mark.parametrize(
    "dataset, content, partial, chosen",
    [
        ("camvid", {}, False, True),
        ("camvid", {"split": "test"}, False, False),
        ("camvid", {"split": "test"}, True, False),
        ("kitti_road", {}, False, False),
        ("camvid", {"fingerprint": "other"}, False, False),  # another folder of the same name
        ("camvid", {"fingerprint": "of a part"}, True, True),
    ],
)
def test_they_were_chosen_on_the_samples_of_validation_alone(tmp_path, dataset, content, partial, chosen):
    run = record(tmp_path / "run", {10: 0.6, 20: 0.5}, 10, saved=(20,))
    weights = run.best / "weights.npz"
    assert (selection.of(weights, dataset, {**CONTENT, **content}, partial) is not None) is chosen


def test_other_files_than_the_best_were_not_chosen(tmp_path):
    run = record(tmp_path / "run", {10: 0.6, 20: 0.5}, 10, saved=(20,))
    assert selection.of(run.checkpoints / "step_00000020.npz", "camvid", CONTENT) is None
    assert selection.of(tmp_path / "weights.npz", "camvid", CONTENT) is None
    assert selection.of(Path("/best.npz"), "camvid", CONTENT) is None, "a file in the root has no run"


def test_a_run_from_before_there_was_a_record_of_its_validation(tmp_path):
    run = record(tmp_path / "run", {10: 0.6, 20: 0.5}, 10, validation=None)
    assert selection.of(run.best / "weights.npz", "camvid", CONTENT)
    run.manifest.unlink()
    assert selection.of(run.best / "weights.npz", "camvid", CONTENT)


def test_the_network_has_the_last_weights_while_they_are_scored_averaged_where_there_are_averages(tmp_path):
    image = keras.Input((2,))
    model = keras.Model(image, {"main": keras.layers.Dense(1, name="head")(image)})
    before = [weights.copy() for weights in model.get_weights()]
    state = {name: np.full(v.shape, 7.0, np.float32) for name, v in checkpoints.model_state(model).items()}
    kernel = next(name for name in state if name.endswith("kernel"))
    average = {kernel.replace(checkpoints.MODEL, checkpoints.AVERAGE): np.full((2, 1), 3.0, np.float32)}
    file = tmp_path / "step_00000020.npz"
    checkpoints.write(file, {**state, **average})
    with Selection("val", 2, 10, 20, file).last_weights(model) as digest:
        kernel, bias = model.get_weights()
        assert (kernel == 3).all() and (bias == 7).all() and digest
    for now, was in zip(model.get_weights(), before):
        np.testing.assert_array_equal(now, was)


def test_a_run_that_other_images_were_held_out_for_is_told(tmp_path):
    """What one was trained on may be what the other was held back from."""
    runs = [RunFolder(tmp_path / name) for name in "abcd"]
    for run, found in zip(runs, ("x", "x", "y")):  # the last is from before there was a manifest
        run.folder.mkdir()
        run.manifest.write_text(json.dumps({"validation": {"fingerprint": found}}))
    (line,) = selection.held_out_otherwise(runs)
    assert line.startswith(f"{runs[2].folder} was validated on other images than {runs[0].folder}")
    assert not [*selection.held_out_otherwise(runs[::-1])]


def test_the_step_is_that_of_the_weights_where_a_killed_process_has_not_written_their_scores(tmp_path):
    run = record(tmp_path / "run", {10: 0.3, 20: 0.5}, 10)
    checkpoints.write(run.best / "weights.npz", {"model/kernel": np.zeros(2)}, {"network": {}, "step": 20})
    assert selection.of_run(run).step == 20


# What weights have learnt from

NAMES = [f"scene{number:02d}" for number in range(8)]


def trained_on(data, split, validated=""):
    """`Weights` of a run that was trained, and maybe validated, on splits of the data as they are in the folder now."""
    dataset, run = load("folders", data), RunFolder(data / "run")
    validation = manifest.content(dataset, dataset.samples(validated), validated) if validated else None
    run.folder.mkdir()
    run.manifest.write_text(json.dumps({"validation": validation}))
    samples = [sample for part in split.split("+") for sample in dataset.samples(part)]
    return Weights(run.best / "weights.npz", {"data": manifest.content(dataset, samples, split)})


def told(found, data):
    dataset = load("folders", data)
    return selection.learnt("w", found, dataset, dataset.samples("val"), "val")


def test_images_that_weights_have_learnt_from_are_told(tmp_path):
    data = make_rgbd(tmp_path)
    found = trained_on(data, "train+val")
    assert told(found, data) == "w has learnt 2 of the 2 images: its figures are favourable"
    assert not told(Weights(found.file, None), data), "nothing says what these were trained on"


def test_splits_that_can_not_have_what_is_scored_are_not_listed():
    """To list COCO's for a score on VOC takes minutes and gigabytes, and records of others would be fetched."""
    listed = []
    pairs = ("train", "trainval"), ("val", "trainval")
    dataset = SimpleNamespace(overlapping=pairs, samples=lambda split: listed.append(split) or [split])
    assert selection.sharing(dataset, "train+trainval+coco", "val") == ["trainval"]
    assert selection.sharing(dataset, "train+val", "val") == ["val"]
    assert listed == ["trainval", "val"]


def test_where_the_lists_have_changed_since_it_may_have_learnt_what_is_scored(tmp_path):
    data = make_rgbd(tmp_path)
    found = trained_on(data, "train")
    assert not told(found, data)
    edit(data, splits={"train": NAMES[1:6], "val": [*NAMES[6:], NAMES[0]]})
    assert told(found, data) == (
        "train has other images or labels now than w has learnt from: it may have learnt some of val"
    )


def test_what_a_run_was_validated_on_it_has_not_learnt_whatever_else_has_changed(tmp_path):
    data = make_rgbd(tmp_path, splits={"train": NAMES[:5], "val": NAMES[6:]})
    found = trained_on(data, "train", "val")
    edit(data, splits={"train": NAMES[:6], "val": NAMES[6:]})
    assert not told(found, data)
    edit(data, splits={"train": NAMES[:6], "val": NAMES[7:]})
    assert told(found, data).endswith("it may have learnt some of val")


def test_of_frames_that_were_learnt_in_windows_it_tells_though_they_are_scored_whole(tmp_path):
    make_kitti(tmp_path, frames=5)
    data = load("kitti_road", tmp_path, patch=64, stride=50)

    def told_of(split):
        found = Weights(tmp_path / "run" / "best" / "weights.npz", {"data": {"split": split}})
        return selection.learnt("w", found, data, data.samples("val"), "val")

    assert told_of("trainval").startswith("w has learnt 3 of the 3 images")
    assert not told_of("train")


@pytest.mark.parametrize("trained, seen", [("fifth", 8), ("first_five", 0)])
@pytest.mark.parametrize("now", ["fifth", "first_five"])
def test_a_data_set_that_was_divided_otherwise_for_the_run(tmp_path, trained, seen, now):
    """Of the ten tiles that "first_five" holds out here, "fifth" holds out tyrol-w2 and vienna1.

    `evaluate` has the data set as it is divided now, and `compare` that of each run, and samples of the first.
    """
    make_inria(tmp_path / "data", tiles=(1, 2, 6))
    run = RunFolder(tmp_path / "run")
    run.folder.mkdir()
    options = {"patch": 50, "validation": trained}
    run.config.write_text(json.dumps({"dataset": {"name": "inria_aerial", "options": options}}))
    data, scored = (load("inria_aerial", tmp_path / "data", validation=one) for one in (now, "first_five"))
    found = Weights(run.best / "weights.npz", {"data": {"split": "train"}})
    told_now = selection.learnt("w", found, data, scored.samples("val"), "val")
    assert told_now == (f"w has learnt {seen} of the 10 images: its figures are favourable" if seen else "")


def test_an_image_that_two_splits_have_by_links_is_one(tmp_path):
    data = make_rgbd(tmp_path, splits={"train": NAMES[:5], "val": NAMES[6:]})
    found, dataset = trained_on(data, "train"), load("folders", data)
    (first, *_), samples = dataset.samples("train"), dataset.samples("val")
    samples[0].image.unlink()
    samples[0].image.symlink_to(first.image)
    found.identity["data"].pop("fingerprint")  # it is told by the files alone
    assert selection.learnt("w", found, dataset, samples, "val").startswith("w has learnt 1 of the 2 images")
