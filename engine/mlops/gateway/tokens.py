"""Unguessable texts, of which ids are made."""

import os
from collections.abc import Iterator

_BYTES, _DRAWN = 8, 512  # bytes of a text; texts that one call to the system draws


def random_tokens() -> Iterator[str]:
    """Yield texts of 16 hexadecimal digits, without end.

    A call to the system for each would take a tenth of a prediction's time. Not to be shared by
    processes: a fork would yield the same texts.
    """
    while True:
        drawn = os.urandom(_BYTES * _DRAWN).hex()
        for start in range(0, len(drawn), 2 * _BYTES):
            yield drawn[start : start + 2 * _BYTES]
