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

LARGEST = 2**25
"""Bytes of a file: a list of a million names has less."""
DEEPEST = 20
"""Levels of lists and maps in one another; dataset.yaml needs four."""
MOST = 10**6
"""Values of a file, those that its aliases repeat among them: nine lines can stand for a thousand million."""
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
        if path.stat().st_size > LARGEST:
            raise DataError(f"has more than {LARGEST} bytes: it describes no data; splits can be files of names")
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".json":
            return json.loads(text, object_pairs_hook=_without_repeats)
        return yaml.load(text, _Loader)
    except RecursionError:
        raise DataError(f"has lists or maps of more than {DEEPEST} levels") from None
    except yaml.reader.ReaderError as error:
        raise DataError(f"no valid YAML: {str(error).splitlines()[0]}") from None
    except yaml.MarkedYAMLError as error:
        place = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise DataError(f"no valid YAML{place}: {error.problem}") from None
    except (ValueError, yaml.YAMLError) as error:
        raise error if isinstance(error, DataError) else DataError(f"can't be parsed: {error}") from None
    except OSError as error:
        raise DataError(f"can't be read: {error.strerror}") from None


class _Loader(yaml.SafeLoader):
    """Plain values alone. A key that stands twice is an error: YAML's own loader silently takes the last."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._level, self._sizes = 0, dict[int, int]()

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

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Refuses what has too many levels, or, through aliases, too many values; also what holds itself."""
        self._level += 1
        if self._level > DEEPEST:
            raise DataError(f"has lists or maps of more than {DEEPEST} levels")
        is_alias = self.check_event(yaml.AliasEvent)
        node = super().compose_node(parent, index)
        self._level -= 1
        if not is_alias:
            self._sizes[id(node)] = 1 + sum(map(self._size, _inner(node)))
        return node

    def _size(self, node):
        """How many values there are in a node that is composed; one that is not yet is within itself."""
        size = self._sizes.get(id(node), MOST + 1)
        if size > MOST:
            raise DataError(f"has aliases that stand for more than {MOST} values: write out what is meant")
        return size


_Loader.add_implicit_resolver(BOOL, re.compile("(true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
for _tag in DECIMAL:
    _Loader.add_constructor(_tag, _Loader.construct_number)


def _without_repeats(pairs):
    _refuse_doubles([key for key, _ in pairs])
    return dict(pairs)


def _inner(node):
    """The nodes right within a node."""
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _refuse_doubles(keys):
    seen = set()
    for key in keys:
        if isinstance(key, Hashable) and key in seen:
            raise DataError(f"{key!r:.100} stands there twice")
        seen.add(key if isinstance(key, Hashable) else id(key))
