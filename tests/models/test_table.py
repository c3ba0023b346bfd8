from __future__ import annotations

import datetime as dt
import math
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mien.errors import ModelError
from mien.models._table import Table, dump_toml

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PLAIN = (
    TEXT
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.dates(min_value=dt.date(1000, 1, 1))
    | st.datetimes(min_value=dt.datetime(1000, 1, 1))
    | st.times()
)
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4))


def test_the_reader_of_the_standard_library_reads_back_what_is_written() -> None:
    # A machine busy with other work must not fail a test of text.
    @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.dictionaries(TEXT, VALUES, max_size=6))
    def check(data: dict[str, Any]) -> None:
        assert tomllib.loads(dump_toml(data)) == data

    check()


def test_floats_come_back_to_the_bit() -> None:
    values = [0.1, 1e-300, 5e-324, 1e22, 1.0, -0.0, 1 / 3, math.inf, -math.inf]
    back = tomllib.loads(dump_toml({"values": values}))["values"]
    assert [v.hex() for v in back] == [v.hex() for v in values]
    assert math.isnan(tomllib.loads(dump_toml({"x": math.nan}))["x"])


def test_lists_of_tables_become_arrays_of_tables_and_plain_values_come_first() -> None:
    text = dump_toml({"table": {"b": 1}, "rows": [{"x": "1\n2"}, {"x": 'a"b\\'}], "plain": (1, 2)})
    assert text == 'plain = [1, 2]\n\n[table]\nb = 1\n\n[[rows]]\nx = "1\\n2"\n\n[[rows]]\nx = "a\\"b\\\\"\n'


@pytest.mark.parametrize("value", [None, object(), {1, 2}, b"bytes"])
def test_what_has_no_place_in_toml_is_refused(value: object) -> None:
    with pytest.raises(ModelError, match="TOML has no place for"):
        dump_toml({"key": value})


def test_keys_and_text_must_be_unicode_strings() -> None:
    with pytest.raises(ModelError, match="TOML keys must be strings, but got 1"):
        dump_toml({1: 2})  # type: ignore[dict-item]
    with pytest.raises(ModelError, match="lone surrogate"):
        dump_toml({"key": "\ud800"})


def test_a_table_names_file_place_and_key() -> None:
    table = Table({"there": "x", "extra": 1}, Path("m.toml"), "[license]")
    assert table.text("there") == "x"
    with pytest.raises(ModelError, match=r"m\.toml: \[license\]: key 'extra' is not known: expected there"):
        table.done()
    with pytest.raises(ModelError, match=r"m\.toml: \[license\]: key 'gone' is missing"):
        table.text("gone")
