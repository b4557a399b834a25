"""Keep one issue about production up to date, and start a retraining where that may help.

Runs with write permission. Earlier retrainings are read from GitHub, so that no state has to be
stored.

Usage: python -m mlops.github.monitor_issue FOLDER
"""

import datetime
import os
import sys
from pathlib import Path
from typing import Any

from mlops.errors import run_command
from mlops.files import read_json
from mlops.github.gh_api import BOT as AUTHOR
from mlops.github.gh_api import GitHubRefused, api
from mlops.review.github_markdown import fenced

LABEL = "model-monitor"
RETRAIN = "retrain.yml"
BRANCH = "retrain/model"
TITLES = {
    "act": "The model in production needs attention",
    "failed": "The monitor can't judge the model in production",
}
_MONTH = datetime.timedelta(days=30)


def keep_issue(here: str, verdict: str, text: str) -> str:
    """Open, update or close the one issue; `verdict` is ok, watch, act or failed.

    Two simultaneous runs may each open one; a run that sees both closes the newer one.
    """
    number, *newer = _open_issues(here) or [0]
    change: dict[str, Any] = {"body": text}
    if verdict in ("act", "failed"):
        change |= {"title": TITLES[verdict], "labels": [LABEL]}
        if not number:
            # The list may lag behind: use the number in the response.
            made = api(f"{here}/issues", body=change)["number"]
            number, *newer = sorted({made, *_open_issues(here)})
        else:
            api(f"{here}/issues/{number}", "--method", "PATCH", body=change)
    elif number:
        recovered = {"state": "closed"} if verdict == "ok" else {}
        api(f"{here}/issues/{number}", "--method", "PATCH", body=change | recovered)
    for other in newer:
        body = f"Continued in #{number}."
        api(f"{here}/issues/{other}", "--method", "PATCH", body={"state": "closed", "body": body})
    return f"issue {number}" if number else "no issue"


def _open_issues(here: str) -> list[int]:
    query = f"state=open&labels={LABEL}&creator={AUTHOR}&per_page=100"
    return sorted(i["number"] for i in api(f"{here}/issues?{query}") if "pull_request" not in i)


def why_no_retraining(here: str, limits: dict[str, Any], now: datetime.datetime) -> str | None:
    """Return why no retraining may start now; None if one may."""
    owner = here.split("/")[1]
    waiting = api(f"{here}/pulls?state=open&head={owner}:{BRANCH}")
    if waiting:
        return f"One is waiting for review: #{waiting[0]['number']}."
    query = "event=workflow_dispatch&per_page=100"
    runs = api(f"{here}/actions/workflows/{RETRAIN}/runs?{query}")["workflow_runs"]
    ages = [now - _time(run["created_at"]) for run in runs]
    if any(run["status"] != "completed" for run in runs):
        return "One is already running."
    tried = sum(age < _MONTH for age in ages)
    if tried >= limits["max_per_month"]:
        return (
            f"{tried} in 30 days, the limit monitor.retrain.max_per_month, have not "
            "helped: **a person must find the cause.**"
        )
    if ages and min(ages) < datetime.timedelta(days=limits["cooldown_days"]):
        end = f"The previous one, {runs[0]['html_url']}, ended with {runs[0]['conclusion']}."
        return f"{end} The next one may start {limits['cooldown_days']:g} days after it."
    return None


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


def retrain(here: str, report: dict[str, Any]) -> str:
    """Start a retraining if allowed, and return a summary."""
    limits = report["parameters"]["retrain"]
    if why := why_no_retraining(here, limits, datetime.datetime.now(datetime.UTC)):
        return why
    inputs = {"level": "true" if report["accuracy_fell"] else "false"}
    path = f"{here}/actions/workflows/{RETRAIN}/dispatches"
    api(path, body={"ref": os.environ["GITHUB_REF_NAME"], "inputs": inputs})
    return "Started."


def tell(folder: Path, result: str, here: str, link: str) -> tuple[str, list[str]]:
    """Report the monitor's result in `folder` as an issue; return a summary and the failures."""
    report_file, failures = folder / "report.json", []
    if not report_file.exists():
        if result == "success":
            return "nothing is deployed yet: nothing to report", []
        left = folder / "failure.txt"
        said = left.read_text(encoding="utf-8") if left.exists() else "It left no message."
        text = f"## ❌ No verdict\n\n{fenced(said)}\n\nNo retraining is started: {link}\n"
        return keep_issue(here, "failed", text), ["the monitor failed"]
    report = read_json(report_file)
    text = (folder / "report.md").read_text(encoding="utf-8")
    if report["retrain"]:
        try:
            done = retrain(here, report)
        except GitHubRefused as error:
            done = f"None could be started: {error}"
            failures.append(done)
        text += f"\n**Retraining:** {done}\n"
    return keep_issue(here, report["verdict"], f"{text}\nPlots: {link}\n"), failures


def main() -> int:
    here = f"repos/{os.environ['GITHUB_REPOSITORY']}"
    run = f"{os.environ['GITHUB_REPOSITORY']}/actions/runs/{os.environ['GITHUB_RUN_ID']}"
    link = f"{os.environ['GITHUB_SERVER_URL']}/{run}"
    try:
        done, failures = tell(Path(sys.argv[1]), os.environ["RESULT"], here, link)
    except GitHubRefused as error:
        done, failures = "the issue was not written", [str(error)]
    print(f"monitor_issue: {done}")
    for failure in failures:
        print(f"monitor_issue: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    run_command(main)
