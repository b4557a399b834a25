"""The release note of a model: what is in its image, and what changed since the one before.

Command note: publish it on the model's git tag, by `gh`; standard library only.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlops.errors import UserError, run_command
from mlops.github.gh_api import GitHubRefused, api
from mlops.release.labels import Contents
from mlops.release.signature import signer
from mlops.review.github_markdown import table


def release_note(address: str, new: Contents, old: Contents | None) -> str:
    """Write it: how to get, run and verify the image; metrics, data and parameters, and those of
    the release before.
    """
    before = old or new
    return "\n\n".join(
        [
            f"# Model {new.model}",
            f"Commit {new.commit}. " + (f"Before: model {old.model}." if old else "The first one."),
            f"```console\n{commands(address)}```",
            "## Metrics on the test rows",
            _table(before.metrics, new.metrics, old is not None),
            "## Data",
            _table(_flat(before.data), _flat(new.data), old is not None),
            "## Parameters",
            _table(before.params, new.params, old is not None),
        ]
    )


def commands(address: str) -> str:
    """Give the lines that pull, verify and run an image."""
    repository = os.environ.get("GITHUB_REPOSITORY")
    attested = os.environ.get("ATTESTED") != "false"
    return (
        f"$ docker pull {address}\n"
        + f"$ gh attestation verify oci://{address} --repo {repository}\n" * attested
        + f"$ cosign verify {' '.join(signer())} {address}\n"
        "$ docker run --read-only --cap-drop ALL --security-opt no-new-privileges \\\n"
        f"    -p 127.0.0.1:8000:8000 -v predictions:/data {address}\n"
    )


def _flat(data: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {f"{part} {name}": v for part, facts in data.items() for name, v in facts.items()}


def _table(before: Mapping[str, Any], after: Mapping[str, Any], compared: bool) -> str:
    names = [*after, *(name for name in before if name not in after)]
    if not compared:
        return table(("", ""), "ll", [(name, f"{after[name]}") for name in names])
    rows = []
    for name in names:
        old, new = before.get(name, ""), after.get(name, "")
        rows.append((name, f"{old}", f"{new}" if new == old else f"**{new}**"))
    return table(("", "before", "now"), "lll", rows)


def publish_note(note: Path, tag: str, commit: str) -> str:
    """Make the release of a git tag, and say so; one that exists stays as it is.

    GitHub lets no workflow tag a commit whose workflow files are others than those of the default
    branch's newest commit; then the line to type is said instead.

    Raises:
        UserError: GitHub refuses for another reason.
    """
    releases = f"repos/{os.environ['GITHUB_REPOSITORY']}/releases"
    model, text = tag.removeprefix("model-"), note.read_text(encoding="utf-8")
    fields = {"tag_name": tag, "target_commitish": commit, "name": f"Model {model}", "body": text}
    try:
        if _is_released(f"{releases}/tags/{tag}"):
            return f"{tag} was released before"
        api(releases, body=fields)
    except GitHubRefused as error:
        if "HTTP 403" not in str(error):
            raise UserError(f"The note can't be published: {error}") from error
        return (
            f"{tag} is not tagged: no workflow may do so once others have changed on main. Type: "
            f"gh run download {os.environ['GITHUB_RUN_ID']} --name note && gh release create {tag} "
            f"--target {commit} --title 'Model {model}' --notes-file {note.name}"
        )
    return f"{tag} released"


def _is_released(path: str) -> bool:
    try:
        api(path)
    except GitHubRefused as error:
        if "HTTP 404" in str(error):
            return False
        raise
    return True


def main() -> None:
    tag, commit, note = sys.argv[1:]
    said = publish_note(Path(note), tag, commit)
    print(f"note: {said}")
    with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as summary:
        summary.write(f"{said}\n")


if __name__ == "__main__":
    run_command(main)
