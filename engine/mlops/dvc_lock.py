"""Compare two versions of dvc.lock: do they describe the same outputs?

The same inputs produce the same bytes, with one exception: a model fitted on another kind of
processor may differ in the last bits of its numbers. Predictions are rounded when written, so the
exception covers only the model's own files: predictions and metrics must have the same hash.
"""

from typing import Any

from mlops.paths import EVALUATION, METRICS, MODEL, PREDICTIONS

Stages = dict[str, Any]
"""Stage name -> its entry in dvc.lock: command, dependencies, parameters and outputs."""

_ROUNDED = {path.as_posix() for path in (EVALUATION, METRICS, PREDICTIONS)}


def outputs(stages: Stages) -> dict[str, str]:
    """Return path -> hash of each output."""
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}


def moved_with_model(reviewed: Stages, made: Stages) -> list[str]:
    """List the outputs that may differ because the model was refitted; none if it is the same.

    They are outputs of the model's stage and of all stages downstream, except rounded files.
    """
    before, after = outputs(reviewed), outputs(made)
    if before.get(MODEL.as_posix()) == after.get(MODEL.as_posix()):
        return []
    excused = _behind_model(made) - _ROUNDED
    return sorted(path for path in excused if before.get(path) != after.get(path))


def differences(reviewed: Stages, made: Stages) -> list[str]:
    """List differences of two locks except `moved_with_model`, and contradictions in the first."""
    excused = set(moved_with_model(reviewed, made))
    before, after = _facts(reviewed, excused), _facts(made, excused)
    found = [
        f"{name}: reviewed {before.get(name)}, found {after.get(name)}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
    return found + _contradictions(reviewed)


def unvouched(committed: Stages, base: Stages, made: Stages) -> list[str]:
    """List the outputs whose entry in a lock differs from the one produced, without confirmation.

    The base's lock confirms a stage if it has exactly the same entry, inputs included.
    """
    found = {out["path"]: out for stage in made.values() for out in stage.get("outs", [])}
    return [
        out["path"]
        for name, stage in committed.items()
        if stage != base.get(name)
        for out in stage.get("outs", [])
        if out != found.get(out["path"])
    ]


def _facts(stages: Stages, excused: set[str]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    made = outputs(stages)
    for name, stage in stages.items():
        facts[f"{name}: command"] = stage["cmd"]
        for file, values in stage.get("params", {}).items():
            facts |= {f"{name}: {file}: {key}": value for key, value in values.items()}
        known = [entry for entry in stage.get("deps", []) if entry["path"] not in made]
        for entry in [*known, *stage.get("outs", [])]:
            told = {k: v for k, v in entry.items() if k != "path"}
            if "md5" not in entry:  # a server; the data read from it is hashed as an output
                told = {}
            facts[f"{name}: {entry['path']}"] = "of a model" if entry["path"] in excused else told
    return facts


def _contradictions(stages: Stages) -> list[str]:
    """List the outputs that a stage depends on with another hash than the one produced."""
    made = outputs(stages)
    return [
        f"{name}: {entry['path']}: used {entry.get('md5')}, made {made[entry['path']]}"
        for name, stage in stages.items()
        for entry in stage.get("deps", [])
        if entry["path"] in made and entry.get("md5") != made[entry["path"]]
    ]


def _behind_model(stages: Stages) -> set[str]:
    """List the outputs of the stage that fits the model and of all stages downstream."""
    found = {MODEL.as_posix()}
    while True:
        more = {
            out["path"]
            for stage in stages.values()
            if found & {entry["path"] for key in ("deps", "outs") for entry in stage.get(key, [])}
            for out in stage.get("outs", [])
        }
        if more <= found:
            return found
        found |= more
