from collections.abc import Sequence

class Connection:
    def __init__(
        self,
        *,
        host: str = ...,
        port: int = ...,
        db: int = ...,
        username: str | None = ...,
        password: str | None = ...,
        socket_timeout: float = ...,
        socket_connect_timeout: float = ...,
        socket_keepalive: bool = ...,
        protocol: int = ...,
    ) -> None: ...
    def connect(self) -> None: ...
    def disconnect(self) -> None: ...
    def send_packed_command(self, command: Sequence[bytes], check_health: bool = ...) -> None: ...
    def send_command(self, *args: bytes | str | int) -> None: ...
    def can_read(self, timeout: float = ...) -> bool: ...
    def read_response(self) -> object: ...

class UnixDomainSocketConnection(Connection):
    def __init__(
        self,
        *,
        path: str,
        db: int = ...,
        username: str | None = ...,
        password: str | None = ...,
        socket_timeout: float = ...,
        socket_connect_timeout: float = ...,
        protocol: int = ...,
    ) -> None: ...

class SSLConnection(Connection):
    def __init__(
        self,
        *,
        host: str = ...,
        port: int = ...,
        db: int = ...,
        username: str | None = ...,
        password: str | None = ...,
        socket_timeout: float = ...,
        socket_connect_timeout: float = ...,
        socket_keepalive: bool = ...,
        protocol: int = ...,
        ssl_cert_reqs: str = ...,
        ssl_check_hostname: bool = ...,
        ssl_ca_certs: str | None = ...,
        ssl_certfile: str | None = ...,
        ssl_keyfile: str | None = ...,
    ) -> None: ...

class DefaultParser:
    @classmethod
    def parse_error(cls, response: str) -> Exception: ...
