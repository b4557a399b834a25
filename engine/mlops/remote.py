"""Configure the DVC remote: `make remote` points DVC at the URL in DVC_REMOTE_URL.

Without it, at the address in .dvc/public-url, if that file is committed: forks need it, because
their runs get no variables of the repository. No file that git tracks is changed.
"""

import os
import re
import sys
from pathlib import Path

from configobj import ConfigObj

from mlops.errors import UserError, run_command
from mlops.files import atomic_write

NAME = "storage"
"""The remote in .dvc/config; only its address and credentials are overridden."""

CONFIG = Path(".dvc/config.local")
PUBLIC = Path(".dvc/public-url")


def connect(root: Path, url: str, settings: str = "") -> None:
    """Write `.dvc/config.local`, readable only by its owner.

    Args:
        url: `s3://`, `gs://`, `azure://`, `ssh://`, `https://` (read-only), or a folder.
        settings: lines `option = value` as for `dvc remote modify`, such as credentials.

    Raises:
        UserError: a setting is malformed, or would change the URL or disable verification.
    """
    options = {"url": url if "://" in url else str((root / url).resolve())}
    for number, line in enumerate(filter(None, map(str.strip, settings.splitlines())), start=1):
        name, found, value = (part.strip() for part in line.partition("="))
        if not found or not name.isidentifier() or name in ("url", "verify"):
            raise UserError(
                f"DVC_REMOTE_SETTINGS: line {number}: wanted OPTION = VALUE of a DVC remote"
            )
        options[name] = value
    # A pull request's .dvc/config can then neither change the remote nor disable verification.
    content = {"core": {"remote": NAME}, f'remote "{NAME}"': {"verify": "true", **options}}
    config = ConfigObj(content, encoding="utf-8", list_values=False, interpolation=False)
    with atomic_write(root / CONFIG) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_bytes(b"\n".join([*config.write(), b""]))


def public_url(root: Path) -> str:
    """Return the publicly readable address, or an empty text if there is none.

    Raises:
        UserError: the file is not one https:// address.
    """
    path = root / PUBLIC
    url = path.read_text(encoding="utf-8").strip() if path.exists() else ""
    if url and not re.fullmatch(r"https://\S+", url):
        raise UserError(f"{PUBLIC}: found {url!r:.200}, wanted one https:// address")
    return url


def main() -> None:
    url = os.environ.get("DVC_REMOTE_URL") or public_url(Path())
    if not url:
        raise UserError("DVC_REMOTE_URL is not set", advice="For example: s3://bucket/path")
    connect(Path(), url, os.environ.get("DVC_REMOTE_SETTINGS", ""))
    print(f"DVC keeps data and models in {url}", file=sys.stderr)


if __name__ == "__main__":
    run_command(main)
