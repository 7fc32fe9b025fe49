"""Settings that are "auto" come to a value, which a run that goes on keeps, and which is told."""

import functools
import json
from types import SimpleNamespace

import pytest
import tiny

from did_tf import settings, wiring
from did_tf.common import processor
from did_tf.common.errors import ConfigError
from did_tf.programs import cli
from did_tf.runs.run_folder import RunFolder


@pytest.fixture
def bfloat16(monkeypatch):
    """Sets whether the processor has bfloat16."""

    def set_to(there):
        monkeypatch.setattr(processor, "has_bfloat16", lambda: there)
        monkeypatch.setattr(processor, "multiplies_bfloat16", lambda: there)

    return set_to


def started(folder, precision, **settings):
    """`RunFolder` of a run with that precision; None for one that has not been started."""
    run = RunFolder(folder)
    if precision:
        run.folder.mkdir()
        run.config.write_text(json.dumps(tiny.config(train__precision=precision, **settings)))
    return run


def on(device):
    """A strategy of one device."""
    extended = SimpleNamespace(worker_devices=(f"/job:localhost/device:{device}:0",))
    return SimpleNamespace(num_replicas_in_sync=1, extended=extended)


def test_the_batch_size_is_the_runs_or_left_to_the_network(tmp_path, capsys):
    config = tiny.config(train__batch_size="auto")
    assert wiring.resolved(config, started(tmp_path / "new", None))["train"]["batch_size"] == "auto"
    run = started(tmp_path / "run", "float32", train__batch_size=6)
    assert wiring.resolved(config, run)["train"]["batch_size"] == 6
    assert capsys.readouterr().out == "train.batch_size=auto: 6, for the run was started so\n"


@pytest.fixture
def network(monkeypatch):
    """A supervision whose network nobody looks at; a CPU has 7 bytes that are free, 2 with others' growth; a GPU 9."""
    monkeypatch.setattr(wiring.training, "Need", lambda *of: of)
    monkeypatch.setattr(wiring.training, "free_memory", lambda growth=0: 2 if growth else 7)
    monkeypatch.setattr(wiring.training, "free_on_gpu", lambda: 9)
    return SimpleNamespace(network="network")


def test_the_batch_size_is_what_there_is_room_for(monkeypatch, network):
    """And is judged as if it had been given."""
    asked = []
    monkeypatch.setattr(wiring.training, "largest_batch", lambda *of: asked.append(of[1:]) or 6)
    config = tiny.config(train__batch_size="auto")
    with_room = functools.partial(wiring.training._with_room, supervision=network, workers=1, samples=12)
    found = with_room(config, on("CPU"))
    assert found["train"]["batch_size"] == 6 and config["train"]["batch_size"] == "auto"
    assert with_room(config, on("GPU")) == found
    assert with_room(config, on("CPU"), kept=3) == found
    assert asked == [(7, False, 12, 5, 0), (9, True, 12, 0, 0), (7, False, 12, 5, 3)]
    with pytest.raises(ConfigError, match="loss.ohem_keep=9000 keeps everything"):
        with_room(tiny.config(train__batch_size="auto", loss__ohem_keep=9000, loss__ohem_scope="batch"), on("CPU"))


@pytest.mark.parametrize("device, free, workers", [("CPU", 7, 1), ("GPU", 9, 1), ("CPU", 7, 2)])
def test_no_room_is_told(monkeypatch, network, device, free, workers):
    """Of what each worker has for its own share."""

    def refuse(need, there, on_gpu, kept):
        assert (need[0], need[3], there, on_gpu, kept) == ("network", 2, free, device == "GPU", 4)
        assert need[2]["batch_size"] == tiny.config()["train"]["batch_size"] // workers
        raise ConfigError("no room")

    monkeypatch.setattr(wiring.training, "check_room", refuse)
    strategy = on(device)
    strategy.num_replicas_in_sync = workers
    with pytest.raises(ConfigError, match="no room"):
        wiring.training._with_room(tiny.config(), strategy, network, workers, 12, kept=4)


@pytest.mark.parametrize(
    "there, was, expected, told",
    [
        (True, None, "bfloat16", ["train.precision=auto: bfloat16, for "]),
        (False, None, "float32", ["train.precision=auto: float32, for "]),
        (
            True,
            "float32",
            "float32",
            ["train.precision=auto: float32, for the run was started so (here it would be bf"],
        ),
        (
            False,
            "bfloat16",
            "bfloat16",
            ["train.precision=auto: bfloat16, for the run", "note: train.precision=bfloat16"],
        ),
    ],
)
def test_the_precision_is_the_runs_or_the_best(bfloat16, tmp_path, capsys, there, was, expected, told):
    bfloat16(there)
    config = tiny.config(train__precision="auto", train__devices="cpu")
    assert wiring.resolved(config, started(tmp_path / "run", was))["train"]["precision"] == expected
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(told) and all(line.startswith(start) for line, start in zip(lines, told))
    assert config["train"]["precision"] == "auto"


@pytest.mark.parametrize(
    "precision, there, notes", [("bfloat16", False, 1), ("bfloat16", True, 0), ("float32", False, 0)]
)
def test_a_precision_that_is_given_is_taken_and_told_where_it_is_emulated(
    bfloat16, tmp_path, capsys, precision, there, notes
):
    bfloat16(there)
    config = tiny.config(train__precision=precision, train__devices="cpu")
    assert wiring.resolved(config, started(tmp_path / "run", None)) == config
    assert capsys.readouterr().out.count("note: ") == notes


@pytest.mark.parametrize("name", ["did_camvid_quick", "did_folders"])
def test_experiments_for_any_machine_leave_the_precision_to_it(name):
    config = cli.resolve(name, RunFolder("/nonexistent"), [])
    assert config["train"]["precision"] == "auto"
    settings.check(config)
