"""Types of the JSON files that pipeline, bundle, review and release exchange."""

from typing import Any, NotRequired, TypedDict


class MetricRecord(TypedDict):
    """A metric with its interval; all null where it is undefined, with the reason."""

    value: float | None
    low: float | None
    high: float | None
    reason: NotRequired[str]


class SliceRecord(TypedDict):
    """The metrics of the test rows of one slice."""

    column: str
    slice: str
    rows: int
    metrics: dict[str, MetricRecord]


class Evaluation(TypedDict):
    """A model's evaluation on its test rows: artifacts/evaluate/evaluation.json.

    Older engines wrote neither the threshold nor the descriptions of the project's own metrics.
    """

    task: str
    rows: int
    confidence: float
    threshold: NotRequired[float | None]
    metrics: dict[str, MetricRecord]
    own_metrics: NotRequired[dict[str, str]]
    baseline: dict[str, float | None]
    slices: list[SliceRecord]


class SliceComparison(TypedDict):
    """The metrics of both models on the test rows of one slice.

    `regression` is how much worse each gated metric is, as a share of the base's; `chance` is the
    probability that chance alone makes any slice look that much worse. Both omit metrics that are
    undefined, and all metrics of a slice with too few rows.
    """

    column: str
    slice: str
    rows: int
    base: dict[str, float | None]
    candidate: dict[str, float | None]
    reasons: dict[str, str]
    regression: dict[str, float | None]
    chance: dict[str, float]


class FileRecord(TypedDict):
    """A file of the bundle."""

    sha256: str
    bytes: int


# By call, because `from` is a keyword. The days are missing if the schema has no time column.
RowsRecord = TypedDict(
    "RowsRecord",
    {"rows": int, "sha256": str, "from": NotRequired[str], "to": NotRequired[str]},
)
"""The rows that trained or tested a model."""


class DataRecord(TypedDict):
    """The data of a model; `seen` has each feature's choices or its range."""

    train: RowsRecord
    test: RowsRecord
    seen: dict[str, list[Any]]


class EngineRecord(TypedDict):
    """The engine that serves the model; the reason says why it isn't an exported form."""

    engine: str
    engine_reason: str | None
    engine_files: list[str]
    engine_libraries: dict[str, str]


class ExampleRecord(TypedDict):
    """A test row that the page offers: the inputs of a request, and both targets."""

    inputs: dict[str, Any]
    actual: Any
    predicted: Any


class ErrorRange(TypedDict):
    """Between which factors (`relative`) or differences of the prediction the targets lay.

    They did so for `share` of the test rows.
    """

    share: float
    low: float
    high: float
    relative: bool


class PageRecord(TypedDict):
    """What the API's page shows of the test rows; no examples where rows must not be seen."""

    examples: list[ExampleRecord]
    error_range: ErrorRange | None


class ManifestContent(EngineRecord):
    """The manifest's content from the export stage.

    Older engines wrote neither the threshold, the content of the page nor the code of the pickle.
    """

    task: str
    target: str
    threshold: NotRequired[float | None]
    libraries: dict[str, str]
    pickled_code: NotRequired[dict[str, str]]
    params: dict[str, Any]
    data: DataRecord
    evaluation: Evaluation
    columns: list[dict[str, Any]]
    derived: dict[str, Any]
    page: NotRequired[PageRecord]


class Manifest(ManifestContent):
    """The bundle's manifest: artifacts/bundle/manifest.json."""

    model_version: str
    format: int
    files: dict[str, FileRecord]
