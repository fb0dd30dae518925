"""Copied as `sitecustomize.py` onto the kernel's path: every Python there notes and refuses connections.

Where the system allows a network namespace this only notes who tried; elsewhere it is the wall itself. Loopback and
sockets of the file system stay, as on a machine without internet.
"""

import errno
import os
import socket

LOG = os.environ.get("CXR_NETWORK_LOG", os.devnull)
HERE = ("127.0.0.1", "::1", "localhost", "", None)
_connect, _connect_ex, _getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo


def _note(place: object) -> None:
    with open(LOG, "a") as file:
        file.write(f"{place}\n")


def _outward(family: int, address: object) -> bool:
    return family in (socket.AF_INET, socket.AF_INET6) and address[0] not in HERE


def connect(self, address):
    if _outward(self.family, address):
        _note(f"{address[0]}:{address[1]}")
        raise OSError(errno.ENETUNREACH, "Network is unreachable")
    return _connect(self, address)


def connect_ex(self, address):
    if _outward(self.family, address):
        _note(f"{address[0]}:{address[1]}")
        return errno.ENETUNREACH
    return _connect_ex(self, address)


def getaddrinfo(host, *args, **kwargs):
    name = host.decode() if isinstance(host, bytes) else host
    if name not in HERE and not _is_number(name):
        _note(name)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    return _getaddrinfo(host, *args, **kwargs)


def _is_number(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return True
    return False


socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo = connect, connect_ex, getaddrinfo
