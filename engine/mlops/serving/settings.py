"""The API's settings, from environment variables or files, and a table of them."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, StringConstraints
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "SERVE_"
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


class Settings(BaseSettings):
    """Settings; each field's description is its line in the documentation."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="ignore",
        secrets_dir=SECRETS if SECRETS.is_dir() else None,
    )

    bundle: Path = Field(
        default=Path("artifacts/bundle"), description="Folder of the bundle to serve"
    )
    host: str = Field(default="127.0.0.1", description="Address to listen at")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen at")
    api_key: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="If set, every path but the public ones wants it in the header `X-API-Key`",
    )
    root_path: str = Field(
        default="",
        pattern=r"^(/[A-Za-z0-9._~-]+)*$",
        description="Prefix under which a proxy has the API, such as `/api`, without a last `/`",
    )
    cors_origins: Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_listed)] = Field(
        default=(),
        description="Pages whose scripts may ask, such as `https://a.example,https://b.example`, "
        "or `*`; none by default",
    )
    model_name: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9._-]{0,64}$",
        description="Name of the model in the Open Inference Protocol; by default the target's",
    )
    git_commit: str = Field(default="unknown", description="Commit that `/model` names")

    prediction_log_url: str = Field(
        default="sqlite:///artifacts/serving/predictions.db",
        validation_alias="PREDICTION_LOG_URL",
        description="Database of predictions and feedback, `sqlite:///…` or `postgresql://…`; "
        "`none` logs nothing",
    )
    log_failure: Literal["refuse", "answer"] = Field(
        default="refuse",
        description="Prediction that can't be logged: `refuse` it by 503, or `answer` and count it",
    )
    log_timeout: float = Field(
        default=2.0, gt=0, description="Seconds to wait for the prediction log"
    )
    retention_days: float = Field(
        default=400.0, ge=0, description="Days that predictions and feedback are kept; 0: for ever"
    )

    max_body_bytes: int = Field(default=1_000_000, ge=1, description="Larger bodies get 413")
    max_header_bytes: int = Field(default=16_384, ge=256, description="Larger headers get 431")
    max_rows: int = Field(
        default=1000, ge=1, le=65_536, description="Rows of a request; more get 422"
    )
    max_concurrency: int = Field(default=64, ge=1, description="Requests at a time; more get 503")
    feedback_per_minute: int = Field(
        default=6000, ge=1, description="Feedback a minute, of each process; more gets 429"
    )
    max_connections: int = Field(
        default=1000,
        ge=1,
        description="Connections at a time, and fewer where fewer files may be open: a further one "
        "ends the one that waits longest for its client, or gets 503",
    )
    read_timeout: float = Field(
        default=10.0, gt=0, description="Seconds in which a request must have arrived"
    )
    write_timeout: float = Field(
        default=10.0, gt=0, description="Seconds in which an answer must have been taken"
    )

    keep_alive_seconds: int = Field(
        default=75,
        ge=1,
        description="Seconds that an idle connection is kept: more than a proxy before it keeps "
        "one (60 in most), else answers get lost",
    )
    drain_seconds: float = Field(
        default=1.0, ge=0, description="After SIGTERM: seconds of not being ready, yet answering"
    )
    grace_seconds: int = Field(
        default=15, ge=1, description="Then: seconds for requests under way before they are cut off"
    )
    reload_seconds: float = Field(
        default=2.0,
        ge=0,
        description="Seconds between looks for a new bundle; 0 disables: restart for one",
    )
    access_log: bool = Field(default=True, description="Write a line of JSON for every request")


def settings_table() -> str:
    """Write the settings as a Markdown table."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        variable = field.validation_alias or PREFIX + name.upper()
        default = "" if field.default in (None, "", ()) else f"`{field.default}`"
        lines.append(f"| `{variable}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"
