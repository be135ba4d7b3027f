"""Loading the rivals without network: their vocabularies are rebuilt from ours."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from minbpe.tiktoken_files import write_tiktoken_cache


def load_tiktoken(cache: Path) -> Any:
    """Return the module tiktoken, with its vocabulary files in `cache`, byte for byte the published ones."""
    write_tiktoken_cache(cache)
    os.environ["TIKTOKEN_CACHE_DIR"] = str(cache)
    import tiktoken

    return tiktoken
