"""Publish a model's release note on its git tag, through `gh`.

Usage: python -m mlops.github.model_release TAG COMMIT NOTE
"""

import os
import sys
from pathlib import Path

from mlops.errors import UserError, run_command
from mlops.github.gh_api import GitHubRefused, api


def publish_note(note: Path, tag: str, commit: str) -> str:
    """Create the release of a git tag unless it exists, and return a summary.

    GitHub does not let a workflow tag a commit whose workflow files differ from those of the
    default branch's newest commit; the summary is then the command to run by hand.

    Raises:
        UserError: GitHub rejects the call for another reason.
    """
    releases = f"repos/{os.environ['GITHUB_REPOSITORY']}/releases"
    model, text = tag.removeprefix("model-"), note.read_text(encoding="utf-8")
    fields = {"tag_name": tag, "target_commitish": commit, "name": f"Model {model}", "body": text}
    try:
        if _is_released(f"{releases}/tags/{tag}"):
            return f"{tag} is already released"
        api(releases, body=fields)
    except GitHubRefused as error:
        if "HTTP 403" not in str(error):
            raise UserError(f"The note can't be published: {error}") from error
        return (
            f"{tag} is not tagged: workflows may not do so if workflow files changed on main. Run: "
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
    print(f"model_release: {said}")
    with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as summary:
        summary.write(f"{said}\n")


if __name__ == "__main__":
    run_command(main)
