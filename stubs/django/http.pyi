from collections.abc import Mapping

class HttpRequest:
    POST: Mapping[str, object]

class HttpResponse:
    status_code: int
