"""The texts in files of records: one field of each line of jsonl, one column of parquet."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from minbpe.compressed import Stream
from minbpe.errors import CorpusError
from minbpe.wording import first_of

DECODER = json.JSONDecoder()
NAMED, LONGEST_NAME = 12, 60
"""How many fields of a record an error names, and how much of each name."""


def read_json_lines(path: Path, stream: Stream, field: str) -> Iterator[str]:
    """Yield the text of each line that is not blank, before the next line is read.

    Raises:
        CorpusError: A line is no JSON, or has no text in its field.
    """
    for number, line in enumerate(stream, start=1):
        if line.isspace():
            continue
        try:
            record = _parse(line)
        except (ValueError, RecursionError) as error:
            raise CorpusError(f"{path}:{number}: not a line of JSON ({error})") from error
        text = record.get(field) if isinstance(record, dict) else None
        if not isinstance(text, str):
            raise _no_text(record, field, f"{path}:{number}")
        yield text


def _parse(line: bytes) -> object:
    r"""Return what `json.loads` does, which takes longer to find the encoding and the ends of a short record than to read it.

    Nearly every line is UTF-8, and its value begins where the line does. Only other lines are left to `json.loads`.

    >>> _parse(b'{"text": "a rose"}\n'), _parse('"a rose"'.encode("utf-16"))
    ({'text': 'a rose'}, 'a rose')

    Raises:
        ValueError: The line is not JSON.
        RecursionError: Its values are nested too deeply.
    """
    try:
        text = line.decode()
        record, end = DECODER.raw_decode(text)
        if not text[end:].strip(" \t\r\n"):
            return record
    except ValueError:
        pass
    return json.loads(line)


def read_parquet(path: Path, stream: Stream, field: str) -> Iterator[str]:
    """Yield the text of each row.

    Raises:
        CorpusError: The file is damaged, has no such column, has a row without text in it, or pyarrow is not installed.
    """
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise CorpusError(f'{path}: reading parquet needs pyarrow: pip install "minbpe[data]"') from error
    try:
        table = parquet.ParquetFile(stream, page_checksum_verification=True)
        if field not in table.schema_arrow.names:
            raise CorpusError(
                f"{path}: no column {field!r} (there are: {_fields(table.schema_arrow.names)}); "
                "name the text's column with --field"
            )
        rows = 0
        for batch in table.iter_batches(batch_size=1024, columns=[field]):
            for text in batch.to_pydict()[field]:
                if not isinstance(text, str):
                    raise _no_text({field: text}, field, str(path))
                yield text
            rows += len(batch)
        if rows != table.metadata.num_rows:
            raise EOFError(f"{rows:,} rows were found, and its end says {table.metadata.num_rows:,}")
    except (ArrowException, OSError, EOFError, UnicodeDecodeError) as error:
        if getattr(error, "errno", None) is not None:
            raise
        raise CorpusError(
            f"{path}: damaged or unreadable Parquet data ({error}): take it from its source again"
        ) from error


def _no_text(record: object, field: str, place: str) -> CorpusError:
    """Return the error that says what a record has in place of a text."""
    if not isinstance(record, dict):
        return CorpusError(
            f'{place}: the record is no JSON object, but {json.dumps(record)[:40]}: write {{"{field}": "..."}}'
        )
    if field in record:
        what = "null" if record[field] is None else f"of type {type(record[field]).__name__}"
        return CorpusError(
            f"{place}: field {field!r} is {what}, not text; leave such records out, or name another with --field"
        )
    return CorpusError(f"{place}: no text in field {field!r} (the record has: {_fields(record)}); name it with --field")


def _fields(names: Iterable[str]) -> str:
    return first_of([name[:LONGEST_NAME] for name in names], NAMED) or "none"
