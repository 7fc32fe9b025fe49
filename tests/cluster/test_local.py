"""Workers on this host, of programs that train nothing."""

import json
import os
import signal
import sys
import threading

import pytest

from did_tf.cluster import local
from did_tf.common.errors import ConfigError


def run(code, count=2, gpus=0):
    """Exit status of so many workers that run `code`, which knows its `index`."""
    begin = "import json, os, sys, time; index = json.loads(os.environ['TF_CONFIG'])['task']['index']\n"
    return local.run([sys.executable, "-S", "-c", begin + code], count, gpus)


def test_every_worker_knows_its_place(tmp_path):
    code = f"open(r'{tmp_path}/' + str(index), 'w').write(os.environ['TF_CONFIG'])"
    assert run(code, 3) == 0
    found = [json.loads((tmp_path / str(index)).read_text()) for index in range(3)]
    addresses = found[0]["cluster"]["worker"]
    assert len({*addresses}) == 3
    assert [config["cluster"]["worker"] for config in found] == [addresses] * 3


def test_the_chief_is_heard_alone(capfd):
    assert run("print('out', index); print('err', index, file=sys.stderr)") == 0
    assert capfd.readouterr() == ("out 0\n", "err 0\n")


def test_the_first_failure_counts_and_is_told(capfd):
    """The chief's own words come later, and the status that it ends with."""
    assert run("time.sleep(0.5 * (1 - index)); print('why', index, file=sys.stderr); sys.exit(2 + index)") == 3
    assert capfd.readouterr().err == "why 0\nworker 1 of 2: why 1\n"


def test_all_end_when_one_has(monkeypatch, capfd):
    monkeypatch.setattr(local, "PATIENCE", 0.3)
    assert run("os.kill(os.getpid(), 9) if index else time.sleep(100)") == 128 + 9
    assert capfd.readouterr().err == "error: worker 1 of 2 ended by SIGKILL: the same command goes on from there\n"


def test_the_chief_may_take_longer_than_the_others(monkeypatch):
    monkeypatch.setattr(local, "PATIENCE", 0.3)
    assert run("time.sleep(0 if index else 2)") == 0
    assert run("time.sleep(30 if index else 0)") == 1


def test_signals_are_handed_on(tmp_path, capfd):
    code = f"""import signal
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
open(r'{tmp_path}/' + str(index), 'w').close()
time.sleep(20)"""

    def end():
        while len(list(tmp_path.iterdir())) < 2:
            threading.Event().wait(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    threading.Thread(target=end, daemon=True).start()
    assert run(code) == 128 + signal.SIGTERM
    assert capfd.readouterr().err == ""
    assert signal.getsignal(signal.SIGTERM) is before


def test_gpus_are_shared():
    share = local._shares_of_gpus
    assert share(4, 2, {}) == [{"CUDA_VISIBLE_DEVICES": "0,1"}, {"CUDA_VISIBLE_DEVICES": "2,3"}]
    assert share(2, 2, {"CUDA_VISIBLE_DEVICES": "5,7"}) == [
        {"CUDA_VISIBLE_DEVICES": "5"},
        {"CUDA_VISIBLE_DEVICES": "7"},
    ]
    assert share(0, 2, {}) == [{}, {}]
    with pytest.raises(ConfigError, match="3 GPUs can't be shared"):
        share(3, 2, {})
