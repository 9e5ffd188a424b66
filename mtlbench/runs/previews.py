"""What requests would do, without doing it: many of a study's are answered with few networks built."""

from __future__ import annotations

import json

from mtlbench import records
from mtlbench.errors import FOREIGN
from mtlbench.method import Phase
from mtlbench.runs.assembly import Assembly
from mtlbench.runs.request import Preview, Request

APART = {"seed", "role", "lr", "weight_decay", "dropout", "weights"}
"""Keys of a configuration that no phases depend on: these are a function of the method's options and the budget."""


class Previews:
    """Previews of many requests. A network is built once for all that can differ in their folders alone."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Phase, ...] | BaseException] = {}

    def of(self, request: Request) -> Preview:
        """What a request would do; raises what is wrong with it.

        Under a budget of FLOPs the steps are those of the first seed asked for: a method that draws its policy by the seed
        may differ a little.
        """
        parts = Assembly(request)
        phases = self._phases(parts)
        return Preview(parts.folder, records.status_of(parts.folder), phases, sum(p.steps for p in phases))

    def _phases(self, parts: Assembly) -> tuple[Phase, ...]:
        request = parts.request
        where = (request.method, request.dataset, request.data_dir, request.weights)
        key = json.dumps([where, parts.config.model_dump(mode="json", exclude=APART)], sort_keys=True)
        if key not in self._known:
            try:
                self._known[key] = parts.phases(method := parts.method(), parts.account(method))
            except FOREIGN as error:
                self._known[key] = error
        found = self._known[key]
        if isinstance(found, BaseException):
            raise found
        return found
