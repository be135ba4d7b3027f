"""The README's examples run as they stand."""

import re
import shlex
import subprocess
import sys
import sysconfig
import warnings
from pathlib import Path

import pytest

from minbpe.training import VocabularyWarning

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
COMMANDS = [
    line.partition(" # ")[0] for _, block in BLOCKS for line in block.splitlines() if line.startswith("minbpe ")
]


@pytest.fixture
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sources = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    Path("corpus.txt").write_bytes(b"".join(source.read_bytes() for source in sources))  # some 5 MB
    Path("domain.txt").write_text("acetylsalicylic acid, ibuprofen, paracetamol\n" * 9, encoding="utf-8")
    Path("corpus").mkdir()
    Path("corpus/one.txt").write_text("a document\n", encoding="utf-8")


@pytest.mark.usefixtures("somewhere")
def test_the_python_example_runs() -> None:
    (example,) = [block for language, block in BLOCKS if language == "python"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VocabularyWarning)  # the domain is small
        exec(compile(example, "README.md", "exec"), {})


@pytest.mark.usefixtures("somewhere")
def test_the_commands_run_one_after_the_other() -> None:
    assert len(COMMANDS) >= 4
    for command in COMMANDS:
        subprocess.run([sys.executable, "-m", *shlex.split(command)], check=True, capture_output=True)
