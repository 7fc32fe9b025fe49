"""`did_tf plan`, and `did_tf train --experiment=auto`."""

import os
import signal
import subprocess
import sys
import time

import own_data
import program
import psutil
import pytest

from did_tf.common.errors import ConfigError
from did_tf.common.files import write_file, write_json
from did_tf.planning import choices
from did_tf.programs import auto, cli
from did_tf.runs.run_folder import RunFolder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return own_data.make_five_bands(tmp_path_factory.mktemp("data"), count=8, size=(64, 80))


@pytest.fixture
def narrow(monkeypatch):
    """One small network alone, so that nothing is built that takes long."""
    monkeypatch.setattr(choices, "WIDTHS", (choices.Width(4, 0),))


def test_a_plan_is_an_experiment(data, narrow, tmp_path):
    output = tmp_path / "plan.py"
    given = (f"--data={data}", "--hours=1", "--machine=cores:4,memory:16", f"--output={output}")
    done = program.launch_here("plan", *given)
    assert done.returncode == 0, done.stderr
    said = done.stdout
    assert "5 bands of uint16" in said and "assumed, not measured" in said and "next: did_tf train" in said
    config = cli.resolve(str(output), RunFolder(tmp_path / "run"), [])
    assert config["dataset"]["folder"] == str(data) and config["model"]["growth"] == 4
    assert config["train"]["hours"] == 1 and config["data"]["crop"] == [65, 65]
    assert f"{output} is there" in program.launch_here("plan", *given).stderr


def test_a_plan_that_another_process_has_written_meanwhile_stays(data, narrow, monkeypatch, tmp_path):
    """As of `train --experiment=auto` that is started twice: the first one trains by its plan already."""
    output = tmp_path / "plan.py"
    monkeypatch.setattr(choices, "check_time", lambda *given: output.write_text("first"))
    given = (f"--data={data}", "--hours=1", "--machine=cores:4,memory:16", f"--output={output}")
    done = program.launch_here("plan", *given)
    assert done.returncode == 2 and f"another process has written {output} meanwhile" in done.stderr
    assert output.read_text() == "first"


@pytest.mark.parametrize(
    "given, told",
    [
        (["--hours=0"], "how long do you have"),
        ([], "how long do you have"),
        (["--hours=nan"], "how long do you have"),
        (["--hours=1", "--experiment=did_folders"], "what is planned is auto"),
        (["--hours=1", "--output=plan.txt"], "a .py file"),
        (["--hours=1", "--data=gs://bucket/data"], "name a folder of this machine"),
        (["--hours=1", "--config.train.steps=5"], "change the file"),
        (["--hours=1", "--data=/nowhere"], "/nowhere"),
        (["--hours=0.004", "--planning_counts"], "planning alone takes some 20 seconds"),
        (["--hours=1", "--output=/dev/null/plan.py"], "/dev/null is no folder; give another --output"),
    ],
)
def test_what_is_refused(given, told, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    done = program.launch_here("plan", *given)
    assert done.returncode == 2 and told in done.stderr


@pytest.mark.parametrize(
    "given, told",
    [
        (["--experiment=auto"], "how long do you have"),
        (["--experiment=did_folders", "--hours=1"], "is for --experiment=auto"),
        (["--experiment=auto", "--hours=2", "--run=planned"], "planned/plan.py is a plan for 1.0 hours, not 2"),
        (["--experiment=auto", "--hours=2", "--run=unplanned"], "unplanned was trained without a plan"),
        (["--experiment=auto", "--hours=2", "--run=searched"], "searched is a search, with which train can't go on"),
    ],
)
def test_training_without_a_plan_that_fits_is_refused(given, told, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name, file in (("planned", "plan.py"), ("unplanned", "config.json"), ("searched", "search.json")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text("HOURS = 1.0\n")
    done = program.launch_here("train", *given)
    assert done.returncode == 2 and told in done.stderr


@pytest.mark.parametrize(
    "given, told",
    [
        (["train.stepz=1"], "unknown setting 'train.stepz', did you mean 'train.steps'"),
        (["nonsense=1"], "unknown setting 'nonsense'"),
        (["train.batch_size=x"], "train.batch_size must be a whole number, 1 or more, or 'auto', got 'x'"),
        (["model.growth=x"], "model.growth must be"),
        (["model.name=unet"], "unknown model 'unet'"),
        (["model.name=ladder", "model.width=x"], "model.width must be"),
        (["optimizer.options.speed=1"], "optimizer 'adam' has no option 'speed'"),
        (["dataset.options.sizes={1}"], "hold what a config.json can't"),
    ],
)
def test_a_setting_that_can_not_be_is_told_before_anything_is_planned(given, told, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: pytest.fail("it was planned"))
    done = program.launch_here("train", "--experiment=auto", "--hours=2", *(f"--config.{one}" for one in given))
    assert done.returncode == 2 and told in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("given", ["schedule.warmup=3000", "train.parts=4", "model.name=ladder"])
def test_what_is_at_odds_with_defaults_alone_is_planned(given, monkeypatch, tmp_path):
    """The plan has other steps and another batch."""
    planned = []

    def run(command, **options):
        planned.append(command)
        return subprocess.CompletedProcess(command, 7)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", run)
    assert program.launch_here("train", "--experiment=auto", "--hours=2", f"--config.{given}").returncode == 7
    assert [command[3] for command in planned] == ["plan"] and given not in " ".join(planned[0])


def test_settings_are_those_of_a_plan_that_is_there(monkeypatch, tmp_path):
    """Which may have been changed to a network with other options than DID's."""
    (tmp_path / "plan.py").write_text("HOURS = 2.0\n\n\ndef get_config():\n    raise ValueError('it was read')\n")
    done = program.launch_here("train", "--experiment=auto", f"--run={tmp_path}", "--config.model.width=8")
    assert done.returncode == 2 and "it was read" in done.stderr


def test_a_plan_is_not_taken_for_other_data(monkeypatch, tmp_path, capsys):
    """Where it was trained by it, their content is compared."""
    monkeypatch.chdir(tmp_path)
    run, folder = RunFolder(tmp_path / "run"), tmp_path / "a"
    text = "from experiments.did import did_folders\n\nHOURS = 2.0\n\n\ndef get_config():\n"
    text += f"    c = did_folders.get_config()\n    c.dataset.folder = {str(folder)!r}\n    return c\n"
    write_file(run.plan, text.encode())
    for data in ("a", "./b/../a", str(folder), "gs://bucket/records", None):
        auto.ensure_plan("auto", run, data, 2.0)
        told = capsys.readouterr().out
        assert told.startswith("by the plan of 2") and told.endswith(f"{run.plan}: delete it to plan anew\n")
    with pytest.raises(ConfigError, match="plan.py is a plan for .*/a, not b, and nothing was trained by it"):
        auto.ensure_plan("auto", run, "b", None)
    write_json(run.config, {})
    auto.ensure_plan("auto", run, "b", None)
    assert not capsys.readouterr().out


@pytest.mark.parametrize("command", ["evaluate", "cross-validate"])
def test_what_was_never_planned_is_told(command, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    done = program.launch_here(command, "--experiment=auto")
    assert done.returncode == 2 and "runs/auto has no plan" in done.stderr
    assert "to cross-validate, did_tf plan --data=DIR --hours=2 and --experiment=plan.py" in done.stderr


@pytest.mark.slow
def test_a_signal_while_it_is_planned_leaves_nothing(data, tmp_path):
    """Neither a process nor a folder."""
    command = [sys.executable, "-m", "did_tf", "train", "--experiment=auto", f"--data={data}", "--hours=1"]
    command += [f"--run={tmp_path / 'run'}"]
    (tmp_path / "temporary").mkdir()
    told = {"env": {**os.environ, "TMPDIR": str(tmp_path / "temporary")}, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=program.PROJECT, stdout=subprocess.DEVNULL, **told)
    while not [*(tmp_path / "temporary").glob("did_tf_plan_*/said.txt")]:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == -signal.SIGTERM
    process.stderr.read()  # which the planning process holds until it has ended too
    assert not [*(tmp_path / "temporary").glob("did_tf_plan_*")] and not (tmp_path / "run" / "plan.py").exists()
    running = [" ".join(one.info["cmdline"] or []) for one in psutil.process_iter(["cmdline"])]
    assert not [line for line in running if str(tmp_path) in line]


@pytest.mark.slow
def test_auto_plans_trains_on_time_and_goes_on(data, tmp_path):
    run = tmp_path / "run"
    given = ("--experiment=auto", f"--data={data}", f"--run={run}")
    done = program.launch("train", *given, "--hours=0.06")
    assert done.returncode == 0 and "its time is over" in done.stdout, done.stderr
    again = program.launch("train", *given)
    assert again.returncode == 0 and "it has ended" in again.stdout
    assert program.launch("evaluate", "--experiment=auto", f"--run={run}", f"--data={data}").returncode == 0
