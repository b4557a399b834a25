"""Factors between units that people mix up."""

_CLOSE = 0.005

_UNITS = (
    (10.76391, "square metres", "square feet"),
    (3.28084, "metres", "feet"),
    (2.54, "inches", "centimetres"),
    (25.4, "inches", "millimetres"),
    (12.0, "feet", "inches, or years to months"),
    (1.609344, "miles", "kilometres"),
    (2.204623, "kilograms", "pounds"),
    (28.349523, "ounces", "grams"),
    (3.785412, "gallons", "litres"),
    (4046.856, "acres", "square metres"),
    (43560.0, "acres", "square feet"),
    (10_000.0, "hectares", "square metres"),
    (3.6, "metres a second", "kilometres an hour"),
    (7.0, "weeks", "days"),
    (24.0, "days", "hours"),
    (60.0, "hours", "minutes, or minutes to seconds"),
    (3_600.0, "hours", "seconds"),
    (86_400.0, "days", "seconds"),
    (100.0, "shares", "per cent, or whole units to hundredths"),
    (1_000.0, "thousands", "units, or units to thousandths"),
    (1_000_000.0, "millions", "units"),
)


def unit_of(factor: float) -> str:
    """Guess the units that a factor converts between, in parentheses; empty if it is unknown."""
    for known, first, second in _UNITS:
        if abs(factor / known - 1) <= _CLOSE:
            return f" ({first} to {second}?)"
        if abs(factor * known - 1) <= _CLOSE:
            return f" ({second.split(',')[0]} to {first}?)"
    return ""


def nearest_factor(ratio: float, within: float) -> float | None:
    """Return the unit factor closest to a ratio; None if it differs by a share above `within`."""
    factors = [f for known, _, _ in _UNITS if known > 3 for f in (known, 1 / known)]
    best = min(factors, key=lambda factor: abs(ratio / factor - 1))
    return best if abs(ratio / best - 1) <= within else None
