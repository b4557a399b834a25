"""The API's settings, from environment variables or files, and a table of them."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
)

from mlops.database_address import VARIABLE as LOG_ADDRESS
from mlops.errors import UserError

SECRETS = Path("/run/secrets")
"""Where container engines mount secrets: a file named as a variable, in lower case, sets it too."""


Origin = Annotated[str, StringConstraints(pattern=r"^(\*|https?://[A-Za-z0-9.\[\]:-]+)$")]


def _listed(text: Any) -> Any:
    """Split at commas."""
    return (
        [part.strip() for part in text.split(",") if part.strip()]
        if isinstance(text, str)
        else text
    )


class Settings(BaseModel):
    """Settings; each field's description is its line in the documentation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: Path = Field(
        default=Path("artifacts/bundle"), description="Folder of the bundle to serve"
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on")
    api_key: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="If set, every path but the public ones requires it in the header `X-API-Key`",
    )
    root_path: str = Field(
        default="",
        pattern=r"^(/[A-Za-z0-9._~-]+)*$",
        description="Prefix under which a proxy serves the API, such as `/api`; no `/` at the end",
    )
    cors_origins: Annotated[tuple[Origin, ...], BeforeValidator(_listed)] = Field(
        default=(),
        description="Origins whose pages may send requests (CORS), such as "
        "`https://a.example,https://b.example`, or `*`; none by default",
    )
    model_name: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9._-]{0,64}$",
        description="Name of the model in the Open Inference Protocol; by default the target's",
    )
    git_commit: str = Field(default="unknown", description="Commit that `/model` reports")

    prediction_log_url: str = Field(
        default="sqlite:///artifacts/serving/predictions.db",
        description="Database of predictions and feedback, `sqlite:///…` or `postgresql://…`; "
        "`none` logs nothing",
    )
    log_failure: Literal["refuse", "answer"] = Field(
        default="refuse",
        description="If logging a prediction fails: `refuse` it with 503, or `answer` and count it",
    )
    log_timeout: float = Field(
        default=2.0, gt=0, description="Seconds to wait for the prediction log"
    )
    retention_days: float = Field(
        default=400.0, ge=0, description="Days that predictions and feedback are kept; 0: forever"
    )

    max_body_bytes: int = Field(default=1_000_000, ge=1, description="Larger bodies get 413")
    max_header_bytes: int = Field(default=16_384, ge=256, description="Larger headers get 431")
    max_rows: int = Field(
        default=1000, ge=1, le=65_536, description="Rows of a request; more get 422"
    )
    max_concurrency: int = Field(default=64, ge=1, description="Concurrent requests; more get 503")
    feedback_per_minute: int = Field(
        default=6000, ge=1, description="Feedback requests per minute and process; more get 429"
    )
    max_connections: int = Field(
        default=1000,
        ge=1,
        description="Concurrent connections, or fewer if the limit of open files is lower: a "
        "further one closes the one that has waited longest for its client, or gets 503",
    )
    read_timeout: float = Field(
        default=10.0, gt=0, description="Seconds within which a request must arrive"
    )
    write_timeout: float = Field(
        default=10.0, gt=0, description="Seconds within which the client must receive the answer"
    )

    keep_alive_seconds: int = Field(
        default=75,
        ge=1,
        description="Seconds that an idle connection is kept: must be more than the proxy's "
        "(mostly 60), else answers are lost",
    )
    drain_seconds: float = Field(
        default=1.0,
        ge=0,
        description="After SIGTERM: seconds of being not ready while still answering",
    )
    grace_seconds: int = Field(
        default=15, ge=1, description="Then: seconds for running requests before they are aborted"
    )
    reload_seconds: float = Field(
        default=2.0,
        ge=0,
        description="Seconds between checks for a new bundle; 0 disables them: restart to load one",
    )
    access_log: bool = Field(default=True, description="Write one line of JSON per request")


def read_settings() -> Settings:
    """Read the settings from the environment and from files in SECRETS.

    Not by pydantic-settings, whose import is an eighth of the server's start.

    Raises:
        UserError: settings are invalid, or a file can't be read; the message lists each.
    """
    variables = {name.upper(): text for name, text in os.environ.items()}
    given, problems = {}, []
    for name in Settings.model_fields:
        file = SECRETS / _variable(name).lower()
        try:
            if _variable(name) in variables:
                given[name] = variables[_variable(name)]
            elif file.is_file():
                given[name] = file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError):  # whose message may quote a byte of the secret
            problems.append(f"{_variable(name)}: {file} can't be read as text in UTF-8")
    try:
        settings = Settings(**given)  # type: ignore[arg-type]  # texts, which pydantic converts
    except ValidationError as error:
        for item in error.errors():
            name, *rest = map(str, item["loc"])
            problems.append(f"{'.'.join([_variable(name), *rest])}: {item['msg']}")
    if problems:
        raise UserError("Invalid settings in the environment:", problems)
    return settings


def _variable(name: str) -> str:
    """Return the environment variable of a field; the monitor reads the log's address as well."""
    return LOG_ADDRESS if name.upper() == LOG_ADDRESS else f"SERVE_{name.upper()}"


def settings_table() -> str:
    """Write the settings as a Markdown table."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, "", ()) else f"`{field.default}`"
        lines.append(f"| `{_variable(name)}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"
