"""Batch scoring: a Parquet or CSV file -> each row's key with its prediction, in order.

Rows are scored by the serving engine. Finished parts are kept in OUT.parquet.parts until the whole
output is written, so a run that was killed or stopped by invalid rows resumes there. A CSV file is
read as a whole, with the column names of the schema or of the adopted file.
"""

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlops.columns import Schema
from mlops.errors import UserError, run_command
from mlops.files import atomic_write, sha256
from mlops.inference.loaded_model import Served
from mlops.paths import BUNDLE, SOURCE_FORM
from mlops.project import load_schema
from mlops.score import part_files
from mlops.score.csv_text import text_rows, write_text_rows
from mlops.score.rows import PROBLEMS, columns, layout, typed


def score_file(given: Path, out: Path, served: Served, set_aside: bool = False) -> str:
    """Score a file; return a one-sentence summary.

    Raises:
        UserError: the file can't be scored, changes meanwhile, or is being scored already; or rows
            are invalid and `set_aside` is false. With it, they get no prediction.
    """
    if out.resolve() == given.resolve():
        raise UserError(f"{out}: is the input; choose another file for the output")
    folder = out.with_name(f"{out.name}.parts")
    with _open(given, served.schema) as file, part_files.alone(folder):
        origin = {"input_sha256": sha256(given), "model_version": served.version}
        part_files.drop_parts_of_others(folder, origin)
        done = part_files.score_parts(file, folder, served)
        if sha256(given) != origin["input_sha256"]:
            shutil.rmtree(folder)  # mixes both versions
            raise UserError(f"{given}: was changed while it was being scored; score it again")
        n_rows, (failing, examples) = (
            file.metadata.num_rows,
            part_files.failing(done, served.schema.key.name),
        )
        if failing and not set_aside:
            raise UserError(
                f"{given}: {failing} of {n_rows} rows fail the schema; nothing is written",
                examples,
                "Fix them; or pass --set-aside: they get no prediction, and the column "
                f"{PROBLEMS} gives the reasons. What was scored is kept in {folder}.",
            )
        part_files.write(out, layout(served).with_metadata(origin), part_files.read_all(done))
        shutil.rmtree(folder)
    return f"{n_rows - failing} rows predicted by model {served.version}, {failing} rejected"


def _open(path: Path, schema: Schema) -> Any:
    key = schema.key.name
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: is truncated or not Parquet: {error}") from error
    typed(file.schema_arrow.empty_table(), schema)
    if keyless := sum(rows[key].null_count for rows in part_files.read_tables(file, [key])):
        raise UserError(f"{path}: {keyless} row(s) without {key}, wanted one in each")
    if not file.metadata.num_rows:
        raise UserError(f"{path}: has no rows")
    return file


def _is_export(path: Path, schema: Schema) -> bool:
    """Return whether a Parquet file lacks schema columns but may have the adopted file's."""
    try:
        return SOURCE_FORM.exists() and not {c.name for c in columns(schema)} <= {
            *pq.read_schema(path).names
        }
    except (OSError, pa.ArrowException):
        return False


def score_any(given: Path, out: Path, served: Served, set_aside: bool = False) -> str:
    """Score a Parquet or CSV file into a file of either kind, by their names' endings.

    Raises:
        UserError: as `score_file`, or the CSV file has another format.
    """
    from_text, to_text = (path.name.lower().endswith((".csv", ".csv.gz")) for path in (given, out))
    from_text = from_text or _is_export(given, served.schema)
    if not (from_text or to_text):
        return score_file(given, out, served, set_aside)
    if out.resolve() == given.resolve():
        raise UserError(f"{out}: is the input; choose another file for the output")
    with tempfile.TemporaryDirectory() as folder:
        rows, scored = (Path(folder) / name for name in ("rows.parquet", "scored.parquet"))
        if from_text:
            pq.write_table(text_rows(given, served.schema), rows)
        said = score_file(rows if from_text else given, scored, served, set_aside)
        with atomic_write(out) as temporary:
            if to_text:
                write_text_rows(pq.read_table(scored, partitioning=None), temporary)
            else:
                shutil.copyfile(scored, temporary)
    return said


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m mlops.score", description=__doc__)
    parser.add_argument("given", metavar="IN", type=Path)
    parser.add_argument("out", metavar="OUT", type=Path)
    parser.add_argument(
        "--set-aside",
        action="store_true",
        help="continue if rows are invalid; they get no prediction",
    )
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    options = parser.parse_args()
    served = Served.read(options.bundle, load_schema())
    print(f"score: {score_any(options.given, options.out, served, options.set_aside)}")


if __name__ == "__main__":
    run_command(main)
