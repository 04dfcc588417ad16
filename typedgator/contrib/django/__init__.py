"""typedgator in a Django project: `"typedgator.contrib.django"` in INSTALLED_APPS, `TYPEDGATOR = {…}` in the settings.

Importing this needs no configured settings and loads no model.
"""

from typedgator.contrib.django.commits import OnCommit
from typedgator.contrib.django.gator import DjangoGator
from typedgator.contrib.django.outbox import Outbox

__all__ = ["DjangoGator", "OnCommit", "Outbox"]
