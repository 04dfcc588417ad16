"""The outbox."""

from collections.abc import Sequence
from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """Makes the table."""

    initial = True
    dependencies: ClassVar[Sequence[tuple[str, str]]] = []
    operations: ClassVar[Sequence[object]] = [
        migrations.CreateModel(
            name="OutboxJob",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("job_id", models.CharField(max_length=128)),
                ("task", models.CharField(max_length=200)),
                ("frame", models.BinaryField()),
                ("created_ms", models.BigIntegerField()),
                ("refused", models.TextField(blank=True, default="")),
            ],
            options={"db_table": "typedgator_outbox", "verbose_name": "outbox job"},
        ),
    ]
