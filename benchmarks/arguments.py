"""What the programs of this folder take on their command lines."""

import argparse
import math
import os
import sys

LEAST = 1.0
"""Minutes of a training."""


def parser_of(module, **options):
    """Parser of the program that `module` (its name in `sys.modules`, or "__main__") is: --help is its docstring."""
    module = sys.modules[module]
    name = module.__spec__.name.removesuffix(".__main__")
    options = {"prog": f"python -m {name}", **options}
    return argparse.ArgumentParser(
        description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, **options
    )


def without_gpus():
    """Hides GPUs from this process and all that it starts: what is compared are CPUs."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"


def minutes_of_training(text):
    """Type of an argument. Raises `ArgumentTypeError` where no training can have so many minutes."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not LEAST <= found < math.inf:
        least = f"give {LEAST:g} or more; to start and to plan takes half of one"
        raise argparse.ArgumentTypeError(f"{text!r:.40}: {least}")
    return found
