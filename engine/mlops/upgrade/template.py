"""Where a later engine comes from: the template's repository, its tags and files, by git."""

import re
import subprocess

from mlops.errors import UserError
from mlops.integrity import is_managed

NEW, OLD = "refs/mlops/upgrade/new", "refs/mlops/upgrade/old"
SETTING = "mlops.template"
_TAG = re.compile(r"v(\d+)\.(\d+)\.(\d+)")


def git(*arguments: str) -> bytes:
    """Run git and give what it prints.

    Raises:
        UserError: git refuses, in its own words.
    """
    run = subprocess.run(["git", *arguments], capture_output=True)
    if run.returncode:
        raise UserError(f"git {arguments[0]}: {run.stderr.decode(errors='replace').strip()}")
    return run.stdout


def source_of(given: str | None) -> str:
    """Give the template's address: as given, or as the last upgrade here had it.

    Raises:
        UserError: neither says.
    """
    known = subprocess.run(["git", "config", SETTING], capture_output=True, text=True)
    if not (url := given or known.stdout.strip()):
        raise UserError(
            "The template's address is not known",
            advice="make upgrade FROM=https://github.com/OWNER/TEMPLATE; saved in .git/config",
        )
    return url


def choose_tag(url: str, wanted: str | None, current: str) -> str:
    """Give the tag to take: the one wanted, or the newest.

    Raises:
        UserError: there is no such tag, or it is not later than what is here.
    """
    listed = git("ls-remote", "--tags", "--refs", url).decode().split()[1::2]
    tags = [name.removeprefix("refs/tags/") for name in listed]
    known = sorted((tag for tag in tags if _TAG.fullmatch(tag)), key=_numbers)
    if not known or (wanted and wanted not in known):
        found = ", ".join(known) or "none"
        raise UserError(f"{url}: found tags {found}; wanted {wanted or 'one like v1.2.0'}")
    tag = wanted or known[-1]
    later = [one for one in known if _numbers(one) > _numbers(f"v{current}")]
    if tag not in later:
        advice = f"Later tags: {', '.join(later) or 'none'}"
        raise UserError(f"The installed engine is {current}; {tag} is not later", advice=advice)
    return tag


def _numbers(tag: str) -> tuple[int, ...]:
    found = _TAG.fullmatch(tag)
    return tuple(map(int, found.groups())) if found else (0,)


def fetch(url: str, tag: str, current: str) -> bool:
    """Bring the new version here, and the one that this repository began with, if it can be had."""
    git("fetch", "--quiet", "--no-tags", "--depth=1", url, f"+refs/tags/{tag}:{NEW}")
    old = f"+refs/tags/v{current}:{OLD}"
    run = subprocess.run(
        ["git", "fetch", "--quiet", "--no-tags", "--depth=1", url, old], capture_output=True
    )
    return run.returncode == 0


def files_of(reference: str) -> dict[str, tuple[str, int]]:
    """List the managed files of a version: name -> blob and file mode."""
    found = {}
    for line in git("ls-tree", "-r", "-z", reference).decode().split("\0")[:-1]:
        mode, kind, rest = line.split(" ", 2)
        blob, name = rest.split("\t", 1)
        if kind == "blob" and mode != "120000" and is_managed(name):
            found[name] = (blob, int(mode, 8) & 0o777)
    return found
