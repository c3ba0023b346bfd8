"""LZW as TIFF stores it: the largest bits first, and codes that grow one entry early.

References
----------
TIFF Revision 6.0 (Adobe, 1992), section 13.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["unpack_lzw"]

_CLEAR, _END = 256, 257
# A code has 9 bits until the table holds 511 entries, then 10, 11 and 12: the k-th code after a clear code therefore
# lies at a known place, and a whole table's worth of codes is cut out at once.
_LZW_CODES = 4096 - 256
_LZW_WIDTHS: NDArray[np.int64] = 9 + np.searchsorted((254, 766, 1790), np.arange(_LZW_CODES), side="right")
_LZW_STARTS: NDArray[np.int64] = np.concatenate([[0], np.cumsum(_LZW_WIDTHS)])
_SINGLE_BYTES = [bytes([value]) for value in range(256)] + [b"", b""]


# A file may begin a new table after every code.  So many codes are looked at first, before a whole table is cut out.
_FIRST_CODES = 16
_FIRST_BYTES = -(-(7 + 9 * _FIRST_CODES) // 8)


def unpack_lzw(block: bytes, expected: int) -> bytes:
    """Return at most `expected` bytes, fewer where the block ends early; `ValueError` where it is damaged."""
    stored = np.frombuffer(block + bytes(4), dtype=np.uint8).astype(np.int64)
    bits = 8 * len(block)
    out: list[bytes] = []
    done = at = 0
    while done < expected and at + 9 <= bits:
        codes = _first_codes(block, at, bits)
        stop = _stop(codes)
        if stop == len(codes) == _FIRST_CODES:
            codes = _codes(stored, at, bits)
            stop = _stop(codes)
        done += _run(codes[:stop], out, expected - done)
        if stop == len(codes) or codes[stop] == _END:
            break
        at += int(_LZW_STARTS[stop + 1])
    return b"".join(out)[:expected]


def _first_codes(block: bytes, at: int, bits: int) -> list[int]:
    """Cut out the few codes that follow the bit `at`; right after a clear code they have 9 bits."""
    start = at >> 3
    word = int.from_bytes(block[start : start + _FIRST_BYTES].ljust(_FIRST_BYTES, b"\0"), "big")
    top = 8 * _FIRST_BYTES - (at & 7) - 9
    return [word >> (top - 9 * number) & 511 for number in range(min(_FIRST_CODES, (bits - at) // 9))]


def _stop(codes: list[int]) -> int:
    """Return where the first clear or end code stands, else how many codes there are."""
    return min((codes.index(code) for code in (_CLEAR, _END) if code in codes), default=len(codes))


def _codes(stored: NDArray[np.int64], at: int, bits: int) -> list[int]:
    """Cut out the codes that follow the bit `at`, up to one table's worth."""
    number = int(np.searchsorted(_LZW_STARTS[1:], bits - at, side="right"))
    first = at + _LZW_STARTS[:number]
    widths = _LZW_WIDTHS[:number]
    byte = first >> 3
    words = stored[byte] << 16 | stored[byte + 1] << 8 | stored[byte + 2]
    codes: list[int] = ((words >> (24 - (first & 7) - widths)) & ((1 << widths) - 1)).tolist()
    return codes


def _run(codes: list[int], out: list[bytes], room: int) -> int:
    """Decode the codes between two clear codes, append what they mean to `out`, and return how many bytes that is."""
    if not codes:
        return 0
    table = _SINGLE_BYTES.copy()
    before = b""
    done = 0
    for code in codes:
        size = len(table)
        if code < size:
            entry = table[code]
        elif code == size and before:
            entry = before + before[:1]
        else:
            raise ValueError("its compressed data is damaged (a code that is not in the table)")
        if before:
            table.append(before + entry[:1])
        out.append(entry)
        before = entry
        done += len(entry)
        if done >= room:
            break
    return done
