from collections.abc import Mapping

from django.http import HttpRequest, HttpResponse

def render(
    request: HttpRequest, template_name: str, context: Mapping[str, object] | None = None, *, status: int | None = None
) -> HttpResponse: ...
def redirect(to: str) -> HttpResponse: ...
