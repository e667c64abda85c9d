"""`python -m rlhf_operator`: the operator as a program."""

import asyncio
import sys

from rlhf_operator import log_format
from rlhf_operator.application import Application
from rlhf_operator.handlers import run
from rlhf_operator.settings import parse_settings


def main() -> None:
    """Runs until SIGTERM or SIGINT, which end passes under way first."""
    settings = parse_settings(sys.argv[1:])
    log_format.set_up(settings.log_level, settings.log_format)
    asyncio.run(run(Application(settings)))


if __name__ == "__main__":
    main()
