"""The one gator of this application: TYPEDGATOR_CONN says where its jobs are kept; unset, in ./typedgator.db."""

from typedgator import Gator

gator = Gator()
