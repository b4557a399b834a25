"""The section of the report on replayed requests: only counts, never values of requests."""

from mlops.review.github_markdown import cell, folded
from mlops.review.replay import LISTED, Replay


def replay_section(found: Replay | None) -> str:
    """Summarize how answers to production's requests would differ."""
    if found is None:
        return ""
    parts = [
        f"{share:.1%} " + (f"by more than {far:.0%}" if far else "with another class")
        for far, share in found.moved.items()
    ]
    words = [f"changed answers: {', '.join(parts) or 'none'}"]
    for what, pair, by_column in (
        ("refused", found.refused, found.refused_by),
        ("outside of what training saw", found.outside, found.outside_by),
    ):
        columns = ", ".join(f"{cell(c)} {k:,}" for c, k in list(by_column.items())[:LISTED])
        words.append(f"{what}: {pair[1]:,}, base {pair[0]:,}{columns and f' ({columns})'}")
    return folded(f"Replay of {found.requests:,} requests of production", f"{'; '.join(words)}.")
