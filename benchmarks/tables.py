"""Tables of results: rows of JSON in, Markdown out, the ratio of ours to the best rival in the last column.

A figure is the median, with the least and the most in brackets. A note below the tables says why a figure is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

OURS = "minbpe"

Row = Mapping[str, Any]


def markdown(rows: Sequence[Row], width: int | None = None) -> str:
    """Return all tables of these rows, and the conditions under which they were measured.

    Given the width of a terminal, columns are aligned, and a wider table is cut into several of some columns each.

    >>> row = {"benchmark": "load", "encoding": "gpt2", "threads": 1, "status": "ok", "version": "1", "memory_mb": 2}
    >>> rows = [row | {"engine": OURS, "seconds": [0.01], "import_seconds": [0]}]
    >>> rows += [row | {"engine": "other", "seconds": [0.03], "import_seconds": [0.02]}]
    >>> print(markdown(rows).partition("A ratio")[0].strip())
    ### load: gpt2
    <BLANKLINE>
    | what | minbpe | other | ours to the best rival |
    |---|--:|--:|--:|
    | milliseconds to import | 0 (0 to 0) | 20 (20 to 20) |  |
    | milliseconds to the first ids | 10 (10 to 10) | 30 (30 to 30) | 3.00 (other) |
    | MB of memory | 2.0 | 2.0 | 1.00 (other) |
    """
    tables = {"encode": _encode, "worst": _encode, "load": _load, "train": _train}
    parts = [
        table.markdown(width) for benchmark, make in tables.items() for table in make(_of(rows, benchmark=benchmark))
    ]
    return "\n".join([*parts, *_notes(rows), *_conditions(rows), ""])


@dataclass(frozen=True, slots=True)
class Table:
    """A heading, the names of the columns, and the lines."""

    title: str
    head: Sequence[str]
    lines: Sequence[Sequence[str]]

    def markdown(self, width: int | None) -> str:
        """Return the table in Markdown; given a width, one or several with aligned columns, as wide as that if a column is."""
        rows = [self.head, *self.lines]
        widths = [0] * len(self.head)
        parts = [list(range(len(self.head)))]
        if width is not None:
            widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
            parts = _parts(widths, width)
        lines = [f"### {self.title}"]
        for columns in parts:
            head, *others = (_line_of(row, columns, widths) for row in rows)
            lines += ["", head, _rule(columns, widths), *others]
        return "\n".join([*lines, ""])


def _line_of(row: Sequence[str], columns: Sequence[int], widths: Sequence[int]) -> str:
    first, *others = columns
    cells = [row[first].ljust(widths[first]), *(row[column].rjust(widths[column]) for column in others)]
    return "|" + "|".join(f" {cell} " for cell in cells) + "|"


def _rule(columns: Sequence[int], widths: Sequence[int]) -> str:
    """Return the line below the head, which aligns the first column to the left, and the others to the right."""
    marks = ["---", *["--:"] * (len(columns) - 1)]
    aligned = (mark.rjust(widths[column] + 2, "-") for mark, column in zip(marks, columns, strict=True))
    return "|" + "|".join(aligned) + "|"


def _parts(widths: Sequence[int], width: int) -> list[list[int]]:
    """Divide columns among tables that are no wider than `width`; the first column is in each.

    >>> _parts([10, 10, 10, 10], width=40)
    [[0, 1, 2], [0, 3]]
    """
    parts: list[list[int]] = [[0]]
    for column in range(1, len(widths)):
        if len(parts[-1]) > 1 and sum(widths[other] + 3 for other in [*parts[-1], column]) + 1 > width:
            parts.append([0])
        parts[-1].append(column)
    return parts


def _encode(rows: Sequence[Row]) -> Iterator[Table]:
    """Yield a table for each way of encoding, with a line per corpus and pass."""
    measured = [row for row in rows if "shape" in row]
    for way in _distinct(measured, "benchmark", "encoding", "shape", "output", "threads"):
        found = _of(measured, **way)
        lines = []
        for corpus in _distinct(found, "corpus"):
            here = _of(found, **corpus)
            failed = [row for row in here if row["status"] != "ok"]
            for name in dict.fromkeys(row["pass"] for row in here if "pass" in row):
                figures = _of(here, **{"pass": name})
                lines.append((f"{corpus['corpus']}, {name}", _line([*figures, *failed], _rate, least=False)))
            firsts = [row for row in here if row.get("pass") == "first"]
            lines.append((f"{corpus['corpus']}, peak MB", _line([*firsts, *failed], _peak, least=True)))
        unit = "thousand calls/s, 20 bytes each" if way["shape"] == "calls" else "MB/s"
        title = f"{way['benchmark']}: {way['encoding']}, {way['shape']}, {way['output']}, {_threads(way)}, {unit}"
        yield _table(title, "corpus, pass", found, lines)


def _load(rows: Sequence[Row]) -> Iterator[Table]:
    measured = [row for row in rows if "encoding" in row]
    for about in _distinct(measured, "encoding"):
        found = _of(measured, **about)
        importing = _line(found, lambda row: _spread([1e3 * second for second in row["import_seconds"]]), least=True)
        lines = [
            ("milliseconds to import", importing | {"": ""}),
            ("milliseconds to the first ids", _line(found, _milliseconds, least=True)),
            ("MB of memory", _line(found, lambda row: (row["memory_mb"], f"{row['memory_mb']:.1f}"), least=True)),
        ]
        yield _table(f"load: {about['encoding']}", "what", found, lines)


def _train(rows: Sequence[Row]) -> Iterator[Table]:
    # Rows of before there was a choice of tie rules do not tell theirs.
    measured = [{"tie_break": "lowest", **row} for row in rows if "size" in row]
    for about in _distinct(measured, "corpus", "bytes", "pattern", "size", "tie_break", "threads"):
        found = _of(measured, **about)
        lines = [
            ("seconds", _line(found, lambda row: _spread(row["seconds"], 2), least=True)),
            *((f"to {stage}", _stage(found, stage)) for stage in ("count", "merge")),
            ("processor seconds", _line(found, _number("processor_seconds", 2), least=True)),
            ("peak MB", _line(found, _number("peak_mb", 0), least=True)),
            ("bytes per token, held out", _line(found, _number("bytes_per_token", 4), least=False)),
            (
                "merges equal",
                {row["engine"]: "yes" if row["equal"] else "not compared" for row in found if "equal" in row},
            ),
        ]
        title = (
            f"train: {about['corpus']}, {about['bytes'] / 1e6:.1f} MB to {about['size']:,} tokens, "
            f"pattern {about['pattern']}, ties {about['tie_break']}, {_threads(about)}"
        )
        yield _table(title, "what", found, lines)


Figure = tuple[float, str]


def _rate(row: Row) -> Figure:
    """Return the speed, in MB or thousand calls per second. The fewest seconds give the highest speed."""
    rate = row["calls_per_second"] / 1e3 if "calls_per_second" in row else row["mb_per_second"]
    return rate, _spread([rate * median(row["seconds"]) / second for second in row["seconds"]])[1]


def _peak(row: Row) -> Figure:
    return row["peak_mb"], f"{row['peak_mb']:.0f}"


def _milliseconds(row: Row) -> Figure:
    return _spread([1e3 * second for second in row["seconds"]])


def _stage(rows: Iterable[Row], stage: str) -> dict[str, str]:
    """Return the seconds of a stage by engine, for the engines that report it."""
    return {row["engine"]: f"{row['stages'][stage]:.2f}" for row in rows if stage in row.get("stages", ())}


def _number(key: str, digits: int) -> Callable[[Row], Figure]:
    return lambda row: (row[key], f"{row[key]:,.{digits}f}")


def _spread(values: Sequence[float], digits: int | None = None) -> Figure:
    middle = median(values)
    places = (1 if max(values) < 10 and middle % 1 else 0) if digits is None else digits
    return middle, f"{middle:,.{places}f} ({min(values):,.{places}f} to {max(values):,.{places}f})"


def _line(rows: Iterable[Row], figure: Callable[[Row], Figure], *, least: bool) -> dict[str, str]:
    """Return the cells of a line by engine, with the ratio under the name ""."""
    cells, values = {}, {}
    for row in rows:
        engine = row["engine"]
        if row["status"] == "ok":
            values[engine], cells[engine] = figure(row)
        else:
            cells[engine] = row["status"].upper()
    ours = values.pop(OURS, None)
    if ours and values:
        best = (min if least else max)(values, key=values.__getitem__)
        ratio = values[best] / ours if least else ours / values[best]
        cells[""] = f"{ratio:.2f} ({best})"
    return cells


def _table(title: str, first: str, rows: Sequence[Row], lines: Iterable[tuple[str, Mapping[str, str]]]) -> Table:
    measured = {row["engine"] for row in rows if row["status"] == "ok"}
    names = dict.fromkeys(row["engine"] for row in rows)
    engines = sorted(names, key=lambda engine: (engine != OURS, engine not in measured))
    cells = [[name, *(cells.get(engine, "") for engine in [*engines, ""])] for name, cells in lines]
    return Table(title, [first, *engines, "ours to the best rival"], cells)


def _notes(rows: Sequence[Row]) -> Iterator[str]:
    """Yield why figures are missing, once for each engine and reason."""
    keys = ("corpus", "encoding", "shape", "output", "pattern", "size", "tie_break")
    notes: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        if row["status"] != "ok":
            place = " ".join(str(row[key]) for key in keys if key in row)
            notes.setdefault((row["engine"], row["status"], row["note"]), []).append(place)
    for (engine, status, note), places in notes.items():
        first, *others = dict.fromkeys(places)
        where = f"{first} and {len(others)} more" if others else first
        yield f"- {engine} {status.upper()}{f' ({where})' if where else ''}: {note}"
    if notes:
        yield ""


def _conditions(rows: Sequence[Row]) -> Iterator[str]:
    versions = dict.fromkeys(f"{row['engine']} {row['version']}" for row in rows if "threads" in row)
    yield "A ratio above 1 says that ours is the better, in memory too.\n"
    yield f"Versions: {', '.join(versions)}.\n"
    for reference in dict.fromkeys(row["reference"] for row in rows if "reference" in row):
        yield f"Ids are compared with those of {reference}.\n"
    for machine in dict.fromkeys(
        f"{found['cpu']}, {found['cores']} cores, {found['system']}, Python {found['python']}, "
        f"processes {'' if found['pinned'] else 'not '}pinned to their cores"
        for found in (row["machine"] for row in rows if "machine" in row)
    ):
        yield f"Machine: {machine}.\n"
    for row in {row["sha256"]: row for row in rows if "sha256" in row}.values():
        yield f"- {row['corpus']}: sha256 {row['sha256']}"


def _distinct(rows: Iterable[Row], *keys: str) -> list[dict[str, Any]]:
    return list({tuple(row[key] for key in keys): {key: row[key] for key in keys} for row in rows}.values())


def _of(rows: Iterable[Row], **fields: Any) -> list[Row]:
    return [row for row in rows if all(row.get(key) == value for key, value in fields.items())]


def _threads(row: Row) -> str:
    return "1 thread" if row["threads"] == 1 else f"{row['threads']} threads"
