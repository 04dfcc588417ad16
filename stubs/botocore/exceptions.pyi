from typing import NotRequired, TypedDict

class ErrorWords(TypedDict):
    Code: NotRequired[str]
    Message: NotRequired[str]

class ErrorResponse(TypedDict):
    Error: NotRequired[ErrorWords]

class BotoCoreError(Exception): ...
class NoCredentialsError(BotoCoreError): ...
class PartialCredentialsError(BotoCoreError): ...

class ClientError(Exception):
    response: ErrorResponse
