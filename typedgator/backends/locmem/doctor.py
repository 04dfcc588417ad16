"""What memory loses: everything, and it says so."""

from typedgator.backends.checkup import Checkup, Danger, Finding, Level, Loss

__all__ = ["examine"]


def examine() -> Checkup:
    """Every danger takes all."""
    return Checkup(
        server="the memory of this process",
        durability="memory",
        losses=[
            Loss(
                danger=danger,
                safe=False,
                lost="everything, also when the process ends as it should",
                remedy="sqlite:///typedgator.db, or redis://",
            )
            for danger in Danger
        ],
        findings=[Finding("shared", Level.LOOK, "no other process sees these jobs: a worker must run in this one")],
    )
