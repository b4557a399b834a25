"""What differs between two sides: parameters, stages."""

from mlops.review.differences import ABSENT, params_diff, stages_diff


def test_parameters_that_differ_are_listed_by_path() -> None:
    base = {"a": 1, "b": {"c": 1, "gone": 2}, "same": [1, 2]}
    candidate = {"a": 1, "b": {"c": 2, "new": {"deep": None}}, "same": [1, 2]}

    assert params_diff(base, candidate) == [
        ("b.c", 1, 2),
        ("b.gone", 2, ABSENT),
        ("b.new.deep", ABSENT, None),
    ]


def test_equal_parameters_differ_in_nothing() -> None:
    assert params_diff({"a": {}}, {"a": {}}) == []


def test_a_stage_differs_by_anything_that_the_lock_says_of_it() -> None:
    base = {"train": {"cmd": "x", "outs": [{"md5": "1"}]}, "gone": {}}
    candidate = {"train": {"cmd": "x", "outs": [{"md5": "2"}]}, "new": {}}

    assert stages_diff(base, candidate) == {"train": True, "new": True}
    assert stages_diff(base, base) == {"train": False, "gone": False}
