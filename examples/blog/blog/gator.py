"""The one gator of this site; its DSN and options are in the settings."""

from typedgator.contrib.django import DjangoGator

gator = DjangoGator()
