"""What `minbpe train --stage` needs: a pattern with a size, and a corpus that can be read once per stage."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from minbpe.cli.count import SIZE
from minbpe.cli.shared import UsageError
from minbpe.documents import Long
from minbpe.errors import PatternError
from minbpe.merging import MOST_TOKENS
from minbpe.patterns import resolve


class Anew:
    """Documents that are read from the start on each iteration."""

    def __init__(self, read: Callable[[], Iterable[str | bytes | Long]]) -> None:
        self.read = read

    def __iter__(self) -> Iterator[str | bytes | Long]:
        return iter(self.read())


def parse_stage(stage: str) -> tuple[str | None, int]:
    r"""Return the pattern and the size of PATTERN:SIZE.

    >>> parse_stage("gpt4:24576"), parse_stage(r"(?:a|b)+:300"), parse_stage("none:32768")
    (('gpt4', 24576), ('(?:a|b)+', 300), (None, 32768))

    Raises:
        UsageError: the size is missing or too large, or there is no pattern of that name.
    """
    pattern, _, size = stage.rpartition(":")
    if not pattern or not size.isascii() or not size.isdigit():
        raise UsageError(f"--stage {stage}: write PATTERN:SIZE, such as gpt4:24576 or none:32768")
    named = None if pattern == "none" else pattern
    try:
        resolve(named)
    except PatternError as error:
        raise UsageError(f"--stage {stage}: {error}") from None
    if int(size) > MOST_TOKENS:
        raise UsageError(f"--stage {stage}: a vocabulary has {MOST_TOKENS:,} tokens at most")
    return named, int(size)


def planned(size: int | None, stages: Sequence[str] | None) -> tuple[int, list[tuple[str | None, int]] | None]:
    """Return the size of the vocabulary, with stages that of the last one, and the stages.

    >>> planned(None, ["gpt4:300", "none:400"]), planned(None, None)
    ((400, [('gpt4', 300), (None, 400)]), (32768, None))

    Raises:
        UsageError: a stage is malformed, or the size differs from that of the last stage.
    """
    if stages is None:
        return SIZE if size is None else size, None
    each = list(map(parse_stage, stages))
    last = each[-1][1]
    if size not in (None, last):
        raise UsageError(
            f"--size {size} is not that of the last --stage, {last}: leave --size out, or give both the same"
        )
    return last, each
