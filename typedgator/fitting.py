"""Which task of this release a stored job is for, and with which arguments; or why this release cannot run it."""

from collections.abc import Callable
from threading import current_thread, main_thread
from typing import cast

import msgspec

from typedgator.attempt import Attempt
from typedgator.backends.contract import Claimed
from typedgator.context import CurrentJob
from typedgator.errors import InvalidArguments, NotRegistered, PayloadMismatch
from typedgator.outcomes import error_outcome, storable, text_of
from typedgator.policy.control import Cancel
from typedgator.policy.retry import class_name
from typedgator.registry import AnyTask, Registry
from typedgator.upgrades import Call, Upgrade
from typedgator.wire.envelope import Envelope
from typedgator.wire.frame import FrameHead
from typedgator.wire.schema import RefusedByCode
from typedgator.wire.verdict import Canceled, Failed, Settlement

__all__ = ["Misfit", "fitted"]


class Misfit(msgspec.Struct, frozen=True, gc=False):
    """Why this worker cannot run a job that another one may be able to run."""

    reason: str


def fitted(
    claimed: Claimed,
    head: FrameHead,
    envelope: Envelope,
    registry: Registry,
    note: Callable[[int, bytes], bool] | None,
    *,
    upgrade_late: bool,
) -> Attempt | Settlement | Misfit:
    """The job as this release runs it: by its task's present name, with the present arguments.

    `upgrade_late`: no upgrade is run here, and an attempt that needs one is `late`.
    """
    task = registry.find(envelope.task)
    if task is None:
        return _without_task(claimed, envelope.task, registry)
    job = CurrentJob(
        claimed.job_id,
        task.name,
        head.queue,
        claimed.attempt,
        claimed.token,
        envelope.headers,
        envelope.enqueued_at,
        note,
    )
    present = envelope if envelope.task == task.name else msgspec.structs.replace(envelope, task=task.name)
    schema = task.spec.arguments
    if envelope.schema != schema.fingerprint and (upgrade := task.upgrades.get(envelope.schema)) is not None:
        if upgrade_late:
            return Attempt(claimed, present, task, (), {}, job, late=True)
        carried = _upgraded(claimed, envelope, task, upgrade)
        if not isinstance(carried, Envelope):
            return carried
        present = carried
    try:
        args, kwargs = schema.decode(bytes(present.args), fingerprint=present.schema)
    except PayloadMismatch as error:
        # Under its own schema a rule cannot be broken by a producer; code of one name may say more than it did there.
        if envelope.schema == schema.fingerprint and not isinstance(error, RefusedByCode):
            raise
        return Misfit(str(error))
    return Attempt(claimed, present, task, args, kwargs, job)


def _without_task(claimed: Claimed, name: str, registry: Registry) -> Settlement | Misfit:
    """What becomes of a job whose task is not here: its release is to come, or to come back; or its task is over."""
    then = registry.retired.get(name)
    if then is None:
        return Misfit(f"task {name} is not known to the worker that took it")
    if then == "cancel":
        return Settlement(claimed.job_id, claimed.token, Canceled("retired"))
    error = NotRegistered(f"task {name} is retired: its jobs are not run any more")
    return Settlement(claimed.job_id, claimed.token, Failed(error_outcome(claimed, name, error)))


def _upgraded(claimed: Claimed, envelope: Envelope, task: AnyTask, upgrade: Upgrade) -> Envelope | Settlement | Misfit:
    """The envelope as this release would have written it, by the user's function."""
    made_by = f"{task.name}: its upgrade from {upgrade.arguments.shown}"
    try:
        made = upgrade.carry(bytes(envelope.args))
    except Cancel as signal:
        return Settlement(claimed.job_id, claimed.token, Canceled(storable(signal.reason)))
    except BaseException as error:  # as in call
        if isinstance(error, KeyboardInterrupt) and current_thread() is main_thread():
            raise  # Ctrl-C, which only that thread hears: meant for whoever runs a job there
        told = class_name(type(error)).removeprefix("builtins.")
        if upgrade.arguments.may_be_shown and task.spec.arguments.may_be_shown:
            told += f": {_refused_call(error) if isinstance(error, InvalidArguments) else text_of(error)}"
        return Misfit(f"{made_by} raised {told}")
    what, must = type(made).__name__, f"and must return a call of {task.name}"
    if not isinstance(made, Call):
        return Misfit(f"{made_by} returned {what}, {must}")
    present = cast("Call[object]", made)
    if present.task != task.name:
        return Misfit(f"{made_by} returned a call of {present.task}, {must}")
    return msgspec.structs.replace(
        envelope, task=task.name, schema=present.arguments.fingerprint, args=msgspec.Raw(present.payload)
    )


def _refused_call(error: InvalidArguments) -> str:
    """In one line and without the values, which a held reason and a log keep."""
    return "; ".join(problem.partition(", got ")[0] for problem in error.problems)
