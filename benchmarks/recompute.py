"""What `train.recompute` saves and costs: `python -m benchmarks.recompute [EXPERIMENT [KEY=VALUE ...]]`.

Updates of an experiment with and without it, in turns. Without arguments the paper's DID: 4 crops of 321x321, float32.
"""

from benchmarks import report, turns
from benchmarks.arguments import parser_of
from benchmarks.turns import Case

SECONDS, ROUNDS = 20, 3
DEFAULT = ("did_camvid", "train.batch_size=4")


def main():
    """Prints a line for each way."""
    parser = parser_of(__name__)
    parser.add_argument("experiment", nargs="*", default=DEFAULT, metavar="EXPERIMENT [KEY=VALUE ...]")
    experiment, *given = parser.parse_args().experiment
    settings = {"train.devices": "cpu", **dict(setting.split("=", 1) for setting in given)}
    cases = [
        Case(name, {"kind": "training", "experiment": experiment, "settings": {**settings, "train.recompute": again}})
        for name, again in (("features kept", False), ("computed again", True))
    ]
    print("\n".join(report.rows(turns.measure("recompute", cases, SECONDS, least=ROUNDS))))


if __name__ == "__main__":
    main()
