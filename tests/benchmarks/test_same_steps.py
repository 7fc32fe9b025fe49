"""The same updates in several ways, of a tiny network on drawn frames."""

import json
import sys

import pytest

from benchmarks import same_steps
from benchmarks.same_steps import HALVES, HEAD, PLAIN, WAYS
from did_tf.common import compat

TINY = {
    "dataset.name": "synthetic",
    "dataset.options.height": 48,
    "dataset.options.width": 64,
    "model.growth": 4,
    "model.units": "(1,1,1,1)",
    "model.decoder": "plain",
    "data.crop": "(33,33)",
}
IN_FLOAT64 = pytest.mark.skipif(not compat.IS_KERAS_3, reason="the network in float64 needs Keras 3")
ACCUMULATED, MOVED = "did_tf, train.accumulate=2", "plain, in halves, moved 1"


def in_two_steps(ways, folder):
    """{way: what it comes to}, of those that need no process of their own."""
    return {way: same_steps.measured(way, TINY, 2, folder / WAYS[way].beside) for way in ways}


def check_alike(found, way):
    """They start alike and go on alike, and an update is that in float64, all but for rounding."""
    plain = found[WAYS[way].beside]
    assert found[way]["given"] == plain["given"]
    assert found[way]["losses"] == pytest.approx(plain["losses"], rel=1e-4)
    (apart,) = found[way]["apart"]
    assert all(0 < value < limit for value, limit in zip(apart, (1e-5, 2e-2, 2e-2)))


@IN_FLOAT64
def test_did_tf_is_plain_but_for_rounding(tmp_path):
    found = in_two_steps(["plain", "did_tf"], tmp_path)
    check_alike(found, "did_tf")
    assert found["did_tf"]["losses"] != found["plain"]["losses"], "compared with itself"


@IN_FLOAT64
@pytest.mark.slow
def test_halves_are_like_halves_and_have_statistics_of_their_own(tmp_path):
    found = in_two_steps([*PLAIN, ACCUMULATED, MOVED], tmp_path)
    for way in (*PLAIN, ACCUMULATED, MOVED):
        check_alike(found, way)
    whole, halves = (found[way]["losses"] for way in PLAIN)
    assert halves[0] != pytest.approx(whole[0], rel=1e-4)


def ended(losses, apart, given=(1, 2)):
    """What a way comes to."""
    return {"losses": losses, "apart": apart, "given": [*given], "accuracy": 0.5, "miou": 0.25}


def test_line_has_the_largest_differences_and_the_mean_at_the_end():
    plain = ended([2.0] * 400, [[0, 0, 0]])
    other = ended([2.0, *[2.1] * 9, 2.5, *[2.2] * 389], [[1e-6, 0.1, 0.2], [2e-6, 0.3, 0.4], [9e-6, 0.5, 0.9]])
    cells = same_steps.line("did_tf", {"plain": plain, "did_tf": other})
    apart = ["1e-06, 2e-06, 9e-06", "1e-01, 3e-01, 5e-01", "2e-01, 4e-01, 9e-01"]
    assert cells == ["did_tf", *apart, "0e+00", "5e-02", "2e-01", "2.200", "50.0", "25.0"]
    assert len(cells) == len(HEAD)
    assert same_steps.line("plain", {"plain": plain})[4:7] == ["", "", ""]


def test_other_batches_are_refused():
    found = {HALVES: ended([1.0], [[0, 0, 0]]), ACCUMULATED: ended([1.0], [[0, 0, 0]], given=(1, 3))}
    with pytest.raises(ValueError, match=f"{ACCUMULATED} had other weights or batches than {HALVES}"):
        same_steps.line(ACCUMULATED, found)


def test_a_way_that_is_none_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["same_steps", "--data=nowhere", "did_ft"])
    with pytest.raises(SystemExit):
        same_steps.main()
    assert "no way did_ft; there are: plain; " in capsys.readouterr().err


def test_ways_that_have_ended_are_not_made_again_and_what_they_are_compared_with_is_shown(
    tmp_path, monkeypatch, capsys
):
    for folder in ("plain", "did_tf"):
        (tmp_path / "7" / folder).mkdir(parents=True)
        (tmp_path / "7" / folder / "result.json").write_text(json.dumps(ended([1.0], [[0, 0, 0]])))
    monkeypatch.setattr(sys, "argv", ["same_steps", "--data=nowhere", f"--runs={tmp_path}", "--steps=7", "did_tf"])
    same_steps.main()
    assert [line.split(" | ")[0] for line in capsys.readouterr().out.splitlines()[2:]] == ["| plain", "| did_tf"]
