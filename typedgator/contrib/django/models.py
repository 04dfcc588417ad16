"""The outbox as a table: jobs that were committed together with the user's rows, and not yet pushed."""

from typing import Final

from django.db import models

__all__ = ["TABLE", "OutboxJob"]

TABLE: Final = "typedgator_outbox"


class OutboxJob(models.Model):
    """One job on its way: pushed under its id, then deleted.

    `created_ms` is when it was called, ms since the epoch. `refused` says why it can never be pushed, such as a parent
    that is forgotten; then it stays until somebody looks.
    """

    id: models.BigAutoField = models.BigAutoField(primary_key=True)
    job_id: models.CharField = models.CharField(max_length=128)
    task: models.CharField = models.CharField(max_length=200)
    frame: models.BinaryField = models.BinaryField()
    created_ms: models.BigIntegerField = models.BigIntegerField()
    refused: models.TextField = models.TextField(default="", blank=True)

    class Meta:
        """Relays read it by `id`, oldest first."""

        db_table = TABLE
        verbose_name = "outbox job"

    def __str__(self) -> str:
        return f"{self.task} {self.job_id}"
