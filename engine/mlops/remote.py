"""Keep data and models in real storage: `make remote` points DVC at the URL in DVC_REMOTE_URL.

Without it, at the address in .dvc/public-url, if that is committed: all that forks can read, for
no variable of a repository reaches their runs. Nothing that git tracks changes.
"""

import os
import re
import sys
from pathlib import Path

from configobj import ConfigObj

from mlops.errors import UserError, run_command
from mlops.files import atomic_write

NAME = "storage"
"""The remote in .dvc/config, of which only the address and the credentials differ."""

CONFIG = Path(".dvc/config.local")
PUBLIC = Path(".dvc/public-url")


def connect(root: Path, url: str, settings: str = "") -> None:
    """Write `.dvc/config.local`, readable by its owner alone.

    Args:
        url: `s3://`, `gs://`, `azure://`, `ssh://`, `https://` (to read), or a folder.
        settings: lines `option = value` of `dvc remote modify`, such as credentials.

    Raises:
        UserError: a setting is no such line, or would switch off the check of what is fetched.
    """
    options = {"url": url if "://" in url else str((root / url).resolve())}
    for number, line in enumerate(filter(None, map(str.strip, settings.splitlines())), start=1):
        name, found, value = (part.strip() for part in line.partition("="))
        if not found or not name.isidentifier() or name in ("url", "verify"):
            raise UserError(
                f"DVC_REMOTE_SETTINGS: line {number}: wanted option = value of a remote"
            )
        options[name] = value
    # What a pull request writes into .dvc/config neither moves the storage nor stops its check.
    content = {"core": {"remote": NAME}, f'remote "{NAME}"': {"verify": "true", **options}}
    config = ConfigObj(content, encoding="utf-8", list_values=False, interpolation=False)
    with atomic_write(root / CONFIG) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_bytes(b"\n".join([*config.write(), b""]))


def public_url(root: Path) -> str:
    """Give the address that everybody may read, or an empty text where there is none.

    Raises:
        UserError: it is not of https.
    """
    path = root / PUBLIC
    url = path.read_text(encoding="utf-8").strip() if path.exists() else ""
    if url and not re.fullmatch(r"https://\S+", url):
        raise UserError(f"{PUBLIC}: found {url!r:.200}, wanted one https:// address")
    return url


def main() -> None:
    url = os.environ.get("DVC_REMOTE_URL") or public_url(Path())
    if not url:
        raise UserError("DVC_REMOTE_URL is not set", advice="Such as: s3://bucket/path")
    connect(Path(), url, os.environ.get("DVC_REMOTE_SETTINGS", ""))
    print(f"DVC keeps data and models in {url}", file=sys.stderr)


if __name__ == "__main__":
    run_command(main)
