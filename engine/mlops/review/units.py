"""Factors between units that people mix up, and their names."""

import math

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

_DEGREES = (
    (1.8, 32.0, "Celsius to Fahrenheit"),
    (1 / 1.8, -32 / 1.8, "Fahrenheit to Celsius"),
    (1.0, 273.15, "Celsius to kelvin"),
    (1.0, -273.15, "kelvin to Celsius"),
)


def unit_of(factor: float, offset: float = 0.0) -> str:
    """Guess the units that a change converts between, in parentheses; empty if it is unknown."""
    if offset:
        for slope, start, words in _DEGREES:
            if _near(factor, slope) and _near(offset, start):
                return f" (degrees {words}?)"
        return ""
    for known, first, second in _UNITS:
        if _near(factor, known):
            return f" ({first} to {second}?)"
        if _near(factor, 1 / known):
            return f" ({second.split(',')[0]} to {first}?)"
    return ""


def _near(value: float, known: float) -> bool:
    return abs(value / known - 1) <= _CLOSE


def nearest_factor(ratio: float, within: float) -> float:
    """Return the unit factor closest to a ratio, or the ratio itself if none is close.

    Args:
        within: largest difference, as a share of the factor's logarithm: the larger a factor, the
            further off a ratio of few values may be.
    """
    factors = [factor for known, _, _ in _UNITS for factor in (known, 1 / known)]
    best = min(factors, key=lambda factor: abs(math.log(ratio / factor)))
    return best if abs(math.log(ratio / best)) <= within * abs(math.log(best)) else ratio
