"""What tables of trainings at a small budget say of runs that have ended before."""

import json

from benchmarks import small_budget, trainings
from did_tf.common.files import write_json
from did_tf.runs.run_folder import RunFolder


def ended(folder, *commits, data="data"):
    """A run of these commits, the last of which went on with it."""
    run = RunFolder(folder)
    made = [
        {"git_commit": commit, "machine": {"system": f"{commit}OS", "cores": 2}, "packages": {"did_tf": commit}}
        for commit in commits
    ]
    write_json(run.best / "metrics.json", {"step": 10, "miou": 0.5})
    write_json(run.config, {"dataset": {"folder": str(data)}})
    write_json(run.manifest, {**made[0], "continued": made[1:]})
    run.metrics.write_text("step,images_per_second\n5,3.0\n10,5.0\n")
    return folder


def test_a_table_says_what_each_run_was_made_with(tmp_path):
    runs = [small_budget.scores(ended(tmp_path / name, *name)) for name in ("a", "ab")]
    assert [one["git_commit"] for one in runs[1]["made"]] == ["a", "b"]
    lines = ["| x | " + " | ".join(small_budget.figures(runs, runs)) + " |"]
    small_budget.write(tmp_path, "10steps", ["way"], lines, runs, rows=runs)
    above = (tmp_path / "table.md").read_text().split("\n\n")[0].splitlines()
    assert above == [
        "did_camvid_quick, 10steps each  ",
        "aOS, 2 cores, commit a; did_tf a  ",
        "bOS, 2 cores, commit b; did_tf b  ",
    ]
    written = json.loads((tmp_path / "table.json").read_text())
    assert "machine" not in written and written["rows"][0]["images_per_second"] == 4


def test_a_run_that_has_ended_on_other_data_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(trainings, "train", None)
    monkeypatch.chdir(tmp_path)
    run = ended(tmp_path / "run", "a")
    small_budget.train(run, tmp_path / "data", {})
    assert not capsys.readouterr().out
    small_budget.train(run, "other", {})
    assert capsys.readouterr().out == f"note: {run} has ended, on data and not other: delete it to have it made anew\n"
