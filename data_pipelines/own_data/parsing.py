"""A dataset.yaml or dataset.json as plain values; what is no YAML, or says a thing twice, is refused.

Of YAML, words mean what YAML 1.2 says: yes, no, on, off and dates are text, and a number is decimal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from data_pipelines.spec import DataError

INT, FLOAT, BOOL = (f"tag:yaml.org,2002:{name}" for name in ("int", "float", "bool"))
DECIMAL = {
    INT: re.compile(r"[-+]?(0|[1-9][0-9]*)"),
    FLOAT: re.compile(r"[-+]?([0-9]*\.?[0-9]*(e[-+]?[0-9]+)?|\.inf|\.nan)", re.IGNORECASE),
}


def parse(path: Path) -> Any:
    """What the file holds: maps, lists, texts, numbers.

    Raises:
      DataError: it can't be read or parsed, a key stands there twice, or a number is none that everybody reads alike.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".json":
            return json.loads(text, object_pairs_hook=_without_repeats)
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        place = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise DataError(f"no valid YAML{place}: {error.problem}") from None
    except (ValueError, yaml.YAMLError) as error:
        raise error if isinstance(error, DataError) else DataError(f"can't be parsed: {error}") from None
    except OSError as error:
        raise DataError(f"can't be read: {error.strerror}") from None


class _Loader(yaml.SafeLoader):
    """Plain values alone. A key that stands twice is an error: YAML's own loader silently takes the last."""

    # YAML 1.1 takes yes, no, on and off for truth, and 2024-01-31 for a date.
    yaml_implicit_resolvers = {
        first: [(tag, regexp) for tag, regexp in found if not tag.endswith((":bool", ":timestamp"))]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Refuses a key that stands there twice."""
        _refuse_doubles([self.construct_object(key, deep=True) for key, _ in node.value])
        return super().construct_mapping(node, deep)

    def construct_number(self, node: yaml.ScalarNode) -> float:
        """Refuses what YAML 1.1 reads in another base: 010 is 8 there, and 1:30 is 90."""
        if not DECIMAL[node.tag].fullmatch(node.value):
            raise DataError(
                f"line {node.start_mark.line + 1} has {node.value}, which YAML reads as another number: write it in "
                f"plain digits, or as text in quotes ({node.value!r})"
            )
        return self.construct_yaml_int(node) if node.tag == INT else self.construct_yaml_float(node)


_Loader.add_implicit_resolver(BOOL, re.compile("true|True|TRUE|false|False|FALSE"), list("tTfF"))
for _tag in DECIMAL:
    _Loader.add_constructor(_tag, _Loader.construct_number)


def _without_repeats(pairs):
    _refuse_doubles([key for key, _ in pairs])
    return dict(pairs)


def _refuse_doubles(keys):
    for key in keys:
        if keys.count(key) > 1:
            raise DataError(f"{key!r} stands there twice")
