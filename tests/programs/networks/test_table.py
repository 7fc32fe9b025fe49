"""`make table`: what it computes, which results it finds on disk, and what it says where there are none."""

import csv
import json
import sys
import types

import numpy as np
import program
import pytest
from absl.testing import flagsaver

from did_tf import models, wiring
from did_tf.analysis import cost, measures
from did_tf.programs import cli
from did_tf.programs.networks import table
from did_tf.runs import checkpoints, results, weights
from did_tf.runs.run_folder import RunFolder
from experiments import base

FAMILY = "tiny_table1"
NOTHING = {"parameters": 0, "multiply_adds": 0, "field": (1, 1), "features": {}}


def get_config(arg=None):
    """Two rows: one without figures, one with a larger crop and a paper's figures."""
    c = base.get_config()
    c.dataset.name = "synthetic"
    c.model.update(name="did", growth=4, units=(1, 1, 1, 1))
    c.data.crop = (49, 33) if arg == "row2" else (33, 33)
    if arg == "row2":
        c.paper = {"split": "test", "miou": 51.5, "parameters": 7.6}
    return c


@pytest.fixture
def family(monkeypatch):
    """A family of two small rows, beside an experiment without rows."""
    module = types.ModuleType(f"experiments.{FAMILY}", "Two small rows: no paper's Table 1.\n\nMore.")
    module.ROWS, module.get_config = {"row1": None, "row2": None}, get_config
    monkeypatch.setitem(sys.modules, module.__name__, module)
    others = {name: f"experiments.did.{name}" for name in ("did_camvid", "did_table3")}
    monkeypatch.setattr(cli, "experiment_modules", lambda: {**others, FAMILY: module.__name__})


def test_a_report_on_weights_of_another_run_counts(family, tmp_path):
    """evaluate --experiment=FAMILY:row2 --weights=another run leaves a folder with nothing but the report."""
    report = {"protocol": {"name": "whole"}, "outputs": {"main": {"miou": 0.25}}}
    write(tmp_path / f"{FAMILY}_row2" / "evaluation" / "test.json", report)
    found = best(tmp_path)
    assert (found.score, found.altered, found.run) == (0.25, False, tmp_path / f"{FAMILY}_row2")
    assert best(tmp_path, f"{FAMILY}:row1") is None


def test_a_ledger_names_the_command_that_writes_just_that(family, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(table, "_compute", lambda configs: dict.fromkeys(configs, NOTHING))
    runs, output = tmp_path / "no runs", tmp_path / "of mine"
    assert program.run(monkeypatch, table, f"--tables={FAMILY}", f"--runs={runs}", f"--output={output}") == 0
    written = (output / "ledger.md").read_text(encoding="utf-8")
    assert f"`make table OUTPUT='{output}' TABLE={FAMILY} ARGS='--runs='\"'\"'{runs}'\"'\"''` writes it anew" in written
    assert f"note: there is no folder --runs={runs}: no row has a result" in capsys.readouterr().out


def test_what_a_table_does_not_take_is_told(family, monkeypatch, capsys):
    """A setting or an experiment would be without effect."""
    for argument in (f"--experiment={FAMILY}:row1", "--config.model.growth=8"):
        assert program.run(monkeypatch, table, argument) == 2
        assert "it takes --tables, --runs, --markdown and --output" in capsys.readouterr().err


def columns(line):
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def record(folder, reports=(), validation=None, **manifest):
    """A run folder of row 2 of the small family with reports {file: (mIoU, protocol)} and a best validation."""
    config = cli.resolve(f"{FAMILY}:row2", RunFolder("none"), [])
    write(folder / "config.json", config)
    write(folder / "manifest.json", manifest)
    for file, (miou, protocol) in dict(reports).items():
        write(folder / "evaluation" / file, {"protocol": {"name": protocol}, "outputs": {"main": {"miou": miou}}})
    if validation is not None:
        write(folder / "best" / "metrics.json", {"step": 3, "miou": validation, "accuracy": 0.9})
    return folder


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def best(tmp_path, experiment=f"{FAMILY}:row2"):
    return results.best(experiment, cli.resolve(experiment, RunFolder("none"), []), results.MIOU, tmp_path)


def test_rows_have_what_is_computed_and_what_the_paper_says(family, monkeypatch, capsys, tmp_path):
    record(tmp_path / "a", {"test.json": (0.4321, "whole")}, experiment=f"{FAMILY}:row2")
    built = []
    make_model = wiring.make_model
    monkeypatch.setattr(wiring, "make_model", lambda *args: built.append(args) or make_model(*args))
    assert program.run(monkeypatch, table, f"--tables={FAMILY}", f"--runs={tmp_path}") == 0
    title, head, rule, first, second = [line for line in capsys.readouterr().out.splitlines() if line][:5]
    assert title == "Two small rows: no paper's Table 1"
    assert len(rule) == len(head) == len(first) == len(second)
    assert columns(head)[:4] == ["experiment", "parameters, M", "paper", "crop"]
    assert len(built) == 1, "both rows have the same network"

    classes = wiring.make_dataset(cli.resolve(f"{FAMILY}:row1", RunFolder("none"), [])).spec.num_classes
    model = models.build("did", classes, growth=4, units=(1, 1, 1, 1))
    parameters, (side, _) = measures.parameters(model), measures.receptive_field(model)
    for line, name, crop, paper in ((first, "row1", (33, 33), ("-", "-")), (second, "row2", (49, 33), ("7.6", "51.5"))):
        assert columns(line)[:8] == [
            f"{FAMILY}:{name}",
            f"{parameters / 1e6:.2f}",
            paper[0],
            "x".join(map(str, crop)),
            f"{measures.multiply_adds(model, *crop) / 1e9:.2f}",
            *cost.columns(model, crop).values(),
            str(side),
        ]
        assert columns(line)[9] == paper[1]
    assert columns(first)[8] == columns(first)[10] == "-"
    assert (columns(second)[8], columns(second)[10]) == ("43.21", "test, whole")


def test_a_mean_that_leaves_classes_out_says_so(family, monkeypatch, capsys, tmp_path):
    run = record(tmp_path / "a", experiment=f"{FAMILY}:row2")
    classes = {"sky": {"iou": 0.5}, "road": {"iou": 0.3}, "car": {"iou": None}}
    write(run / "evaluation" / "test.json", {"protocol": {}, "outputs": {"main": {"miou": 0.4, "classes": classes}}})
    assert program.run(monkeypatch, table, f"--tables={FAMILY}", f"--runs={tmp_path}") == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(f"{FAMILY}:row2"))
    assert "40.00 (2 of 3)" in columns(line)


def test_the_last_step_stands_beside_what_was_chosen(family, monkeypatch, capsys, tmp_path):
    """By the report that counts; by its own figures where the last step was the best; else by the last validation."""
    run = record(tmp_path / "a", validation=0.5, experiment=f"{FAMILY}:row2")
    assert best(tmp_path).last is None
    (run / "metrics.csv").write_text("step,val_miou,val_accuracy\n3,0.5,0.9\n1000,0.25,0.8\n")
    assert (best(tmp_path).where, best(tmp_path).last) == ("val, in training", 0.25)
    for step, other, last in ((3, {"miou": 0.375}, 0.375), (3, None, None), (1000, None, 0.4)):
        chosen = {"split": "val", "validations": 2, "step": step, "last_step": 1000, "last": other}
        report = {"protocol": {}, "outputs": {"main": {"miou": 0.4}}, "selection": chosen}
        write(run / "evaluation" / "test.json", report)
        assert (best(tmp_path).score, best(tmp_path).last) == (0.4, last)
    assert program.run(monkeypatch, table, f"--tables={FAMILY}", f"--runs={tmp_path}") == 0
    head, _, first, second = [line for line in capsys.readouterr().out.splitlines() if line][1:5]
    at = columns(head).index("last step")
    assert columns(head)[at - 2 : at] == ["mIoU, %", "paper"]
    assert (columns(first)[at], columns(second)[at]) == ("-", "40.00")


def test_markdown(family, monkeypatch, capsys, tmp_path):
    assert program.run(monkeypatch, table, f"--tables={FAMILY}", "--markdown", f"--runs={tmp_path}") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1 and len(lines) == 4
    assert set(lines[1]) == set("| -")


def test_without_a_choice_all_tables_are_there(family):
    tables = table._by_paper(table._configs())
    assert list(tables.values())[-1] == [f"{FAMILY}:row1", f"{FAMILY}:row2"]
    did3, did4 = (next(rows for title, rows in tables.items() if title.endswith(place)) for place in ("3", "Table 4"))
    assert did3 == [f"did_table3:row{number}" for number in range(1, 17)], "did_camvid is its row 16"
    assert did4 == ["did_table3:row1", "did_table3:row16"]


def test_runs_of_another_experiment_with_the_same_settings_count(family, tmp_path):
    configs = {name: cli.resolve(name, RunFolder("none"), []) for name in ("did_camvid", "did_table3:row16")}
    assert table._same(configs)["did_camvid"] == [*configs]
    write(tmp_path / "a" / "manifest.json", {"experiment": "did_camvid"})
    write(tmp_path / "a" / "best" / "metrics.json", {"step": 3, "miou": 0.25})
    for names, found in ((["did_camvid", "did_table3:row16"], 0.25), ("did_camvid", 0.25), ("did_table3:row16", None)):
        result = results.best(names, configs["did_table3:row16"], results.MIOU, tmp_path)
        assert (result and result.score) == found


def test_a_ledger_says_where_results_come_from(family, monkeypatch, capsys, tmp_path):
    run = record(tmp_path / "runs" / "a", experiment=f"{FAMILY}:row2", seed=0, git_commit="other")
    scored = {"git_commit": "c0ffee", "seed": 7, "step": 5}
    main = {"miou": 0.4321, "pixel_accuracy": 0.9}
    report = {"protocol": {"name": "whole"}, "outputs": {"main": main}, "identity": {"weights": scored}}
    write(run / "evaluation" / "test.json", report)
    arguments = [f"--tables={FAMILY}", f"--runs={tmp_path / 'runs'}", f"--output={tmp_path / 'docs'}"]
    assert program.run(monkeypatch, table, *arguments) == 0
    assert (
        capsys.readouterr().out == f"wrote {tmp_path / 'docs' / 'ledger.md'} and {tmp_path / 'docs' / 'ledger.csv'}\n"
    )
    first, second = csv.DictReader((tmp_path / "docs" / "ledger.csv").open(newline=""))
    assert first["table"] == second["table"] == "Two small rows: no paper's Table 1"
    assert (first["experiment"], first["mIoU, %"], first["run"]) == (f"{FAMILY}:row1", "", "")
    expected = {"mIoU, %": "43.21", "mIoU, % (paper)": "51.5", "accuracy, %": "90.00", "parameters, M (paper)": "7.6"}
    expected |= {"measured on": "test, whole", "commit": "c0ffee", "seed": "7", "step": "5", "run": str(run)}
    expected["command"] = f"make train EXP={FAMILY}:row2 && make evaluate EXP={FAMILY}:row2 SPLIT=test"
    assert {key: second[key] for key in expected} == expected
    lines = (tmp_path / "docs" / "ledger.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert [row[0] for row in rows] == ["experiment", "---", f"{FAMILY}:row1", f"{FAMILY}:row2"]
    assert {"43.21", "c0ffee", f"`{expected['command']}`"} <= {*rows[-1]}
    assert "starts from" not in rows[0], "no row does"


def test_a_ledger_is_one_file_where_it_is_named(family, monkeypatch, capsys, tmp_path):
    (tmp_path / "mine.md").write_text("old")
    arguments = [f"--tables={FAMILY}", f"--runs={tmp_path}", f"--output={tmp_path / 'mine.md'}"]
    assert program.run(monkeypatch, table, *arguments) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["mine.md"]
    assert (tmp_path / "mine.md").read_text().startswith("# Ledger")
    assert program.run(monkeypatch, table, f"--output={tmp_path / 'mine.txt'}") == 2
    assert "a folder, or a file that ends with .md or .csv" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "report", "metric"),
    [
        ("did_inria", {"outputs": {"main": {"classes": {"building": {"iou": 0.5}}}}}, results.BUILDINGS),
        ("duc_kitti", {"official": {"birds_eye": {"urban_road": {"maxf": 0.5}}}}, results.MAXF),
        ("did_camvid", {"outputs": {"main": {"miou": 0.5}}}, results.MIOU),
    ],
)
def test_the_figure_of_a_benchmark_counts(name, report, metric, tmp_path):
    config = cli.resolve(name, RunFolder("none"), [])
    assert table.metric_of(config) == metric
    report = {"protocol": {"name": "whole"}, "outputs": {"main": {"miou": 0.9, "classes": {}}}, **report}
    write(tmp_path / name / "evaluation" / "val.json", report)
    write(tmp_path / name / "best" / "metrics.json", {"step": 3, "miou": 0.4})
    assert results.best(name, config, metric, tmp_path).score == 0.5


def test_maxf_after_a_crf_says_so(tmp_path):
    """It is of what the CRF has made, and by its settings; other figures are the network's own."""
    config = cli.resolve("duc_kitti", RunFolder("none"), [])
    crf = {**config["crf"], "iterations": config["crf"]["iterations"] + 1}
    report = {"protocol": {"name": "whole", "crf": crf}, "outputs": {"main": {"miou": 0.9, "classes": {}}}}
    report |= {"official": {"birds_eye": {"urban_road": {"maxf": 0.5}}}, "identity": {"settings": {"crf": crf}}}
    write(tmp_path / "duc_kitti" / "evaluation" / "val.json", report)
    found = results.best("duc_kitti", config, results.MAXF, tmp_path)
    assert (found.where, found.altered) == ("val, whole, CRF", True)
    found = results.best("duc_kitti", config, results.MIOU, tmp_path)
    assert (found.where, found.altered) == ("val, whole", False)


def test_unknown_tables_are_one_line_and_status_2(family, monkeypatch, capsys):
    assert program.run(monkeypatch, table, "--tables=tiny_table2") == 2
    error = "error: no table 'tiny_table2', did you mean 'tiny_table1'; known: did_table3, tiny_table1"
    assert capsys.readouterr().err.strip() == error


def test_parameters_of_dids_table():
    """Row 4: 2.99M computed, the paper prints 2.9."""
    name = "did_table3:row4"
    computed = table._compute({name: cli.resolve(name, RunFolder("none"), [])})[name]
    assert round(computed["parameters"] / 1e6, 2) == 2.99
    # Stem, 3x3 pool, then (units * dilation * stride) of the four blocks and the two 2x2 average pools.
    blocks = 2 * (6 * 1 * 4 + 8 * 1 * 8 + 8 * 2 * 16 + 8 * 2 * 16)
    assert computed["field"] == (7 + 2 * 2 + 4 + 8 + blocks,) * 2


def test_field_of_view_stands_beside_the_papers():
    name = "fcrn_table1:row2"
    config = cli.resolve(name, RunFolder("none"), [])
    config["model"].update(depth=14, width=8)
    assert table._compute({name: config})[name]["field_of_view"] == config["paper"]["field_of_view"] == 104


def test_a_field_that_is_the_whole_image():
    assert table._side((float("inf"),) * 2) == "all"
    assert table._side((9, 11)) == "9x11"


def test_the_manifest_says_which_experiment_a_run_is_of(family, monkeypatch, tmp_path):
    folder = tmp_path / "mine"
    monkeypatch.setattr(sys, "argv", ["train", f"--experiment={FAMILY}:row2", f"--run={folder}"])
    with flagsaver.flagsaver():
        cli.FLAGS.unparse_flags()
        cli.run(lambda config, run: run.start(config, {"seed": 0}))
    assert json.loads((folder / "manifest.json").read_text()) == {"experiment": f"{FAMILY}:row2", "seed": 0}
    assert best(tmp_path) is None
    write(folder / "best" / "metrics.json", {"step": 1, "miou": 0.25})
    assert best(tmp_path) == results.Result(0.25, "val, in training", False, folder)
    assert best(tmp_path, f"{FAMILY}:row1") is None


@pytest.mark.parametrize(
    ("section", "key", "value", "protocol", "altered"),
    [
        ("evaluate", "flip", True, "whole", True),
        ("evaluate", "scales", [1.0], "tiles", True),
        ("evaluate", "scales", [1.0], "whole", False),
        ("evaluate", "options", {"growth": 6}, "whole", True),
        ("train", "progress", False, "whole", False),
    ],
)
def test_a_report_by_other_settings_is_marked(family, tmp_path, section, key, value, protocol, altered):
    run = record(tmp_path / "a", experiment=f"{FAMILY}:row2")
    settings = json.loads((run / "config.json").read_text())
    settings[section][key] = value
    report = {"protocol": {"name": protocol}, "outputs": {"main": {"miou": 0.4}}, "identity": {"settings": settings}}
    write(run / "evaluation" / "test.json", report)
    assert best(tmp_path).altered == altered


def test_runs_without_a_manifest_go_by_their_folders(family, tmp_path):
    other = record(tmp_path / "other", validation=0.9)
    own = record(tmp_path / f"{FAMILY}_row2", validation=0.3)
    assert best(tmp_path).run == own
    write(own / "manifest.json", {"experiment": "did_camvid"})
    assert best(tmp_path) is None
    (own / "manifest.json").unlink()
    assert best(tmp_path).score == 0.3
    write(other / "manifest.json", {"experiment": f"{FAMILY}:row2"})
    assert best(tmp_path).score == 0.9


def test_the_papers_split_comes_before_better_scores_on_another(family, tmp_path):
    name = f"{FAMILY}:row2"
    record(tmp_path / "a", {"val.json": (0.7, "whole")}, validation=0.8, experiment=name)
    assert best(tmp_path).where == "val, in training"
    record(tmp_path / "b", {"val.json": (0.9, "whole")}, experiment=name)
    assert best(tmp_path).where == "val, whole"
    partial = {"tiles/first_2/test.json": (0.95, "tiles"), "first_2/test.json": (0.95, "whole")}
    record(tmp_path / "c", {"test.json": (0.2, "whole"), "tiles/test.json": (0.3, "tiles"), **partial}, experiment=name)
    assert best(tmp_path) == results.Result(
        0.3, "test, tiles", False, tmp_path / "c", report=tmp_path / "c" / "evaluation" / "tiles" / "test.json"
    )


def test_a_figure_in_another_precision_says_so(family, tmp_path):
    folder = record(tmp_path / "a", {"whole_bfloat16/val.json": (0.7, "whole")}, experiment=f"{FAMILY}:row2")
    file = folder / "evaluation" / "whole_bfloat16" / "val.json"
    report = json.loads(file.read_text())
    for precision, where in (("float32", "val, whole"), ("bfloat16", "val, whole, bfloat16")):
        report["protocol"]["precision"] = precision
        write(file, report)
        assert best(tmp_path).where == where


def test_what_a_run_was_trained_on_is_no_result(family, tmp_path):
    """Without a validation split, "val" is among what it was trained on."""
    name = f"{FAMILY}:row2"
    config = cli.resolve(name, RunFolder("none"), [])
    config["dataset"].update(train_split="train+val", val_split="")
    record(tmp_path / "a", {"val.json": (0.9, "whole")}, experiment=name)
    assert results.best(name, config, results.MIOU, tmp_path) is None
    record(tmp_path / "b", {"test.json": (0.4, "whole")}, experiment=name)
    assert results.best(name, config, results.MIOU, tmp_path).where == "test, whole"


def test_runs_with_other_settings_are_marked(family, tmp_path):
    folder = record(tmp_path / "a", validation=0.3, experiment=f"{FAMILY}:row2")
    config = json.loads((folder / "config.json").read_text())
    config["evaluate"]["overlap"], config["train"]["devices"] = 0.5, "cpu"
    del config["train"]["ema"]  # from before there was such a setting
    write(folder / "config.json", config)
    assert not best(tmp_path).altered
    config["train"]["steps"] = 7
    write(folder / "config.json", config)
    assert best(tmp_path).altered
    assert table._score(best(tmp_path)) == "*30.00"


def test_a_report_on_weights_that_were_replaced_is_marked_and_comes_last(family, tmp_path):
    """Trained on or anew, the run has other weights than those that the report is of."""
    name = f"{FAMILY}:row2"
    folder = record(tmp_path / "a", {"test.json": (0.7, "whole")}, validation=0.3, experiment=name)
    file, report = folder / "best" / "weights.npz", json.loads((folder / "evaluation" / "test.json").read_text())
    checkpoints.write(file, {"model/kernel": np.zeros(3)})
    report["identity"] = {"weights": {"own": True, "digest": weights.digest(file)}}
    write(folder / "evaluation" / "test.json", report)
    assert (best(tmp_path).score, best(tmp_path).outdated) == (0.7, False)
    checkpoints.write(file, {"model/kernel": np.ones(3)})
    assert (best(tmp_path).score, best(tmp_path).outdated) == (0.3, False)
    (folder / "best" / "metrics.json").unlink()
    assert table._score(best(tmp_path)) == "!70.00"
    report["identity"]["weights"]["own"] = False  # those of another run are there
    write(folder / "evaluation" / "test.json", report)
    assert table._score(best(tmp_path)) == "70.00"


def test_scores_of_weights_that_a_killed_training_has_replaced_are_marked(family, tmp_path):
    """By those of a later step, whose scores are not there yet."""
    folder = record(tmp_path / "a", validation=0.3, experiment=f"{FAMILY}:row2")
    write(folder / "best" / "metrics.json", {"step": 10, "miou": 0.3})
    for step, shown in ((10, "30.00"), (20, "!30.00")):
        about = {"network": {}, "step": step}
        checkpoints.write(folder / "best" / "weights.npz", {"model/kernel": np.zeros(3)}, about)
        assert table._score(best(tmp_path)) == shown


def test_of_errors_the_lowest_is_the_best(monkeypatch, tmp_path):
    name = "sunet_table2:row6"
    config = cli.resolve(name, RunFolder("none"), [])
    assert table.metric_of(config) == "top1_error"
    for folder, accuracy in (("a", 0.25), ("b", 0.5)):
        write(tmp_path / folder / "config.json", config)
        write(tmp_path / folder / "manifest.json", {"experiment": name})
        write(tmp_path / folder / "best" / "metrics.json", {"step": 1, "top1_accuracy": accuracy, "top5_accuracy": 0.6})
    assert results.best(name, config, results.TOP1, tmp_path).score == 0.5
    report = {"protocol": {"crop": [224, 224]}, "outputs": {"main": {"top1_error": 0.9, "top5_error": 0.8}}}
    write(tmp_path / "a" / "evaluation" / "val.json", report)
    found = results.best(name, config, results.TOP1, tmp_path)
    report = tmp_path / "a" / "evaluation" / "val.json"
    assert found == results.Result(0.9, "val, centre crops", False, tmp_path / "a", report=report)


def test_runs_that_were_not_validated_have_no_result(family, tmp_path):
    folder = record(tmp_path / "a", experiment=f"{FAMILY}:row2")
    write(folder / "best" / "metrics.json", {"step": 9})
    assert best(tmp_path) is None
