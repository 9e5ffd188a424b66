"""A sweep: the study once for each value of one setting, or once for each of a few weights of its tasks.

`--sweep weights` takes points of the simplex, `--sweep owner.option=V,V,V` the values of whatever `--set` can name. Each
point is a study of its own, with run folders of its own; the report draws what changes over the points from their records.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from mtlbench.errors import ConfigError, short, unknown
from mtlbench.given import parse_yaml
from mtlbench.study.settings import Settings

WEIGHTS = "weights"
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)  # of the second task's weight, where there are two
MOST = 100  # points
ALLOWED = (WEIGHTS, "weights=SHARE,SHARE", "owner.option=VALUE,VALUE")


def variants(settings: Settings, weights: Mapping[str, float], owners: Collection[str]) -> list[tuple[str, Settings]]:
    """What each point is called, and the study's settings at it; `weights` are the study's own, a task each.

    `owners` are those whose options take part: the study's data set and methods. Raises ConfigError for a sweep over
    nothing, over one value, or together with a tuning stage.
    """
    if settings.tune:
        raise ConfigError(f"--sweep with --tune {settings.tune}: tuned at which point? (allowed: one of the two)")
    name, equals, text = (part.strip() for part in str(settings.sweep).partition("="))
    values = _values(text, str(settings.sweep)) if equals else None
    one = settings.model_copy(update={"sweep": None})
    if name == WEIGHTS:
        return [_weighted(one, given) for given in simplex(weights, values)]
    owner, dot, option = name.rpartition(".")
    if not (owner and dot and option) or values is None:
        raise unknown("sweep", str(settings.sweep), ALLOWED)
    if owner not in (*owners, "run"):
        raise unknown("owner in --sweep", owner, {*owners, "run"})
    return [(f"{option} {_told(value)}", _set(one, owner, option, value)) for value in values]


def _values(text: str, whole: str) -> list[Any]:
    """The values behind the equals sign, as YAML reads a list of them."""
    try:
        values = parse_yaml(f"[{text}]", f"'{short(text)}'")
    except ConfigError as error:
        raise ConfigError(f"--sweep '{short(whole)}': {error}") from error
    told = [_told(value) for value in values]
    if not 2 <= len(set(told)) == len(told) <= MOST:
        raise ConfigError(f"--sweep '{short(whole)}' has {len(told)} values (allowed: 2 to {MOST}, each once)")
    return list(values)


def _told(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else short(str(value))


def _set(settings: Settings, owner: str, option: str, value: Any) -> Settings:
    """The settings with one option more."""
    if owner == "run":
        return settings.model_copy(update={"run": {**settings.run, option: value}})
    own = {**settings.set.get(owner, {}), option: value}
    return settings.model_copy(update={"set": {**settings.set, owner: own}})


def _weighted(settings: Settings, weights: Mapping[str, float]) -> tuple[str, Settings]:
    told = ", ".join(f"{task} {weight:g}" for task, weight in weights.items())
    return f"weights {told}", _set(settings, "run", "weights", dict(weights))


def simplex(own: Mapping[str, float], shares: Sequence[Any] | None = None) -> Iterator[dict[str, float]]:
    """Weights of the tasks: their own times factors with the mean 1.

    Of two tasks the second has these shares. Of more, the centre; each task half the way from there to its corner; and each
    half the way to the opposite side: 2 T + 1 points. ConfigError for one task, and for shares that are none.
    """
    count = len(own)
    if count < 2:
        raise ConfigError(f"--sweep weights with the task {', '.join(own)} alone (allowed: with two or more tasks)")
    if shares is not None and count > 2:
        raise ConfigError(f"--sweep weights with shares and {count} tasks (allowed: --sweep weights, or two tasks)")
    if wrong := [s for s in shares or () if isinstance(s, bool) or not isinstance(s, int | float) or not 0 <= s <= 1]:
        raise ConfigError(f"--sweep weights has the share {_told(wrong[0])} (allowed: 0 to 1, of the second task)")
    for factors in _two(shares or SHARES) if count == 2 else _more(count):
        yield {task: round(weight * f, 6) for (task, weight), f in zip(own.items(), factors, strict=True)}


def _two(shares: Sequence[float]) -> Iterator[tuple[float, ...]]:
    for share in shares:
        yield 2 * (1 - share), 2 * share


def _more(count: int) -> Iterator[tuple[float, ...]]:
    yield (1.0,) * count
    heavy, light = (1 + count) / 2, 0.5
    for one, others in ((heavy, light), (light, (2 * count - 1) / (2 * (count - 1)))):
        for i in range(count):
            yield tuple(one if j == i else others for j in range(count))
