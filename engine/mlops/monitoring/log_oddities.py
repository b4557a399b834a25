"""Count what is odd in the prediction log: other models, unknown rows, clocks that differ."""

import sqlalchemy as sa

from mlops.monitoring.log_tables import Log

_SKEW_SECONDS = 300.0
_LISTED = 3


def other_models(
    log: Log, version: str, start: float, told: float
) -> tuple[list[str], float | None]:
    """Count predictions and feedback of other models (earlier ones, a canary), which aren't judged.

    Returns:
        The messages, and the time of the last of these predictions in the window.
    """
    p, f, connection = log.predictions.c, log.feedback.c, log.connection
    n_rows, n_labels = sa.func.sum(p.n_rows), sa.func.count()
    by_version = sa.select(p.model_version).where(p.model_version != version)
    by_version = by_version.group_by(p.model_version)
    rows = by_version.add_columns(n_rows, sa.func.max(p.at)).where(p.at >= start)
    asked = connection.execute(rows.order_by(n_rows.desc(), p.model_version)).all()
    both = sa.join(log.feedback, log.predictions, p.prediction_id == log.record)
    labels = by_version.add_columns(n_labels, sa.func.max(p.at)).select_from(both)
    labels = labels.where(f.at >= told).order_by(n_labels.desc(), p.model_version)
    labelled = connection.execute(labels).all()
    said = [
        f"{sum(n for _, n, _ in found):,} {what} of other models are not judged: "
        + ", ".join(name for name, _, _ in found[:_LISTED])
        + f" and {len(found) - _LISTED} more" * (len(found) > _LISTED)
        for what, found in (("prediction(s)", asked), ("feedback row(s)", labelled))
        if found
    ]
    return said, max((at for _, _, at in asked), default=None)


def odd_rows(log: Log, told: float, most: int, now: float) -> list[str]:
    """Count predictions and feedback that can't be right; of feedback, only the newest rows.

    Returns:
        The messages.
    """
    p, f, connection = log.predictions.c, log.feedback.c, log.connection
    labels = sa.select(f.at, log.record).where(f.at >= told).order_by(f.at.desc())
    newest = labels.limit(most).subquery()
    both = sa.outerjoin(newest, log.predictions, newest.c.record == p.prediction_id)
    unknown = sa.func.count().filter(p.prediction_id.is_(None))
    early = sa.func.count().filter(newest.c.at < p.at - _SKEW_SECONDS)
    ahead = sa.select(sa.func.sum(p.n_rows)).where(p.at > now + _SKEW_SECONDS)
    orphans, older = connection.execute(sa.select(unknown, early).select_from(both)).one()
    counts = {
        "prediction(s) lie in the future: a server's clock is ahead": (
            connection.execute(ahead).scalar() or 0
        ),
        "feedback row(s) are of predictions that the log doesn't have; they are ignored": orphans,
        "feedback row(s) are older than their predictions: the servers' clocks differ": older,
    }
    return [f"{n:,} {text}" for text, n in counts.items() if n]
