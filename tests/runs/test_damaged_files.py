"""Files of runs that were cut short or are of something else: one line that names the file."""

import pickle
from contextlib import nullcontext
from unittest.mock import Mock

import pytest

from did_tf.common.errors import ConfigError
from did_tf.runs import checkpoints, results, run_folder, selection
from did_tf.runs.run_folder import RunFolder, check_metrics, read_json, read_metrics

CONFIG = {"dataset": {"val_split": "val"}, "paper": {"split": "test"}}


@pytest.mark.parametrize("content", [b"", b"{", b"\x93\xff\x00", b"[]", b"null", b'{"images": []}'])
def test_json_that_is_none_or_lacks_what_is_asked_for(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"a\.json"):
        read_json(tmp_path / "a.json", "outputs")


@pytest.mark.parametrize("name", ["evaluation/test.json", "evaluation/tiles/val.json", "best/metrics.json"])
@pytest.mark.parametrize(
    "content",
    ["{}", '{"a": 1, "b": 2}', '{"protocol": [], "outputs": {}}', '{"protocol": {}, "outputs": {"main": {}}}'],
)
def test_a_table_names_the_report_that_is_damaged(tmp_path, name, content):
    path = tmp_path / "runs" / "exp" / name
    path.parent.mkdir(parents=True)
    path.write_text(content)
    if name == "best/metrics.json" and content == "{}":  # of a run without validation
        assert results.best("exp", CONFIG, results.MIOU, tmp_path / "runs") is None
        return
    with pytest.raises(ConfigError, match=rf"{name} is damaged"):
        results.best("exp", CONFIG, results.MIOU, tmp_path / "runs")


def test_files_of_a_run_of_which_a_part_is_gone(tmp_path):
    run = RunFolder(tmp_path)
    run.best.mkdir()
    run.config.write_text("{}")
    (run.best / "metrics.json").write_text('{"miou": 0.5}')
    run.metrics.write_text("loss\n0.5\n")
    with pytest.raises(ConfigError, match=r"config\.json is damaged: it has no 'train'"):
        selection.of_run(run)
    assert read_metrics(run.metrics) == []


LOG = "step,loss\n2,0.5\n4,0.4\n6,0.3\n"


@pytest.mark.parametrize(
    "content, wrong",
    [
        (LOG, None),
        (LOG + "8,0.2\n", None),  # beyond the checkpoint
        ("step\n", None),  # given up
        ("step,loss\n4,0.4\n6,0.3\n", None),  # likewise, and gone on
        (None, "is gone, which has the rows of the steps that were made"),
        ("", r"has other columns than this training logs \(none\)"),
        ("2,0.5\n4,0.4\n6,0.3\n", r"has other columns than this training logs \(2, 0\.5\)"),
        ("step,price\n2,0.5\n4,0.4\n6,0.3\n", r"has other columns than this training logs \(step, price\)"),
        ("step,loss\n2,0.5\n4,0.4\n", "has no row of step 6, which was logged"),
        ("step,loss\n2,0.5\n6,0.3\n", "has no row of step 4, which was logged"),
        ("step,loss\n2,0.5\n4,0.4\n6,0.", "has no row of step 6, which was logged"),
        (b"\x93\xff", "is damaged .*utf-8"),
    ],
)
def test_a_log_that_lacks_what_a_training_wrote_is_not_gone_on_with(tmp_path, content, wrong):
    path = tmp_path / "metrics.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=rf"^{path} {wrong}.*: put it back") if wrong else nullcontext():
        check_metrics(path, ["step", "loss", "more"], [2, 4, 6])


@pytest.mark.parametrize(
    "content, told", [(LOG, ""), ("step\n", "has no rows"), ("step,loss\n4,0.4\n6,0.3\n", "begins with step 4")]
)
def test_rows_that_were_given_up_are_told(tmp_path, capsys, content, told):
    path = tmp_path / "metrics.csv"
    path.write_text(content)
    check_metrics(path, ["step", "loss"], [2, 4, 6])
    lacking = f"{path} {told}: those from step 2 on were given up, and curves lack them\n"
    assert capsys.readouterr().out == (lacking if told else "")


def test_a_run_that_begins_has_no_log(tmp_path):
    check_metrics(tmp_path / "metrics.csv", ["step"], [])
    (tmp_path / "metrics.csv").write_text("date,price\nmonday,3\n")
    with pytest.raises(ConfigError, match="has other columns"):
        check_metrics(tmp_path / "metrics.csv", ["step"], [])


@pytest.mark.parametrize("content", ["[]", "3", "null"])
def test_json_of_something_else_is_told_with_what_it_is(tmp_path, content):
    (tmp_path / "best.json").write_text(content)
    with pytest.raises(ConfigError, match="best.json is damaged: it has no map of names to values but .*; delete it"):
        read_json(tmp_path / "best.json")


def test_a_log_is_read_once(tmp_path, monkeypatch):
    (tmp_path / "metrics.csv").write_text(LOG)
    read = Mock(wraps=run_folder._read_metrics)
    monkeypatch.setattr(run_folder, "_read_metrics", read)
    check_metrics(tmp_path / "metrics.csv", ["step", "loss"], [2, 4, 6])
    assert read.call_count == 1


def test_the_first_row_of_a_log_is_looked_for_once(tmp_path, monkeypatch):
    """And not for each step, which are hundreds of thousands."""
    (tmp_path / "metrics.csv").write_text(LOG)
    least = Mock(wraps=min)
    monkeypatch.setattr(run_folder, "min", least, raising=False)
    check_metrics(tmp_path / "metrics.csv", ["step", "loss"], [2, 4, 6])
    assert least.call_count == 1


@pytest.mark.parametrize("content", ['{"draws": 1, "data": 3}', '{"draws": 1, "data": {}, "continued": 3}', "[]", "{"])
def test_a_manifest_that_says_nonsense_is_named(tmp_path, content):
    run = RunFolder(tmp_path)
    run.manifest.write_text(content)
    now = {"draws": 1, "seed": 0, "replicas": 1, "devices": ["cpu"], "packages": {}, "git_commit": None}
    now.update(data={"classes": ["a"]}, validation=None, class_weights=None)
    with pytest.raises(ConfigError, match=r"manifest\.json is .*; put it back as it was, or use another --run=dir$"):
        run.check({}, now)


@pytest.mark.parametrize("content", [b"root:x:0:0", pickle.dumps({"model/kernel": 1})])
def test_nobody_is_advised_to_trust_a_pickle(tmp_path, content):
    (tmp_path / "w.npz").write_bytes(content)
    with pytest.raises(checkpoints.Damaged, match="cannot read checkpoint .*w.npz: it is no .npz file of arrays$"):
        checkpoints.read(tmp_path / "w.npz")
