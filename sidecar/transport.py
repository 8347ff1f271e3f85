"""How a request travels: over a connection that another thread can end, past the proxies of the environment where they
have no business, and with the certificates to trust.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
from typing import Any
from urllib.parse import urlsplit

import requests
import requests.adapters

from sidecar.errors import StorageError, UsageError
from sidecar.litellm_hot_reload.connection import Connection
from sidecar.litellm_hot_reload.exchange import ca_variable
from sidecar.text import printable


class Adapter(requests.adapters.HTTPAdapter):
    """Lets ``connection`` know of the socket, and leaves none open: urllib3 itself waits for the garbage collector."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(pool_connections=1, pool_maxsize=1)
        self.connection, self.pools = connection, list[Any]()

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """As in requests."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        connection, base = self.connection, pool.ConnectionCls

        class Watched(base):  # type: ignore[misc,valid-type]
            def _new_conn(self) -> socket.socket:
                new: socket.socket = super()._new_conn()
                connection.opened(new)
                return new

            def _tunnel(self) -> None:
                super()._tunnel()
                # What a cut leaves of a proxy's answer may look like a whole one; TLS would then leak its socket.
                if connection.is_cut:
                    raise ConnectionAbortedError("the connection was cut")

        pool.ConnectionCls = Watched
        self.pools.append(pool)
        return pool

    def close(self) -> None:
        """As in requests."""
        for pool in self.pools:
            pool.close()
        super().close()


def proxies_for(url: str) -> dict[str, str]:
    """The environment's proxies for ``url``, none for this machine: a proxy would read the key."""
    return {} if is_loopback(urlsplit(url).hostname or "") else requests.utils.get_environ_proxies(url)


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine, in any spelling that a resolver accepts, such as ``127.1``."""
    host = host.rstrip(".").lower()
    if host in {"localhost", "ip6-localhost", "ip6-loopback"} or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:
            address = ipaddress.ip_address(socket.inet_aton(host))
        except (OSError, ValueError):
            return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified


def trusted_certificates(ca_file: str | None) -> str | bool:
    """The file or directory of the certificates to trust: ``ca_file``, or what the environment names; True for the
    default. Raises UsageError (the environment's are unusable), StorageError (``ca_file`` is).
    """
    variable = ca_variable(os.environ) if ca_file is None else None
    path = ca_file or (variable and os.environ[variable])
    if not path:
        return True
    try:
        if os.path.isdir(path):
            os.listdir(path)
        else:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = "no certificates" if isinstance(error, ssl.SSLError) else getattr(error, "strerror", None) or "no path"
        if variable is None:
            raise StorageError(f"the CA certificates {printable(path)} cannot be read: {reason}") from None
        raise UsageError(
            f"{variable}={printable(path)} cannot be read: {reason}",
            hint="Let it name a file of CA certificates in PEM format that this user may read, or unset it.",
        ) from None
    return path
