"""What the programs of this folder take on their command lines."""

import argparse
import sys


def parser_of(module, **options):
    """Parser of the program that `module` (its name in `sys.modules`, or "__main__") is: --help is its docstring."""
    module = sys.modules[module]
    name = module.__spec__.name.removesuffix(".__main__")
    options = {"prog": f"python -m {name}", **options}
    return argparse.ArgumentParser(
        description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, **options
    )
