"""Results become pictures, tables and files."""

from __future__ import annotations

from mien.output.draw import draw
from mien.output.heatmap import heat
from mien.output.palette import COLOURS, text_on
from mien.output.tables import CsvWriter, JsonLinesWriter, face_table, to_json
from mien.output.write import encode_jpeg, encode_png, write_image

__all__ = [
    "COLOURS",
    "CsvWriter",
    "JsonLinesWriter",
    "draw",
    "encode_jpeg",
    "encode_png",
    "face_table",
    "heat",
    "text_on",
    "to_json",
    "write_image",
]
