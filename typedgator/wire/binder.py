"""The binder: a call to a dict of arguments by name, and back to a call, both compiled once per task.

CPython itself does the binding: a `def` with the task's own parameters is compiled, whose body builds the dict.
Defaults that were not overridden stay out, so a new optional parameter is not sent to workers that do not know it.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

__all__ = ["Binder", "Bound", "Call"]

Call: TypeAlias = tuple[tuple[object, ...], dict[str, object]]
"""What to call a function with: `fn(*call[0], **call[1])`."""

_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Bound(NamedTuple):
    """A call as far as it fits: arguments by name, and what does not fit, one line each."""

    named: dict[str, object]
    problems: list[str]


class Binder:
    """Binds calls of one signature.

    `bind(*args, **kwargs)` gives the dict by name and raises TypeError when the call does not fit; extra positional
    arguments stand in it under the name of `*args`, extra keywords under that of `**kwargs`. `split` turns such a
    dict back into a call.
    """

    def __init__(self, signature: inspect.Signature) -> None:
        self.parameters: tuple[inspect.Parameter, ...] = tuple(signature.parameters.values())
        self.bind: Callable[..., dict[str, object]] = _compile_bind(self.parameters)
        self.split: Callable[[dict[str, object]], Call] = _compile_split(self.parameters)

    def explain(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> Bound:
        """Bind what can be bound and name everything else."""
        named: dict[str, object] = {}
        problems: list[str] = []
        rest, extra = tuple(args), dict(kwargs)
        takes_any = any(p.kind is p.VAR_KEYWORD for p in self.parameters)
        for parameter in self.parameters:
            name = parameter.name
            if parameter.kind is parameter.VAR_POSITIONAL:
                if rest:
                    named[name], rest = rest, ()
            elif parameter.kind is parameter.VAR_KEYWORD:
                if extra:
                    named[name], extra = extra, {}
            elif parameter.kind in _POSITIONAL and rest:
                named[name], rest = rest[0], rest[1:]
                if name in extra and parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
                    problems.append(f"{name} is given twice, by position and by name")
                    del extra[name]
            elif parameter.kind is not parameter.POSITIONAL_ONLY and name in extra:
                named[name] = extra.pop(name)
            elif name in extra and not takes_any:
                problems.append(f"{name} must be given by position")
                del extra[name]
            elif parameter.default is parameter.empty:
                problems.append(f"{name} is missing")
        if rest:
            most = sum(parameter.kind in _POSITIONAL for parameter in self.parameters)
            named_only = [p.name for p in self.parameters if p.kind is p.KEYWORD_ONLY and p.name not in kwargs]
            way = f"; give {' and '.join(named_only[:3])} by name" if named_only else ""
            problems.append(f"{len(args)} arguments are given by position, at most {most} are taken{way}")
        problems += [f"{name} is not a parameter{self._meant(name, named)}" for name in extra]
        return Bound(named, problems)

    def _meant(self, name: object, named: Mapping[str, object]) -> str:
        import difflib

        free = [p.name for p in self.parameters if p.name not in named and p.kind is not p.VAR_POSITIONAL]
        close = difflib.get_close_matches(str(name), free, n=1)
        return f"; did you mean {close[0]}" if close else ""


def _compiled(source: str, names: dict[str, Any]) -> Callable[..., Any]:
    # The only text that enters `source` is parameter names, which the interpreter has accepted as identifiers.
    exec(compile(source, "<typedgator binder>", "exec"), names)  # noqa: S102
    made: Callable[..., Any] = names["made"]
    return made


def _free(parameters: tuple[inspect.Parameter, ...], wish: str) -> str:
    """A name that no parameter bears."""
    taken = {parameter.name for parameter in parameters}
    while wish in taken:
        wish += "_"
    return wish


def _compile_bind(parameters: tuple[inspect.Parameter, ...]) -> Callable[..., dict[str, object]]:
    unset, given = _free(parameters, "unset"), _free(parameters, "given")
    heads: list[str] = []
    always: list[str] = []
    later: list[str] = []
    last: Any = None
    for parameter in parameters:
        name, kind = parameter.name, parameter.kind
        if last is parameter.POSITIONAL_ONLY and kind is not last:
            heads.append("/")
        if kind is parameter.KEYWORD_ONLY and last not in (parameter.VAR_POSITIONAL, parameter.KEYWORD_ONLY):
            heads.append("*")
        last = kind
        if kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            heads.append(f"*{name}" if kind is parameter.VAR_POSITIONAL else f"**{name}")
            later.append(f" if {name}: {given}[{name!r}] = {name}")
        elif parameter.default is parameter.empty:
            heads.append(name)
            always.append(f"{name!r}: {name}")
        else:
            heads.append(f"{name}={unset}")
            later.append(f" if {name} is not {unset}: {given}[{name!r}] = {name}")
    if last is inspect.Parameter.POSITIONAL_ONLY:
        heads.append("/")
    body = "\n".join([f" {given} = {{{', '.join(always)}}}", *later, f" return {given}"])
    return _compiled(f"def made({', '.join(heads)}):\n{body}\n", {unset: object()})


def _compile_split(parameters: tuple[inspect.Parameter, ...]) -> Callable[[dict[str, object]], Call]:
    """For most tasks everything goes by keyword; `/` and `*args` force positions, and then defaults are filled in."""
    star = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)
    stars = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), None)
    leading = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY]
    if not leading and star is None and stars is None:
        return _by_keyword
    every = leading + [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    reserved = frozenset(
        p.name for p in parameters if p.kind not in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL, p.VAR_KEYWORD)
    )
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}

    def made(given: dict[str, object]) -> Call:
        more: Any = given.pop(star, ()) if star is not None else ()
        extra: Any = given.pop(stars, {}) if stars is not None else {}
        if not reserved.isdisjoint(extra):
            # No call of ours makes such bytes: an extra keyword would stand in for a checked argument, unchecked.
            raise TypeError(f"an extra keyword bears the name of a parameter: {sorted(reserved & extra.keys())}")
        # Without extra positions, what may go by keyword does; a default that stands before a position is filled in.
        filled = [given.pop(name, defaults.get(name)) for name in (every if more else leading)]
        given.update(extra)
        return (*filled, *more), given

    return made


def _by_keyword(given: dict[str, object]) -> Call:
    return (), given
