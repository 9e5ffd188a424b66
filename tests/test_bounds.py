"""Every number that an option of the suite's own takes has a least and a most: an absurd one is refused at once."""

from __future__ import annotations

import types
import typing

import annotated_types
import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mtlbench import plugins
from mtlbench.config import RunConfig

LOWER = (annotated_types.Ge, annotated_types.Gt)
UPPER = (annotated_types.Le, annotated_types.Lt)


def models() -> dict[str, type[BaseModel]]:
    """The options of runs, of every method and of every data set."""
    owners = {n: plugins.load(group, n).Options for group in ("methods", "datasets") for n in plugins.names(group)}
    return {"run": RunConfig, **owners}


def is_number(field: FieldInfo) -> bool:
    """Whether a field is one number, or None; tuples and mappings have rules of their own."""
    union = isinstance(field.annotation, types.UnionType)
    kinds = set(typing.get_args(field.annotation)) if union else {field.annotation}
    return bool(kinds & {int, float}) and kinds <= {int, float, type(None)}


@pytest.mark.parametrize("owner", sorted(models()))
def test_numbers_have_a_least_and_a_most(owner: str) -> None:
    for name, field in models()[owner].model_fields.items():
        if is_number(field):
            for ends in (LOWER, UPPER):
                assert any(isinstance(m, ends) for m in field.metadata), f"{owner}.{name} is open"


def test_the_rule_sees_an_open_number() -> None:
    class Open(BaseModel):
        count: int | None = None

    assert is_number(Open.model_fields["count"])
    assert Open.model_fields["count"].metadata == []
