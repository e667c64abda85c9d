"""`python -m openrlhf_core` is the command `rlhf`."""

import sys

from openrlhf_core.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
