"""Leads names of the cluster's services to the heads that tests put up. Python imports a module of
this name when it starts, in the operator's process as well, where this folder is on its path."""

import os
import socket
from typing import Any

resolve = socket.getaddrinfo


def getaddrinfo(host: Any, *rest: Any, **more: Any) -> Any:
    """As the standard library's, but `<name>.<namespace>.svc` is where PAPER_HEADS says."""
    address = os.environ.get("PAPER_HEADS")
    name = host.decode() if isinstance(host, bytes) else host
    is_service = isinstance(name, str) and name.rstrip(".").endswith(".svc")
    return resolve(address if address and is_service else host, *rest, **more)


socket.getaddrinfo = getaddrinfo
