from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

class URLPattern: ...

def path(route: str, view: Callable[[HttpRequest], HttpResponse], *, name: str | None = None) -> URLPattern: ...
