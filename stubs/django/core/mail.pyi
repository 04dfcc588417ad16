from collections.abc import Mapping, Sequence

class EmailMessage:
    def __init__(
        self,
        subject: str = "",
        body: str = "",
        from_email: str | None = None,
        to: Sequence[str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None: ...
    def send(self, fail_silently: bool = False) -> int: ...
