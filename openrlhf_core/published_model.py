"""The trained model at <output>/model: a copy of the last checkpoint's, put there in one move."""

import shutil
from pathlib import Path

from openrlhf_core.durable import writing


def publish_model(source: Path, target: Path) -> None:
    """Makes `target` a copy of the directory `source`; an older one is replaced as a whole."""
    incoming = target.with_name(f".{target.name}.incoming")
    outgoing = target.with_name(f".{target.name}.outgoing")
    with writing(target):
        for leftover in (incoming, outgoing):
            shutil.rmtree(leftover, ignore_errors=True)
        shutil.copytree(source, incoming)
        if target.exists():
            target.rename(outgoing)
        incoming.rename(target)
    shutil.rmtree(outgoing, ignore_errors=True)
