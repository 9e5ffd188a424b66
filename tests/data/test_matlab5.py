"""The MATLAB reader against SciPy's writer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from mtlbench.data.disk.matlab5 import numbers, variable
from mtlbench.errors import DataError


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
@pytest.mark.parametrize("packed", [False, True])
def test_arrays_come_back_in_their_shape(tmp_path: Path, dtype: str, packed: bool) -> None:
    values = np.arange(24).reshape(2, 3, 4).astype(dtype)
    savemat(tmp_path / "x.mat", {"first": np.ones(3), "it": values, "last": "text"}, do_compression=packed)
    found = numbers(tmp_path / "x.mat", "it", "x")
    assert found.dtype.kind == values.dtype.kind
    assert np.array_equal(found, values)


@pytest.mark.parametrize("values", [[[1]], [[1], [2]], [[1.5, -2.5]], [[1e9]]])
def test_small_and_large_elements_are_told_apart(tmp_path: Path, values: list[list[float]]) -> None:
    savemat(tmp_path / "x.mat", {"it": values})
    assert numbers(tmp_path / "x.mat", "it", "x").tolist() == values


def test_structures_give_their_fields_of_numbers(tmp_path: Path) -> None:
    content = {"labels": np.arange(40)[None], "names": np.array(["a", "b"], object), "n": 3.0}
    savemat(tmp_path / "x.mat", {"it": content})
    found = variable(tmp_path / "x.mat", "it", "x")
    assert isinstance(found, dict)
    assert set(found) == {"labels", "n"}
    assert np.array_equal(found["labels"], np.arange(40)[None])


def test_what_is_not_there_or_no_numbers_is_named(tmp_path: Path) -> None:
    savemat(tmp_path / "x.mat", {"text": "abc", "structure": {"a": 1}})
    with pytest.raises(DataError, match=r"x.mat': no variable 'it' of numbers \(expected: a mapping\)"):
        numbers(tmp_path / "x.mat", "it", "a mapping")
    with pytest.raises(DataError, match="no variable 'text' of numbers"):
        numbers(tmp_path / "x.mat", "text", "a mapping")
    with pytest.raises(DataError, match="'structure' is a structure"):
        numbers(tmp_path / "x.mat", "structure", "a mapping")


def test_what_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    savemat(tmp_path / "x.mat", {"it": np.zeros(1 << 22)}, do_compression=True)
    assert (tmp_path / "x.mat").stat().st_size < 1 << 20
    with pytest.raises(DataError, match="unpacks to more than"):
        numbers(tmp_path / "x.mat", "it", "x")
