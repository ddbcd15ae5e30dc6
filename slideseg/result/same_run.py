"""Whether a result is of the run that is asked for; if not, what differs in the words of who typed the command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slideseg.errors import ResultError, explain
from slideseg.model.bundled import bundled_models
from slideseg.words import number

if TYPE_CHECKING:
    from slideseg.result.record import RunRecord

Said = dict[str, Any]
SHORT = 12
"""Letters of a hash that tell one file from another."""
FRESH = "--overwrite"
OTHER = f"another --output, or {FRESH}"
"""What helps where no option leads back."""
BY_OPTION = {"precision": "--precision", "device": "--device", "image": "--image", "range": "--range", "core": "--tile"}
"""What an option decides alone."""
SELECTED = {"series": "--series", "channels": "--channel", "z": "--z", "t": "--t", "mpp": "--mpp-of-slide"}


def check_same_run(url: str, there: Said, record: RunRecord) -> None:
    """Let the same run pass; ``there`` is what the result under ``url`` says of its own.

    Raises:
        ResultError: if it is another one, that names what differs, and the option that goes on with what is there.
    """
    here = record.to_json()
    got, want = _run_of(there), here["run"]
    names = _differing(got, want)
    if not names:
        return
    what, before, now, back = _difference(names, there, here)
    raise ResultError(explain(f"{url} holds another run's result: {what}", got=before, want=now, try_=back))


Difference = tuple[str, object, object, str]
"""What differs, what it was and is in words, and what to try."""


def _run_of(said: Said) -> Said:
    run = said.get("run")
    return run if isinstance(run, dict) else {}


def _difference(names: list[str], there: Said, here: Said) -> Difference:
    """Return the first difference that its user can do something about; of what else differs it may be the cause."""
    if "format" in names:
        got, want = _run_of(there).get("format"), here["run"]["format"]
        return "it is of another version of slideseg", got or "no format", want, OTHER
    for name, words in (("slide", _slide), ("selection", _selection), ("model", _model)):
        if name in names:
            return words(there, here)
    if {"level", "factors"} & {*names}:
        return _resolution(there, here)
    first = [name for name in ("statistics", "window") if name in names]  # the tile differs because of them
    return _setting([*first, *names][0], there, here)


def _differing(got: Said, want: Said) -> list[str]:
    """Return the names of what differs; what an older version did not know is None.

    >>> _differing({"a": 1, "b": {"x": 1}}, {"a": 1, "b": {"x": 1, "y": None}, "c": None}), _differing({"d": 1}, {"a": [1]})
    ([], ['a', 'd'])
    """

    def same(one: object, other: object) -> bool:
        return not _differing(one, other) if isinstance(one, dict) and isinstance(other, dict) else one == other

    return [name for name in dict.fromkeys([*want, *got]) if not same(got.get(name), want.get(name))]


def _slide(there: Said, here: Said) -> Difference:
    got, want = _at(there, "slide", "path"), _at(here, "slide", "path")
    if got == want:
        return f"the slide {want} has changed since", None, None, OTHER
    return "the slide is another one", got, want, OTHER


def _model(there: Said, here: Said) -> Difference:
    got, want = _at(there, "model", "name"), _at(here, "model", "name")
    if got == want:
        before, now = (f"sha256 {str(_at(one, 'model', 'sha256'))[:SHORT]}..." for one in (there, here))
        return f"the model {want} is another one of that name", before, now, OTHER
    back = f"--model {got}" if got in bundled_models() else "the --model it was begun with"
    return "the model is another one", got, want, f"{back}, or {FRESH}"


def _selection(there: Said, here: Said) -> Difference:
    got, want = _at(there, "run", "selection"), _at(here, "run", "selection")
    got = got if isinstance(got, dict) else {}
    name = _differing(got, want)[0]
    before, now = (_as_typed(one) if name == "mpp" else one for one in (got.get(name), want.get(name)))
    what, before, now, back = _option(SELECTED.get(name, f"--{name.replace('_', '-')}"), before, now)
    return what, before, now, f"{back}; of one of several slides a --manifest says it" if name == "mpp" else back


def _resolution(there: Said, here: Said) -> Difference:
    """Return that another level is read, or that pixels have another size; --mpp where that is known of both."""
    got, want = (_at(one, "settings", "mpp") for one in (there, here))
    if got is not None and want is not None and number(got) != number(want):
        return "--mpp differs", number(got), number(want), f"--mpp {got:.10g}, or {FRESH}"
    got, want = (_at(one, "run", "level") for one in (there, here))
    if got != want:
        return _option("--level", got, want)
    got, want = (_at(one, "run", "factors") for one in (there, here))
    return "--mpp, --level or the size of the slide's pixels differs", f"pixels of {got} of the level", want, OTHER


def _setting(name: str, there: Said, here: Said) -> Difference:
    if name == "tissue":
        return _tissue(there, here)
    place = ("settings", "tile") if name == "core" else ("run", name)
    got, want = _at(there, *place), _at(here, *place)
    if name == "probabilities":
        (before, now), back = ("yes" if one else "no" for one in (got, want)), "no " * (not got)
        return "--save-probabilities differs", before, now, f"{back}--save-probabilities, or {FRESH}"
    if name in BY_OPTION:
        return _option(BY_OPTION[name], got, want)
    if name in ("window", "statistics"):
        return _cured(name, got, want)
    if name == "feature_ranges":
        return "int8 was fitted to other numbers, as on another kind of processor", None, None, OTHER
    return f"{name} differs", got, want, OTHER


def _cured(name: str, got: object, want: object) -> Difference:
    """Return that a model which can't be tiled exactly is run in another way."""
    option = {"window": "--inexact", "statistics": "--freeze-statistics"}[name]
    if got is None or want is None:
        before, now = ("no" if one is None else "yes" for one in (got, want))
        return f"{option} differs", before, now, f"{'no ' * (got is None)}{option}, or {FRESH}"
    if name == "window":
        return _option("--tile", got, want)
    return "other statistics were frozen, as on another kind of processor", None, None, OTHER


def _tissue(there: Said, here: Said) -> Difference:
    got, want = _at(there, "settings", "tissue"), _at(here, "settings", "tissue")
    if got == want:
        return f"--tissue {want} means other parts of the slide than then", None, None, OTHER
    return _option("--tissue", got, want)


def _option(option: str, got: object, want: object) -> Difference:
    """Return that an option's value differs; None is for one that was not given."""
    before, now = (None if one in (None, []) else _typed(one) for one in (got, want))
    back = f"no {option}" if before is None else f"{option} {before}"
    return f"{option} differs", before or "none", now or "none", f"{back}, or {FRESH}"


def _as_typed(sides: object) -> object:
    """Return the sides (y, x) of a pixel as they are typed: x first, one number where it is square."""
    if not isinstance(sides, list):
        return sides
    return sides[:1] if len({*sides}) == 1 else sides[::-1]


def _typed(value: object) -> str:
    """Return a value as it is typed.

    >>> _typed([0.0, 0.1]), _typed("none"), _typed(3), _typed(["DAPI", "1"])
    ('0,0.1', 'none', '3', 'DAPI,1')
    """
    return ",".join(map(_typed, value)) if isinstance(value, list) else str(value).removesuffix(".0")


def _at(said: Said, *names: str) -> Any:
    """Return what stands below names; None where nothing does."""
    value: Any = said
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
