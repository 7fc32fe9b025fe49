"""`did_tf COMMAND`: which program runs, with which arguments, and what is told where none does."""

import importlib
import importlib.util
import signal
import subprocess
import sys
import types
from pathlib import Path

import program
import pytest
from program import PROJECT

import did_tf
from did_tf.__main__ import COMMANDS, main
from did_tf.common import processor


@pytest.fixture
def call(monkeypatch, capsys):
    """Function: (exit status, stdout, stderr) of `did_tf ARGUMENTS`, run in this process."""
    before = signal.getsignal(signal.SIGPIPE)
    monkeypatch.setattr(processor, "ask_for_onednn", lambda: None)  # which would hold for all later tests

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["/somewhere/did_tf", *arguments])
        status = 0
        try:
            main()
        except SystemExit as error:
            status = error.code
        return (status, *capsys.readouterr())

    yield run
    signal.signal(signal.SIGPIPE, before)


@pytest.fixture
def programs(monkeypatch):
    """{module: function}, filled by a test: what stands in for the programs' `launch`."""
    launches = {}
    for module in [*(module for module, _ in COMMANDS.values()), "data_pipelines.programs.prepare"]:
        stand_in = types.SimpleNamespace(launch=lambda module=module: launches.get(module, print)(module, *sys.argv))
        monkeypatch.setitem(sys.modules, module, stand_in)
    monkeypatch.setitem(sys.modules, "did_tf.programs.quiet", types.SimpleNamespace())
    return launches


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",), ("help",), ("--help", "train")])
def test_help_is_a_line_per_command(call, arguments):
    status, text, errors = call(*arguments)
    lines = [line for line in text.splitlines() if line.startswith("  ")]
    assert (status, errors) == (0, "")
    assert [line.split()[0] for line in lines] == list(COMMANDS)
    assert all(len(line) <= 100 for line in text.splitlines())


def test_version_is_the_packages(call):
    assert call("--version") == (0, f"did_tf {did_tf.__version__}\n", "")


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["trian"], "unknown command 'trian', did you mean 'train'; did_tf --help lists them"),
        (["help", "trian"], "unknown command 'trian', did you mean 'train'; did_tf --help lists them"),
        (["check_data"], "unknown command 'check_data', did you mean 'check-data'; did_tf --help lists them"),
        ([""], "unknown command ''; did_tf --help lists them"),
        (["--experiment=x", "train"], "'--experiment=x' comes before the command: did_tf COMMAND --experiment=x; "),
        (["prepare", "--dataset", "camvid", "--experiment=x"], "prepare takes --experiment or --dataset, not both"),
    ],
)
def test_what_is_no_command_is_told_in_a_line(call, arguments, told):
    status, text, errors = call(*arguments)
    assert (status, text, errors.count("\n")) == (2, "", 1)
    assert errors.startswith("error: ") and told in errors


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_finds_its_name_and_arguments(call, programs, name):
    assert call(name, "--run=a b", "(1)") == (0, f"{COMMANDS[name][0]} did_tf {name} --run=a b (1)\n", "")
    assert call("help", name) == (0, f"{COMMANDS[name][0]} did_tf {name} --help\n", "")


def test_a_path_from_the_users_folder_is_found_where_the_shell_leaves_its_sign(call, programs, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    others = ["--split=~x", "--input=a~/b", "--config.name=~x/y", "--probabilities", "a=~/b"]
    given = ["--run=~/a b", "--data=~", "--config.train.init=~/c", *others]
    expected = ["--run=/home/me/a b", "--data=/home/me", "--config.train.init=/home/me/c", *others]
    for name in ("train", "check-data"):
        module, _ = COMMANDS[name]
        assert call(name, *given) == (0, " ".join([module, f"did_tf {name}", *expected]) + "\n", "")


@pytest.mark.parametrize("flags", [["--dataset", "camvid"], ["--dataset=camvid"]])
def test_a_data_set_is_prepared_without_an_experiment(call, programs, flags):
    expected = " ".join(["data_pipelines.programs.prepare did_tf prepare", *flags])
    assert call("prepare", *flags) == (0, f"{expected}\n", "")
    assert call("prepare", "--experiment=x")[1] == "did_tf.programs.prepare did_tf prepare --experiment=x\n"


def test_a_programs_exit_status_is_passed_on(call, programs):
    programs["did_tf.programs.train"] = lambda *_: sys.exit(1)
    assert call("train") == (1, "", "")


def test_training_alone_asks_for_onednn(call, programs, monkeypatch):
    asked = []
    monkeypatch.setattr(processor, "ask_for_onednn", lambda: asked.append(sys.argv[0]))
    for command in COMMANDS:
        call(command)
    assert asked == ["did_tf train", "did_tf cross-validate"]


def test_an_interrupt_before_the_program_runs_is_no_traceback(call, programs):
    def interrupted(*_):
        raise KeyboardInterrupt

    programs["did_tf.programs.train"] = interrupted
    assert call("train") == (128 + signal.SIGINT, "", "")


def test_a_missing_library_is_told_in_a_line(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "did_tf.programs.train", None)
    status, text, errors = call("train")
    assert (status, text, errors.count("\n")) == (1, "", 1)
    assert errors.startswith("error: cannot import did_tf.programs.train: ") and "--debug" in errors
    with pytest.raises(ImportError):
        call("train", "--debug")


@pytest.mark.parametrize(
    "package, library, mend",
    [
        ("cv2", "libGL.so.1", "apt-get install libgl1 (dnf: mesa-libGL), or opencv-python-headless"),
        ("cv2", "libgthread-2.0.so.0", "apt-get install libglib2.0-0"),
        ("rasterio", "libexpat.so.1", "apt-get install libexpat1"),
        ("PIL", "libother.so.3", "install the system's package that has this library"),
    ],
)
def test_a_library_that_the_system_lacks_is_named_with_its_package(monkeypatch, tmp_path, package, library, mend):
    raised = f"{library}: cannot open shared object file: No such file or directory"
    (tmp_path / f"{package}.py").write_text(f"raise ImportError({raised!r})")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = program.launch("check-data", "--dataset=camvid")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("error: cannot import ") and f": {raised}; {mend}" in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_a_program_speaks_of_itself_as_the_command(name):
    source = Path(importlib.util.find_spec(COMMANDS[name][0]).origin).read_text()
    assert f"did_tf {name}" in source or f"make {name}" in source
    assert "python -m did_tf." not in source and "python -m data_pipelines" not in source


def test_a_demo_at_a_remote_place_is_refused(call, monkeypatch, tmp_path):
    """It was trained into a local folder of that name."""
    monkeypatch.chdir(tmp_path)
    told = "error: --run=gs://B/x: the run of a demo is a folder of this machine\n"
    assert call("demo", "--run=gs://B/x") == (2, "", told)
    assert not [*tmp_path.iterdir()]


def test_help_version_and_data_commands_do_without_tensorflow():
    program = """
import contextlib, sys
from did_tf.__main__ import main
for arguments in ("--help", "--version", *(f"{name} --help" for name in "data describe-data check-data demo".split())):
    sys.argv = ["did_tf", *arguments.split()]
    with contextlib.suppress(SystemExit):
        main()
sys.exit("tensorflow" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    for name in ("data", "describe-data", "check-data", "demo"):
        assert f"usage: did_tf {name}" in done.stdout


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="needs POSIX")
def test_a_reader_that_leaves_early_is_no_error():
    command = [sys.executable, "-m", "did_tf", "--help"]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    assert (process.stderr.read(), process.wait()) == ("", -signal.SIGPIPE)
