"""Files of runs that were cut short or are of something else: one line that names the file."""

import pickle

import pytest

from did_tf.common.errors import ConfigError
from did_tf.runs import checkpoints, results, selection
from did_tf.runs.run_folder import RunFolder, read_json, read_metrics

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
