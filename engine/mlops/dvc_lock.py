"""Two locks of one pipeline: do they stand for the same outputs?

An output of the same inputs has the same bytes, with one excuse: another kind of processor may fit
a model whose numbers differ in their last bits. What the model predicts is rounded where it is
written, so the excuse ends at the model's own files: predictions and metrics have one hash.
"""

from typing import Any

from mlops.paths import EVALUATION, METRICS, MODEL, PREDICTIONS

Stages = dict[str, Any]
"""Stage name -> what dvc.lock says of its command, dependencies, parameters and outputs."""

_ROUNDED = {path.as_posix() for path in (EVALUATION, METRICS, PREDICTIONS)}


def outputs(stages: Stages) -> dict[str, str]:
    """Give the hash of each output by its path."""
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}


def moved_with_model(reviewed: Stages, made: Stages) -> list[str]:
    """List the outputs of a model refitted whose bytes differ; of the same model there are none.

    They are those of the model's stage and of all stages behind it, save for what is rounded.
    """
    before, after = outputs(reviewed), outputs(made)
    if before.get(MODEL.as_posix()) == after.get(MODEL.as_posix()):
        return []
    excused = _behind_model(made) - _ROUNDED
    return sorted(path for path in excused if before.get(path) != after.get(path))


def differences(reviewed: Stages, made: Stages) -> list[str]:
    """List in what two locks differ, apart from `moved_with_model`; or the first in itself."""
    excused = set(moved_with_model(reviewed, made))
    before, after = _facts(reviewed, excused), _facts(made, excused)
    found = [
        f"{name}: reviewed {before.get(name)}, found {after.get(name)}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
    return found + _contradictions(reviewed)


def unvouched(committed: Stages, base: Stages, made: Stages) -> list[str]:
    """List the outputs that a lock names otherwise than they were made, and nobody vouches for.

    The base vouches for a stage whose entry is its own to the letter, inputs included.
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
            if "md5" not in entry:  # a server's word; what was read of it is an output's hash
                told = {}
            facts[f"{name}: {entry['path']}"] = "of a model" if entry["path"] in excused else told
    return facts


def _contradictions(stages: Stages) -> list[str]:
    """List the outputs that one stage is said to have used with another hash than they have."""
    made = outputs(stages)
    return [
        f"{name}: {entry['path']}: used {entry.get('md5')}, made {made[entry['path']]}"
        for name, stage in stages.items()
        for entry in stage.get("deps", [])
        if entry["path"] in made and entry.get("md5") != made[entry["path"]]
    ]


def _behind_model(stages: Stages) -> set[str]:
    """List the outputs of the stage that fits the model, and of all that use what they gave."""
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
