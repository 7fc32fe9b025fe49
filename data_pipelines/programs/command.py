"""What the command-line programs of this package share: their arguments, and one clear line for every error."""

from __future__ import annotations

import argparse
import ast
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

from data_pipelines.spec import DataError

FAILED, BAD_INPUT = 1, 2
"""Exit statuses for a failure while running (network, disk), and for bad input or a bad command line."""


class Parser(argparse.ArgumentParser):
    """A parser with the arguments every program takes, and without the usage text in front of an error.

    Args:
      description, epilog: before and after the list of arguments in --help.
      dataset: whether the program is told which data set it is for.
    """

    def __init__(self, description: str, epilog: str, dataset: bool = True) -> None:
        super().__init__(
            prog=os.path.basename(sys.argv[0]),  # "did_tf check-data"
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if dataset:
            self.add_argument("--dataset", required=True, metavar="NAME", help="data set, such as camvid")
        self.add_argument("--folder", metavar="DIR", help="where its files are (default: data/NAME)")
        self.add_argument("--debug", action="store_true", help="print the traceback of an error")

    def error(self, message: str) -> NoReturn:
        """Ends the program with `BAD_INPUT` and one line on stderr."""
        self.exit(BAD_INPUT, f"error: {message} (--help lists the arguments)\n")


def options(texts: list[str]) -> dict[str, Any]:
    """Options of a data set from texts "key=value", the values as Python reads them, else as text.

    Raises:
      DataError: a text of another kind.
    """
    return dict(map(_option, texts))


def literal(text: str) -> Any:
    """The Python value that a text stands for, "true" and "false" in any case, else the text."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python has a word on "1if", which is a text
            return ast.literal_eval(text.capitalize() if text.lower() in ("true", "false") else text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):  # the latter two of many brackets or signs
        return text


def run(program: Callable[[argparse.Namespace], int], parser: Parser, argv: list[str] | None = None) -> int:
    """Parses `argv` and runs `program`. Returns the exit status; an error is one line on stderr.

    Anything but `DataError` counts as a failure while running.
    """
    args = parser.parse_args(argv)
    try:
        return program(args)
    except KeyboardInterrupt:
        return _report("interrupted", 128 + signal.SIGINT, args.debug)
    except DataError as error:
        return _report(error, BAD_INPUT, args.debug)
    except (OSError, RuntimeError) as error:
        return _report(error, FAILED, args.debug)
    except Exception as error:
        return _report(f"{type(error).__name__}: {error} (--debug shows where)", FAILED, args.debug)


def _report(error, status, debug):
    if debug:
        traceback.print_exc()
    print("error:", " ".join(str(error).split()), file=sys.stderr)
    return status


def _option(text):
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise DataError(f"option {text!r}: expected KEY=VALUE")
    return key, literal(os.path.expanduser(value) if value.startswith("~/") else value)
