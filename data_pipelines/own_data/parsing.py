"""A dataset.yaml or dataset.json as plain values; what is no YAML, or says a thing twice, is refused."""

from __future__ import annotations

import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from data_pipelines.spec import DataError


def parse(path: Path) -> Any:
    """What the file holds: maps, lists, texts, numbers.

    Raises:
      DataError: it can't be read or parsed, or a key stands there twice.
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

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Refuses a key that stands there twice."""
        _refuse_doubles([self.construct_object(key, deep=True) for key, _ in node.value])
        return super().construct_mapping(node, deep)


def _without_repeats(pairs):
    _refuse_doubles([key for key, _ in pairs])
    return dict(pairs)


def _refuse_doubles(keys):
    for key in keys:
        if keys.count(key) > 1:
            raise DataError(f"{key!r} stands there twice")
