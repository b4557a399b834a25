"""What a pull request can write into files that DVC reads before any of its code runs."""

import json
import os
from pathlib import Path

import pytest

from clones import run
from mlops import cache_check
from mlops.errors import UserError
from mlops.fetch import fetch
from mlops.files import read_json
from mlops.repair_dvc import recover
from mlops.review.gate import check_storage_is_kept
from mlops.review.hostile_files import refuse_hostile
from mlops.versions import params_at
from test_cache_check import put
from test_remote import dvc, md5

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)
)
HOSTILE = {
    "aliases": BOMB,
    "a merge key": "stages: {<<: {a: 1}}\n",
    "a tag": "stages: !!python/name:os.system ''\n",
    "depth": "stages: " + "[" * 5000 + "]" * 5000 + "\n",
    "a long number": "stages: " + "9" * 900_000 + "\n",
    "size": "#" * 1_100_000,
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    run(folder, "git init -q -b main && dvc init -q && echo 'stages: {}' > dvc.yaml")
    (folder / "data").mkdir()
    (folder / "data/rows.csv").write_text("1\n")
    return folder


@pytest.mark.parametrize("name", ["dvc.yaml", "dvc.lock", "batch/dvc.yaml", "data/rows.dvc"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_yaml_that_becomes_large_is_refused_before_dvc_reads_it(
    kind: str, name: str, checkout: Path
) -> None:
    (checkout / name).parent.mkdir(exist_ok=True)
    (checkout / name).write_text(HOSTILE[kind])
    run(checkout, "git add -A")

    with pytest.raises(UserError, match=name) as refused:
        refuse_hostile(checkout)

    assert str(checkout) not in str(refused.value)


@pytest.mark.parametrize("target", ["/dev/zero", "/proc/self/environ", "/", "..", "nowhere"])
@pytest.mark.parametrize("name", ["source", "data/z.csv", "dvc.yaml"])
def test_a_link_that_leads_out_of_the_repository_is_refused_before_dvc_hashes_it(
    target: str, name: str, checkout: Path
) -> None:
    (checkout / name).unlink(missing_ok=True)
    (checkout / name).symlink_to(target if name == "source" or target[0] == "/" else f"../{target}")
    run(checkout, "git add -A")

    with pytest.raises(UserError, match=f"{name}: is a link"):
        refuse_hostile(checkout)


def test_plain_files_links_within_the_repository_and_files_that_are_gone_are_no_fault(
    checkout: Path,
) -> None:
    (checkout / "rows.csv").symlink_to("data/rows.csv")
    (checkout / "newest").symlink_to("data")
    (checkout / "cut/dvc.lock").parent.mkdir()
    (checkout / "cut/dvc.lock").write_text("schema: '2.0\n")  # a killed DVC: `recover` mends it
    run(checkout, "git add -A")
    (checkout / "dvc.yaml").unlink()

    refuse_hostile(checkout)


@pytest.mark.parametrize("kind", ["aliases", "depth", "a long number", "a tag"])
def test_no_reader_of_our_own_expands_hostile_yaml(kind: str, checkout: Path) -> None:
    for name in ("dvc.lock", "data/rows.dvc", "params.yaml"):
        (checkout / name).write_text(HOSTILE[kind])
    run(checkout, "git add -A && git commit -q -m hostile")

    with pytest.raises(UserError, match=r"dvc\.lock"):
        recover(checkout)
    with pytest.raises(UserError, match=r"rows\.dvc"):
        fetch(checkout)
    here = Path.cwd()
    os.chdir(checkout)
    try:
        with pytest.raises(UserError, match=r"params\.yaml"):
            params_at("HEAD")
    finally:
        os.chdir(here)


@pytest.mark.parametrize("content", [b"[" * 200_000, b"{", b"\xff", b"[" + b"1," * 60 + b"1]"])
def test_json_that_is_too_deep_too_large_or_none_is_refused_in_words(
    content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(content)

    with pytest.raises(UserError, match=r"manifest\.json: "):
        read_json(path, most_bytes=100 if len(content) < 200 else 1_000_000)


def listing(name: str) -> bytes:
    return json.dumps([{"md5": md5(b"evil"), "relpath": name}]).encode()


LISTS = [
    '[{"md5": "HASH", "relpath": "../../out"}]',
    '[{"md5": "HASH", "relpath": "a/../../../out"}]',
    '[{"md5": "HASH", "relpath": "/tmp/out"}]',
    '[{"md5": "HASH"}]',
    '{"md5": "HASH", "relpath": "../out"}',
]


@pytest.mark.parametrize("listed", LISTS)
def test_a_folders_list_that_names_files_outside_of_it_is_thrown_out_of_the_cache(
    listed: str, checkout: Path
) -> None:
    cache = checkout / ".dvc/cache/files/md5"
    put(cache, b"evil")
    honest = put(cache, listing("a/..b"), ".dir")
    hostile = put(cache, listed.replace("HASH", md5(b"evil")).encode(), ".dir")

    cache_check.main(cache)

    assert honest.exists()
    assert not hostile.exists()


def test_dvc_itself_writes_outside_of_a_folder(checkout: Path) -> None:
    cache = checkout / ".dvc/cache/files/md5"
    put(cache, b"evil")
    content = listing("../../out")
    put(cache, content, ".dir")
    (checkout / "rows.dvc").write_text(
        f"outs:\n- {{md5: {md5(content)}.dir, hash: md5, path: rows}}\n"
    )

    dvc(checkout, "checkout", "rows.dvc")

    assert (checkout.parent / "out").read_bytes() == b"evil", "else cache_check needs not look"


def test_a_change_of_dvcs_own_settings_warns() -> None:
    assert check_storage_is_kept([]) == []
    (check,) = check_storage_is_kept([".dvc/config"])
    assert check.outcome == "warn"
    assert ".dvc/config" in check.why
