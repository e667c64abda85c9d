"""Run in a pod as its preStop hook: asks the driver to stop and waits until it has.

    python stop.py SECONDS [HOST]

Travels to the pods as a key of the job's ConfigMap, so it imports the standard library only.
Without HOST it asks the head that KubeRay names in FQ_RAY_IP. When no driver answers there is
nothing to wait for.
"""

import os
import sys
import time
import urllib.error
import urllib.request

PORT = 8090
LINGER_SECONDS = 6
"""How long a head outlives its driver, so that the operator can still read the exit code there."""


def is_answered(method: str, url: str) -> bool:
    """Whether somebody answers at the URL, whatever they say."""
    headers = {"Authorization": f"Bearer {os.environ.get('RAY_AUTH_TOKEN', '')}"}
    request = urllib.request.Request(url, method=method, headers=headers)
    try:
        urllib.request.urlopen(request, timeout=3).close()
    except urllib.error.HTTPError as answer:
        answer.close()
    except OSError:
        return False
    return True


def stop_and_wait(base: str, seconds: float, pause: float = 0.5) -> bool:
    """Whether there was a driver; returns when it is gone, or after `seconds`."""
    deadline = time.monotonic() + seconds
    if not is_answered("POST", f"{base}/stop"):
        return False
    while time.monotonic() < deadline and is_answered("GET", f"{base}/healthz"):
        time.sleep(pause)
    return True


if __name__ == "__main__":
    HOST = sys.argv[2] if len(sys.argv) > 2 else os.environ.get("FQ_RAY_IP", "127.0.0.1")
    if stop_and_wait(f"http://{HOST}:{PORT}", float(sys.argv[1])) and len(sys.argv) > 2:
        time.sleep(LINGER_SECONDS)
