"""`gator`: for a worker, whose command line names a module, the gator that the app made of the settings."""

from typedgator.contrib.django.current import current_gator
from typedgator.contrib.django.gator import DjangoGator

__all__ = ["gator"]

gator: DjangoGator = current_gator()
