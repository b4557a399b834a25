"""Command upgrade: take a later engine from the template, whatever history this repository has.

What nobody edited here is replaced; what both sides edited is merged, or left for a person. The
project's own files (src/project, tests, data, params.yaml, dvc.yaml, README.md) are not touched.
"""

import argparse
import re
from pathlib import Path

from mlops.errors import UserError, run_command
from mlops.integrity import LIST, recorded
from mlops.upgrade.plan import Plan, carry_out, make_plan
from mlops.upgrade.template import NEW, SETTING, choose_tag, fetch, git, source_of

VERSION, CHANGELOG = Path("engine/VERSION"), "engine/CHANGELOG.md"


def changes_since(changelog: str, current: str) -> str:
    """Give the sections of a changelog above that of a version."""
    sections = re.split(r"(?m)^(?=## )", changelog)[1:]
    newer = []
    for section in sections:
        if re.match(rf"## \[?v?{re.escape(current)}\b", section):
            break
        newer.append(section)
    return "".join(newer).rstrip()


def report(plan: Plan, current: str, tag: str) -> str:
    """Say what was done, and which files need a person."""
    replaced = len(plan.write) - len(plan.merged) - sum(n.endswith(".new") for n in plan.write)
    lines = [
        f"Engine {current} -> {tag.removeprefix('v')}: {replaced} files replaced or new, "
        f"{len(plan.delete)} removed, {len(plan.merged)} merged, {len(plan.unsettled)} to decide."
    ]
    lines += [f"  merged, check it: {name}" for name in plan.merged]
    for name in plan.unsettled:
        beside = f"{name}.new" in plan.write
        what = f"merge {name}.new by hand, then delete it" if beside else "removed in the template"
        lines.append(f"  edited here: {name}: {what}")
    if "pyproject.toml" in (*plan.merged, *plan.unsettled):
        lines.append("  your own libraries: run `make lock` after fixing pyproject.toml")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m mlops.upgrade", description=__doc__)
    parser.add_argument("--to", help="tag of the template, such as v1.2.0; by default the newest")
    parser.add_argument("--from", dest="source", help="address of the template's repository")
    options = parser.parse_args()
    if changed := git("status", "--porcelain").decode().rstrip().splitlines():
        raise UserError("Not committed:", changed, "Commit or stash it, then upgrade")
    url, current = source_of(options.source), VERSION.read_text(encoding="utf-8").strip()
    tag = choose_tag(url, options.to, current)
    plan = make_plan(recorded(LIST.read_text(encoding="utf-8")), fetch(url, tag, current))
    carry_out(plan)
    git("config", SETTING, url)
    news = git("show", f"{NEW}:{CHANGELOG}").decode()
    print(f"{changes_since(news, current)}\n\n{report(plan, current, tag)}")


if __name__ == "__main__":
    run_command(main)
