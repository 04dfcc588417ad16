# What typedgator uses of boto3; its SQS client is made of data, and described in typedgator/backends/sqs/shapes.py.
from typing import Literal

from botocore.config import Config

class Session:
    def __init__(self, *, region_name: str | None = None) -> None: ...
    def client(self, service_name: Literal["sqs"], *, endpoint_url: str | None, config: Config) -> object: ...
