"""The shape of the repository: what a template's users would break without noticing."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops.adopt import readme_templates
from mlops.params import Params
from mlops.pipeline import fingerprint
from paths import DEMO, ROOT
from project.schema import SCHEMA

MODULES = sorted(
    path.relative_to(ROOT).as_posix() for path in (ROOT / "engine/mlops").rglob("*.py")
)
PIPELINE: dict[str, Any] = yaml.safe_load((DEMO / "dvc.yaml").read_text(encoding="utf-8"))
STAGES: dict[str, dict[str, Any]] = PIPELINE["stages"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def module_path(name: str) -> str | None:
    """Give the file of 'mlops.x.y', or None where that is no module of ours."""
    stem = f"engine/{name.replace('.', '/')}"
    for path in (f"{stem}.py", f"{stem}/__init__.py"):
        if (ROOT / path).exists():
            return path
    return None


def imported_names(path: str) -> set[str]:
    """List all that a file imports when it runs, by its full name: not for types alone."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    branches = [node for node in ast.walk(tree) if isinstance(node, ast.If)]
    typing = [branch for branch in branches if "TYPE_CHECKING" in ast.dump(branch.test)]
    unused = {id(node) for branch in typing for node in ast.walk(branch)}
    found = set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and id(node) not in unused:
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and id(node) not in unused:
            assert node.level == 0, f"{path}: write imports from mlops out in full"
            module = node.module or ""
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return found


def imported(path: str) -> set[str]:
    """List the modules of ours that a file imports, by path."""
    found = {module for name in imported_names(path) if (module := module_path(name))}
    # What the package itself offers is for notebooks; no stage calls it.
    return {one for one in found if (ROOT / one).stat().st_size} - {"engine/mlops/__init__.py"}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_the_name_of_its_module_and_depends_on_what_its_code_means(stage: str) -> None:
    assert STAGES[stage]["cmd"] == f"PYTHONPATH=engine:src python -m mlops.pipeline.{stage}"
    if stage != "fingerprint":
        assert f"artifacts/fingerprint/{stage}.json" in STAGES[stage]["deps"]
        assert stage in fingerprint.STAGES


def test_the_pipeline_file_is_short() -> None:
    assert len((DEMO / "dvc.yaml").read_text(encoding="utf-8").splitlines()) <= 100


def test_only_the_composition_root_imports_the_project() -> None:
    for module in MODULES:
        tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
        names = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        names += [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
        found = [name for name in names if name and name.split(".")[0] == "project"]
        assert not found or module == "engine/mlops/project.py", module


def test_only_commands_call_the_composition_root() -> None:
    # A worker of a cluster has no command of ours: it says which code it has.
    # And a notebook has none.
    others = {"engine/mlops/pipeline/cluster.py", "engine/mlops/review/scoring.py"}
    others |= {"engine/mlops/__init__.py", "engine/mlops/review/cost_worker.py"}
    for module in MODULES:
        if "engine/mlops/project.py" in imported(module) and module not in others:
            assert "run_command(" in (ROOT / module).read_text() or module.endswith(
                "__main__.py"
            ), f"{module}: take schema and parameters as arguments"


def test_no_module_name_stands_in_two_packages() -> None:
    # `python -m mlops.X` and `import mlops.X` need these two in every package.
    names = Counter(Path(module).stem for module in MODULES)
    names.subtract({"__init__": names["__init__"], "__main__": names["__main__"]})
    assert not [name for name, count in names.items() if count > 1]


def test_the_rooms_that_serving_uses_do_not_import_it() -> None:
    rooms = ("inference", "prediction_log", "request_parsing", "gateway")
    found = [module for module in MODULES if module.split("/")[2] in rooms]
    assert len(found) > len(rooms)
    for module in found:
        own = {one for one in imported(module) if one.startswith("engine/mlops/serving/")}
        assert not own, f"{module}: take it as an argument"


def test_what_has_rights_on_github_is_one_room_that_needs_no_library() -> None:
    room = {module for module in MODULES if module.startswith("engine/mlops/github/")}
    # It reads YAML that a hostile job wrote: by the locked parsers, not by code of our own.
    reached, ahead = set[str](), room - {"engine/mlops/github/lock_commit.py"}
    while ahead:
        reached |= ahead
        ahead = {one for module in ahead for one in imported(module)} - reached
    for module in sorted(reached):
        foreign = {name.split(".")[0] for name in imported_names(module)} - sys.stdlib_module_names
        assert foreign <= {"mlops"}, module
    calls = [
        module for module in MODULES if re.search(r"\[\s*\"(gh|cml)\"", (ROOT / module).read_text())
    ]
    assert set(calls) <= room


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_tells_dvc_every_section_of_params_that_it_reads(stage: str) -> None:
    code = (ROOT / f"engine/mlops/pipeline/{stage}.py").read_text(encoding="utf-8")
    sections = {field.alias or name: name for name, field in Params.model_fields.items()}

    read = {s for s, name in sections.items() if re.search(rf"params(\(\))?\.{name}\b", code)}

    told = {key.split(".")[0] for key in STAGES[stage].get("params", [])}
    assert read == told or STAGES[stage].get("always_changed")


def test_every_section_of_params_belongs_to_a_stage_the_review_or_the_monitor() -> None:
    sections = set(yaml.safe_load((DEMO / "params.yaml").read_text(encoding="utf-8")))

    assert sections <= {*STAGES, "task", "models", "review", "gate", "monitor"}


def test_every_output_of_a_stage_is_a_path_that_the_code_names() -> None:
    from mlops import paths

    named = {str(value) for value in vars(paths).values() if isinstance(value, Path)}
    outputs = {
        out for stage in STAGES.values() for out in [*stage["outs"], *stage.get("metrics", [])]
    }

    assert outputs <= named
    assert named - outputs == {
        "artifacts",
        "artifacts/review",
        "artifacts/monitor",
        "artifacts/retrain",
        "src/project/source_form.json",
    }


def test_outputs_are_cached_and_never_kept_from_an_earlier_run() -> None:
    for name, stage in STAGES.items():
        for out in [*stage["outs"], *stage.get("metrics", [])]:
            assert isinstance(out, str), f"stage {name}: no persist, no cache: false for {out}"


def test_stages_import_no_other_stage() -> None:
    stages = {f"engine/mlops/pipeline/{stage}.py" for stage in STAGES}

    for module in MODULES:
        assert imported(module) & stages == set(), f"{module} imports a stage"


def test_columns_are_named_in_the_schema_alone() -> None:
    # 'size' is also what a file system calls the length of a file.
    own_words = {("engine/mlops/pipeline/source_folder.py", "size")}
    for module in MODULES:
        tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
        texts = {
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        named = {(module, name) for name in texts & set(SCHEMA.names)} - own_words
        assert not named, f"{named}: take the column from the schema"


def test_the_readme_has_every_stage_with_its_description() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", README, re.MULTILINE)

    assert rows == [(name, stage["desc"]) for name, stage in STAGES.items()]


def test_the_readme_is_short_and_names_only_what_is_there() -> None:
    assert len(README.splitlines()) <= 150
    targets = set(re.findall(r"^([a-z-]+):.*##", MAKEFILE, re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", README)) <= targets
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / link).exists(), link
    tree = README.split("## What is where")[1].split("```")[1]
    for line in tree.splitlines()[1:]:
        for path in re.split(r",\s", line.split("  ")[0]):
            assert (ROOT / path).exists() or path == "artifacts/", path


@pytest.mark.parametrize("text", [README, readme_templates._README], ids=["README", "of one's own"])
@pytest.mark.parametrize(
    ("what", "place"),
    [
        ("a bound", "src/project/schema.py"),
        ("floor", "gate:"),
        ("algorithm", "train.kind"),
        ("alarm", "monitor:"),
        ("the page", "engine/mlops/serving/page.html"),
        ("the image", "Dockerfile"),
        ("the storage", "DVC_REMOTE_URL"),
    ],
)
def test_a_newcomer_finds_by_name_where_to_change_what(text: str, what: str, place: str) -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| `(make \w+)`.* \|$", text, re.MULTILINE)
    (edit,) = [edit for changed, edit, _ in rows if what in changed]
    assert f"`{place}`" in edit

    params = yaml.safe_load((DEMO / "params.yaml").read_text(encoding="utf-8"))
    files = [ROOT / name for name in tracked()]
    sources = {*files, *(file.parent for file in files)}
    for named in re.findall(r"`([^`]+)`", edit):
        if re.fullmatch(r"[a-z]+:|train\.kind", named):
            assert re.split("[:.]", named)[0] in params, named
        elif named not in ("DVC_REMOTE_URL", "KINDS", "kind"):
            assert any(f"{path}".endswith(f"/{named.rstrip('/')}") for path in sources), named
    assert "kind" in params["train"]
    for named, module in (("KINDS", "src/project/models.py"), ("kind", "engine/mlops/params.py")):
        assert named in (ROOT / module).read_text(encoding="utf-8")


@pytest.mark.parametrize("code", ["x=1\n", "import os\n"], ids=["format", "style"])
def test_code_that_is_not_formatted_is_told_the_command_that_formats_it(
    tmp_path: Path, code: str
) -> None:
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "own.py").write_text(code, encoding="utf-8")

    lint = ["make", "-o", ".venv/test", "lint"]
    told = subprocess.run(lint, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert told.returncode == 2, told
    assert "To format, and fix what can be fixed: make format\n" in told.stdout, told


def test_requirements_are_locked_by_hash_and_name_no_host() -> None:
    locks = [name for name in tracked() if re.fullmatch(r"requirements.*\.txt", name)]
    assert len(locks) >= 3
    for name in locks:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "://" not in text
        for entry in re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).strip()):
            assert "==" in entry, f"{name}: {entry.splitlines()[0]}"
            assert "--hash=sha256:" in entry, f"{name}: {entry.splitlines()[0]}"


def test_every_locked_file_gives_a_package_the_same_version() -> None:
    versions: dict[str, set[str]] = {}
    for path in ROOT.glob("requirements*.txt"):
        for package, version in re.findall(r"^([\w.-]+)==(\S+)", path.read_text(), re.MULTILINE):
            versions.setdefault(f"{package} {path.name}", set()).add(version)
    for package in {key.split()[0] for key in versions}:
        found = [v for key, v in versions.items() if key.split()[0] == package]
        assert all(other == found[0] for other in found), package


def test_every_python_gets_the_same_version_of_a_library() -> None:
    # Bytes of models, tables and plots depend on it: dvc.lock could hold for one Python only.
    for path in ROOT.glob("requirements*.txt"):
        pins = re.findall(r"^([\w.-]+)(?:\[.*\])?==(.+?) ?\\?$", path.read_text(), re.MULTILINE)
        names = [name for name, _ in pins]
        assert names
        assert len(names) == len(set(names)), [pin for pin in pins if names.count(pin[0]) > 1]


def test_the_supported_pythons_are_the_same_wherever_they_are_named() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    prefix = "Programming Language :: Python :: "
    tested = [line.removeprefix(prefix) for line in project["classifiers"]]
    low, high = re.findall(r"3\.\d+", project["requires-python"])
    newest = f"3.{int(high.removeprefix('3.')) - 1}"

    assert tested[0] == low
    assert f"Python {low} to {tested[-1]}" in README
    for path in ROOT.glob("requirements*.txt"):
        assert f"Python {low} to {newest}\n" in path.read_text(encoding="utf-8")
    assert (
        f"({low.replace('.', ', ')}) <= sys.version_info < ({high.replace('.', ', ')})" in MAKEFILE
    )
    jobs = yaml.safe_load((ROOT / ".github/workflows/check.yml").read_text())["jobs"]
    assert jobs["engine"]["strategy"]["matrix"]["python"] == [low, tested[-1]]


def test_nothing_takes_outputs_from_a_shared_run_cache() -> None:
    # Who can write to the remote could say there what a stage of the future gives.
    for name in tracked():
        if name.startswith(("engine/mlops/", "src/", ".github/", ".ci/", "Makefile")):
            text = (ROOT / name).read_text(encoding="utf-8")
            assert not re.search(r"(?<!no-)run-cache|repro.*--pull", text), name


def test_every_remote_verifies_what_it_gives() -> None:
    config = (ROOT / ".dvc/config").read_text(encoding="utf-8")

    remotes = re.findall(r"\['remote \"\w+\"'\]\n((?:    .*\n)+)", config)
    assert remotes
    assert all("verify = true" in remote for remote in remotes)


def test_no_file_of_the_repository_is_generated_or_large() -> None:
    for name in tracked():
        assert not name.startswith(("artifacts/", ".venv/", ".dvc/cache/"))
        assert (ROOT / name).stat().st_size < 500_000, name


def anchors(text: str) -> set[str]:
    """Give the names by which GitHub links to a page's headings."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


PAGES = sorted(name for name in tracked() if name.endswith(".md"))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_only_links_commands_modules_and_files_that_are_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")

    for link, _, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(#([^)]+))?\)", text):
        target = (ROOT / page).parent / link if link else ROOT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), (link, anchor)
    targets = {*re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE), ".venv/test"}
    assert set(re.findall(r"(?:`|\$ |=\S+ )make ([a-z-]+)", text)) <= targets
    for module in re.findall(r"python3? -m (mlops[\w.]*\w)", text):
        assert module_path(module), module
    for path in re.findall(r"`((?:src|docs|tests|deploy|engine)/[\w./-]+\w)`", text):
        assert (ROOT / path).exists() or path == "src/project/source_form.json", path  # adoption's
    for name in re.findall(r"`(test_\w+\.py)`", text):
        assert (ROOT / "engine/tests" / name).exists(), name
    for name in re.findall(r"`([a-z-]+\.yml)`", text):
        assert (ROOT / ".github/workflows" / name).exists(), name


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"]
    named = [*project["project"]["dependencies"], *groups["serve"]]
    text = (ROOT / "engine/docs/decisions.md").read_text(encoding="utf-8")

    assert [name for name in named if f"`{re.match('[a-z.-]+', name)[0]}`" not in text] == []


def test_every_alert_has_its_line_in_the_runbook() -> None:
    rules = (ROOT / "deploy/prometheus/alerts.yml").read_text(encoding="utf-8")
    text = (ROOT / "docs/operate.md").read_text(encoding="utf-8")

    assert re.findall(r"alert: (\w+)", rules) == [
        alert
        for row in re.findall(r"^\| (`[A-Z].+?) \|", text, re.MULTILINE)
        for alert in re.findall(r"`([A-Z][a-z]\w+)`", row)
    ]
