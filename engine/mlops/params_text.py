"""The text of params.yaml with other values: comments, order, quotes and line ends stay."""

import datetime
import io
from collections.abc import Callable, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.scalarstring import DoubleQuotedScalarString


class _Representer(RoundTripRepresenter):
    """Writes null for nothing; of its own, for others write as they are used to."""

    def represent_none(self, _: None) -> Any:
        return self.represent_scalar("tag:yaml.org,2002:null", "null")


_Representer.add_representer(type(None), _Representer.represent_none)


def edit_params(text: str, change: Callable[[Any], None]) -> str:
    """Give the text after `change` has altered the sections, which it takes as one mapping."""
    yaml = YAML()
    yaml.Representer = _Representer
    yaml.preserve_quotes, yaml.width = True, 100
    params = yaml.load(text)
    change(params)
    written = io.StringIO()
    yaml.dump(params, written)
    return written.getvalue()


def quoted(day: datetime.date) -> DoubleQuotedScalarString:
    """Give a day as params.yaml has it: a string, for YAML's own dates are none."""
    return DoubleQuotedScalarString(day.isoformat())


def on_one_line(items: Sequence[Any]) -> CommentedSeq:
    """Give a list that is written as [a, b]."""
    sequence = CommentedSeq(items)
    sequence.fa.set_flow_style()
    return sequence
