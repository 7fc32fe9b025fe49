"""What a training process holds, counted and measured: `python -m benchmarks.memory [CASE ...]`.

Each case is a process of its own, which makes three updates on drawn frames. What is counted is what a training is
refused by before its first step. Cases are EXPERIMENT,KEY=VALUE,...; without any, those of `CASES`.
"""

import sys

from did_tf.common import processor

if sys.argv[-1].startswith("{"):  # before TensorFlow, as `did_tf train`
    processor.ask_for_onednn()

from unittest import mock

from benchmarks import turns, worker
from benchmarks.arguments import parser_of
from benchmarks.turns import Case

AGAIN, SIDE = "train.recompute=True", "data.crop=321x321,train.precision=float32"
PLAIN = [
    "did_camvid,train.batch_size=4",
    f"camvid_budget:ladder121,train.batch_size=6,{SIDE}",
    f"camvid_budget:sunet64,train.batch_size=12,{SIDE}",
    f"camvid_budget:fcrn50,train.batch_size=5,{SIDE}",
    f"camvid_budget:duc,train.batch_size=3,{SIDE}",
]
CASES = [case for plain in PLAIN for case in (plain, f"{plain},{AGAIN}")]
CASES += [f"{PLAIN[0]},train.parts=2", f"{PLAIN[0]},train.accumulate=2"]


def main():
    """Prints a line for each case as it is measured."""
    parser = parser_of(__name__)
    parser.add_argument("cases", nargs="*", default=CASES, metavar="CASE", help="EXPERIMENT,KEY=VALUE,...")
    cases = parser.parse_args().cases
    print("counted, GiB  measured  ratio  case")
    for case in cases:
        experiment, *given = case.split(",")
        settings = {"train.devices": "cpu", **dict(setting.split("=", 1) for setting in given)}
        told = {"kind": "training", "experiment": experiment, "settings": settings}
        [found] = turns.measure("memory", [Case(case, told, module="benchmarks.memory")], 0, least=1)
        print(_row(found) if "error" not in found else f"{found['error']}  {case}", flush=True)


def _row(found):
    counted, measured = found["counted"] / 2**30, found["peak"] / 2**30
    return f"{counted:12.2f}  {measured:8.2f}  {counted / measured:5.2f}  {found['name']}"


def prepare(told):
    """({"counted": bytes}, function that makes an update)."""
    from benchmarks import ours
    from did_tf import wiring
    from did_tf.analysis import speed

    counted = []
    told["settings"] = {key: _sides(value) for key, value in told["settings"].items()}
    with mock.patch.object(
        wiring.training, "check_room", lambda need, *_: counted.append(speed.memory_held() + need().total)
    ):
        _, call = ours.prepare(told)
    return {"counted": counted[0]}, call


def _sides(value):
    height, x, width = value.partition("x")
    return f"({height},{width})" if x and height.isdecimal() else value


if __name__ == "__main__":
    worker.serve(prepare) if sys.argv[-1].startswith("{") else main()
