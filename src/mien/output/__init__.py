"""Results become images, tables and files: `mien.write` and `registry.FORMATS` for all formats, the rest for one each.

Some functions have the name of their module and are imported from there, such as `mien.output.draw.draw`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien._lazy import lazy_getattr

if TYPE_CHECKING:
    from mien.output.bands import Sketch as Sketch
    from mien.output.canvas import COLORS as COLORS
    from mien.output.canvas import text_on as text_on
    from mien.output.console import face_table as face_table
    from mien.output.console import speech_table as speech_table
    from mien.output.console import video_table as video_table
    from mien.output.draw import heat as heat
    from mien.output.faces import Thumbnails as Thumbnails
    from mien.output.page import video_page as video_page
    from mien.output.registry import FORMATS as FORMATS
    from mien.output.registry import Context as Context
    from mien.output.registry import Format as Format
    from mien.output.registry import Writer as Writer
    from mien.output.summary import speech_summary as speech_summary
    from mien.output.summary import video_summary as video_summary
    from mien.output.tables import CsvWriter as CsvWriter
    from mien.output.tables import JsonLinesWriter as JsonLinesWriter
    from mien.output.tables import ParquetWriter as ParquetWriter
    from mien.output.tables import to_json as to_json
    from mien.output.tables import write_json as write_json
    from mien.output.timeline import plot_speech as plot_speech
    from mien.output.timeline import plot_timeline as plot_timeline
    from mien.output.write import encode_jpeg as encode_jpeg
    from mien.output.write import encode_png as encode_png
    from mien.output.write import save_wav as save_wav
    from mien.output.write import write_image as write_image
    from mien.output.write import write_wav as write_wav

_HOMES = {
    "bands": ("Sketch",),
    "canvas": ("COLORS", "text_on"),
    "console": ("face_table", "speech_table", "video_table"),
    "draw": ("heat",),
    "faces": ("Thumbnails",),
    "page": ("video_page",),
    "registry": ("FORMATS", "Context", "Format", "Writer"),
    "summary": ("speech_summary", "video_summary"),
    "tables": ("CsvWriter", "JsonLinesWriter", "ParquetWriter", "to_json", "write_json"),
    "timeline": ("plot_speech", "plot_timeline"),
    "write": ("encode_jpeg", "encode_png", "save_wav", "write_image", "write_wav"),
}

__all__ = sorted(name for names in _HOMES.values() for name in names)

__getattr__ = lazy_getattr(
    __name__, {name: f"mien.output.{module}" for module, names in _HOMES.items() for name in names}
)
