"""Edit the text of params.yaml: comments, order, quotes and line ends are kept."""

import datetime
import io
from collections.abc import Callable, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.scalarstring import DoubleQuotedScalarString


class _Representer(RoundTripRepresenter):
    """Writes None as null; a subclass, so that other users of ruamel.yaml are not affected."""

    def represent_none(self, _: None) -> Any:
        return self.represent_scalar("tag:yaml.org,2002:null", "null")


_Representer.add_representer(type(None), _Representer.represent_none)


def edit_params(text: str, change: Callable[[Any], None]) -> str:
    """Return the text after `change` has modified the parsed file, a mapping of sections."""
    yaml = YAML()
    yaml.Representer = _Representer
    yaml.preserve_quotes, yaml.width = True, 100
    params = yaml.load(text)
    change(params)
    written = io.StringIO()
    yaml.dump(params, written)
    return written.getvalue()


def quoted(day: datetime.date) -> DoubleQuotedScalarString:
    """Return a date for params.yaml: a quoted string, because DVC does not read YAML dates."""
    return DoubleQuotedScalarString(day.isoformat())


def on_one_line(items: Sequence[Any]) -> CommentedSeq:
    """Return a list that is written in flow style, as [a, b]."""
    sequence = CommentedSeq(items)
    sequence.fa.set_flow_style()
    return sequence
