"""Opens a file that may be compressed as its plain bytes."""

import gzip
import io
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow

COMPRESSIONS = (".gz", ".zst")


def open_binary(file: Path) -> BinaryIO:
    """The file's bytes, decompressed when its name ends in one of `COMPRESSIONS`."""
    ending = file.suffix.lower()
    if ending == ".gz":
        return cast(BinaryIO, gzip.open(file, "rb"))
    if ending == ".zst":  # Arrow brings Zstandard with it; Python has it from 3.14 on
        return cast(BinaryIO, io.BufferedReader(pyarrow.input_stream(file, compression="zstd")))
    return file.open("rb")
