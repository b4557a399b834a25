"""Batch scoring: a Parquet or CSV file -> each row's key with its prediction, in order.

Rows go through the engine that serves. A part that is done stands in OUT.parquet.parts until the
whole is written: a run that was killed, or refused for rows that fail, goes on from there. A CSV
file is read whole, as the schema names its columns or as the adopted file had them.
"""

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlops.artifacts import BUNDLE
from mlops.columns import Schema
from mlops.errors import BadInput, run_command
from mlops.files import sha256, whole_file
from mlops.project import load_schema
from mlops.score import parts
from mlops.score.rows import PROBLEMS, layout, typed
from mlops.score.text import text_rows, write_text_rows
from mlops.serving.served import Served


def score_file(given: Path, out: Path, served: Served, set_aside: bool = False) -> str:
    """Score a file, and tell in a sentence what came of it.

    Raises:
        BadInput: the file can't be scored, changes meanwhile, or is being scored already; or rows
            fail the contract and `set_aside` does not let them pass without a prediction.
    """
    if out.resolve() == given.resolve():
        raise BadInput(f"{out}: is the input; wanted another file for the output")
    folder = out.with_name(f"{out.name}.parts")
    with _open(given, served.schema) as file, parts.alone(folder):
        origin = {"input_sha256": sha256(given), "model_version": served.version}
        parts.drop_parts_of_others(folder, origin)
        done = parts.score_parts(file, folder, served)
        if sha256(given) != origin["input_sha256"]:
            shutil.rmtree(folder)  # holds some of both
            raise BadInput(f"{given}: was changed while it was being scored; score it again")
        n_rows, (failing, examples) = (
            file.metadata.num_rows,
            parts.failing(done, served.schema.key.name),
        )
        if failing and not set_aside:
            raise BadInput(
                f"{given}: {failing} of {n_rows} rows fail the contract; nothing is written",
                examples,
                "Mend them; or let them pass without a prediction, with the reasons in a column "
                f"{PROBLEMS}: --set-aside. What was scored is kept in {folder}.",
            )
        parts.write(out, layout(served).with_metadata(origin), parts.read_all(done))
        shutil.rmtree(folder)
    return f"{n_rows - failing} rows predicted by model {served.version}, {failing} set aside"


def _open(path: Path, schema: Schema) -> Any:
    key = schema.key.name
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise BadInput(f"{path}: is cut short or no Parquet: {error}") from error
    typed(file.schema_arrow.empty_table(), schema)
    if keyless := sum(rows[key].null_count for rows in parts.read_tables(file, [key])):
        raise BadInput(f"{path}: {keyless} row(s) without {key}, wanted one in each")
    if not file.metadata.num_rows:
        raise BadInput(f"{path}: has no row")
    return file


def score_any(given: Path, out: Path, served: Served, set_aside: bool = False) -> str:
    """Score a Parquet or CSV file into a file of either kind, by their names' endings.

    Raises:
        BadInput: as `score_file`, or the CSV file is written in another way.
    """
    from_text, to_text = (path.name.lower().endswith((".csv", ".csv.gz")) for path in (given, out))
    if not (from_text or to_text):
        return score_file(given, out, served, set_aside)
    if out.resolve() == given.resolve():
        raise BadInput(f"{out}: is the input; wanted another file for the output")
    with tempfile.TemporaryDirectory() as folder:
        rows, scored = (Path(folder) / name for name in ("rows.parquet", "scored.parquet"))
        if from_text:
            pq.write_table(text_rows(given, served.schema), rows)
        said = score_file(rows if from_text else given, scored, served, set_aside)
        with whole_file(out) as temporary:
            if to_text:
                write_text_rows(pq.read_table(scored, partitioning=None), temporary)
            else:
                shutil.copyfile(scored, temporary)
    return said


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m mlops.score", description=__doc__)
    parser.add_argument("given", metavar="IN", type=Path)
    parser.add_argument("out", metavar="OUT", type=Path)
    parser.add_argument("--set-aside", action="store_true", help="let rows that fail pass")
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    options = parser.parse_args()
    served = Served.read(options.bundle, load_schema())
    print(f"score: {score_any(options.given, options.out, served, options.set_aside)}")


if __name__ == "__main__":
    run_command(main)
