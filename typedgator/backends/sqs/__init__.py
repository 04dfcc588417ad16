"""The backend over Amazon SQS: for very many jobs that need a queue and little else.

Only here is boto3 known, and only once a DSN asks for it.
"""

from importlib.util import find_spec

from typedgator.backends.connect import Dsn
from typedgator.backends.contract import Backend
from typedgator.backends.sqs.place import Place, place_of
from typedgator.clock import Clock
from typedgator.errors import ConfigurationError

__all__ = ["Place", "from_dsn"]


def from_dsn(dsn: Dsn, clock: Clock) -> Backend:
    """The backend of `sqs://region/prefix`; opens nothing yet. Raises ConfigurationError when boto3 is not there.

    `?endpoint_url=` for what speaks like SQS; `?poll=20`, the seconds of one long poll; `?create=0` when others make
    the queues. Credentials are found by boto3, and never stand in the DSN.
    """
    place = place_of(dsn)
    if find_spec("boto3") is None:
        raise ConfigurationError("sqs:// needs boto3: pip install 'typedgator[sqs]'")
    from typedgator.backends.sqs.backend import SqsBackend  # boto3 is needed from here on

    return SqsBackend(place, clock=clock)
