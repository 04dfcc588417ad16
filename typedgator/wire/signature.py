"""Functions that can be tasks: plain ones, at module level, whose parameters and result are annotated.

Everything else is refused here with one sentence that says why and what to do.
"""

import enum
import functools
import importlib
import inspect
import typing
from collections.abc import Callable, Collection
from typing import Any, Final, NamedTuple

from typedgator.errors import RegistrationError, UnsupportedSignature
from typedgator.wire.reasons import name_of

__all__ = ["Signed", "annotations_of", "hints_of", "laid_out", "shown_signature", "signed", "unread"]


class Signed(NamedTuple):
    """A function's signature and its annotations, resolved; `return` among them if given."""

    signature: inspect.Signature
    hints: dict[str, Any]


def signed(fn: Callable[..., object], task: str, *, named: bool) -> Signed:
    """What a task's function says of itself. `named`: the user gave the task its name. Raises RegistrationError."""
    why = _no_task(fn, named)
    if why:
        raise RegistrationError(f"{task} cannot be a task: it is {why}")
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError) as error:
        raise RegistrationError(f"{task} cannot be a task: its signature cannot be read ({error})") from error
    if _is_method(fn, signature):
        raise RegistrationError(
            f"{task} cannot be a task: it is a method, and `{next(iter(signature.parameters))}` cannot be queued; "
            "write a function that takes what it needs"
        )
    return Signed(signature, hints_of(fn, task))


def _no_task(fn: Any, named: bool) -> str:
    """Why this cannot be a task; "" when it can."""
    name = getattr(fn, "__qualname__", "")
    code = inspect.unwrap(fn) if callable(fn) else fn
    checks: tuple[tuple[bool, str], ...] = (
        (not callable(fn), f"not a function ({type(fn).__name__})"),
        (inspect.isclass(fn), "a class; register a function"),
        (
            inspect.ismethod(fn),
            "a method of an object, which cannot be queued; write a function that takes what it needs",
        ),
        (inspect.isasyncgenfunction(code), "an async generator; return a list"),
        (inspect.isgeneratorfunction(code), "a generator; return a list"),
        (
            bool(typing.get_overloads(fn)) if inspect.isfunction(fn) else False,
            "overloaded; register one function for each signature",
        ),
        (
            "<lambda>" in name and not named,
            "a lambda, which has no name to be found by; write a `def`, or give it name=...",
        ),
        (
            "<locals>" in name and not named,
            "defined inside a function, where a worker cannot find it; move it to module level, or give it name=...",
        ),
        (not inspect.isroutine(fn) and not named, "an object without a name; write a `def`, or give it name=..."),
    )
    return next((why for wrong, why in checks if wrong), "")


def _is_method(fn: Any, signature: inspect.Signature) -> bool:
    first = next(iter(signature.parameters.values()), None)
    return (
        first is not None
        and first.name in ("self", "cls")
        and first.annotation is first.empty
        and "." in getattr(fn, "__qualname__", "").rpartition("<locals>.")[2]
    )


def hints_of(fn: Any, task: str) -> dict[str, Any]:
    """The annotations of a function, resolved. Raises UnsupportedSignature naming the parameter that cannot be."""
    source = _annotated(fn)
    try:
        return typing.get_type_hints(source, include_extras=True)
    except Exception as error:  # evaluating the user's annotations may raise anything
        raise _unresolved(source, task, error) from error


def annotations_of(fn: Any) -> tuple[dict[str, Any], dict[str, object]]:
    """The names that a function's annotations may use, and its annotations as they were written."""
    source = _annotated(fn)
    return dict(getattr(inspect.unwrap(source), "__globals__", {})), _texts(source)


def unread(error: Exception) -> str:
    """Why an annotation could not be read; it follows "parameter 'x' "."""
    if isinstance(error, NameError) and error.name:
        return (
            f"names {error.name!r}, which does not exist at run time; "
            "import it at module level, not under TYPE_CHECKING"
        )
    return f"has an annotation that cannot be read ({type(error).__name__}: {error}); write the type itself"


def _annotated(fn: Any) -> Any:
    """The function that bears the annotations."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    return fn if inspect.isroutine(fn) or inspect.isfunction(fn) else type(fn).__call__


def _unresolved(source: Any, task: str, error: Exception) -> UnsupportedSignature:
    names: dict[str, Any] = getattr(inspect.unwrap(source), "__globals__", {})
    for name, text in _texts(source).items():
        try:
            typing.get_type_hints(_bearing(name, text), globalns=names)
        except Exception as its_own:  # evaluating the user's annotations may raise anything
            return UnsupportedSignature(task, name, unread(its_own))
    return UnsupportedSignature(task, "?", unread(error))


def _bearing(name: str, annotation: object) -> Callable[[], None]:
    """A function with this annotation alone."""

    def bearer() -> None: ...

    bearer.__annotations__ = {name: annotation}
    return bearer


def _texts(source: Any) -> dict[str, object]:
    try:
        return dict(source.__annotations__)
    except NameError:  # from Python 3.14 on, annotations are evaluated when they are read
        annotationlib: Any = importlib.import_module("annotationlib")
        return dict(annotationlib.get_annotations(source, format=annotationlib.Format.STRING))


_LONGEST_DEFAULT: Final = 40


def shown_signature(
    name: str, signature: inspect.Signature, hints: dict[str, Any], secret: Collection[str] = ()
) -> str:
    """`send(user_id: int, *, urgent: bool = False) -> int`: the signature as people read it. Defaults of the parameters
    that are `secret` are left out.
    """

    def shown(parameter: inspect.Parameter) -> str:
        text = name_of(hints[parameter.name])
        if parameter.default is not parameter.empty:
            text += f" = {'...' if parameter.name in secret else _shown_default(parameter.default)}"
        return text

    result = f" -> {name_of(hints['return'])}" if "return" in hints else ""
    return f"{name}({laid_out(signature, shown)}){result}"


def laid_out(signature: inspect.Signature, shown: Callable[[inspect.Parameter], str]) -> str:
    """The parameters as Python writes them, with `/`, `*` and stars where they belong; what stands after the name and
    its colon is what `shown` says.
    """
    parts: list[str] = []
    last: Any = None
    for parameter in signature.parameters.values():
        if last is parameter.POSITIONAL_ONLY and parameter.kind is not last:
            parts.append("/")
        if parameter.kind is parameter.KEYWORD_ONLY and last not in (parameter.VAR_POSITIONAL, parameter.KEYWORD_ONLY):
            parts.append("*")
        last = parameter.kind
        stars = "*" * (parameter.kind is parameter.VAR_POSITIONAL) + "**" * (parameter.kind is parameter.VAR_KEYWORD)
        parts.append(f"{stars}{parameter.name}: {shown(parameter)}")
    if last is inspect.Parameter.POSITIONAL_ONLY:
        parts.append("/")
    return ", ".join(parts)


def _shown_default(default: object) -> str:
    if isinstance(default, enum.Enum):
        return str(f"{type(default).__name__}.{default.name}")
    text = repr(default)
    return "..." if len(text) > _LONGEST_DEFAULT else text
