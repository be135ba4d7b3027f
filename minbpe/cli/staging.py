"""What `minbpe train --stage` takes: a pattern with a size, and a corpus that may be read once for each stage."""

from collections.abc import Callable, Iterable, Iterator

from minbpe.documents import Long
from minbpe.errors import MinbpeError


class Anew:
    """Documents that are read from the start each time they are asked for."""

    def __init__(self, read: Callable[[], Iterable[str | bytes | Long]]) -> None:
        self.read = read

    def __iter__(self) -> Iterator[str | bytes | Long]:
        return iter(self.read())


def parse_stage(stage: str) -> tuple[str | None, int]:
    r"""Return the pattern and the size of PATTERN:SIZE.

    >>> parse_stage("gpt4:24576"), parse_stage(r"(?:a|b)+:300"), parse_stage("none:32768")
    (('gpt4', 24576), ('(?:a|b)+', 300), (None, 32768))

    Raises:
        MinbpeError: there is no size.
    """
    pattern, _, size = stage.rpartition(":")
    if not pattern or not size.isascii() or not size.isdigit():
        raise MinbpeError(f"--stage {stage}: write PATTERN:SIZE, such as gpt4:24576 or none:32768")
    return None if pattern == "none" else pattern, int(size)
