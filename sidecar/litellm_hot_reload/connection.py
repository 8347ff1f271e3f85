"""The connection of one request, to be cut from another thread: a server that sends a byte now and then resets every
time limit of the HTTP libraries, before the headers are complete as well as after.
"""

from __future__ import annotations

import contextlib
import socket
import threading


class Connection:
    """All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.is_cut = False
        """Whether the request was ended."""
        self.reached = False
        """Whether anything was ever connected to."""

    def opened(self, new: socket.socket) -> None:
        """The socket is connected; to be called before TLS and before the tunnel through a proxy."""
        with self._lock:
            self.reached = True
            self._close()
            self._socket = new.dup()  # TLS takes the original away
            if self.is_cut:
                self._shut_down()

    def cut(self) -> None:
        """End the request: whoever reads from the connection, now or later, finds its end."""
        with self._lock:
            self.is_cut = True
            self._shut_down()

    def forget(self) -> None:
        """The request is over."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _shut_down(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
