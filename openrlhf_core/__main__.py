"""`python -m openrlhf_core` is the command `rlhf`."""

import os
import sys

if sys.path[0] == os.getcwd():
    # `python -m` puts the working directory first, where a file of the user's, say statistics.py,
    # would replace a module. The console script `rlhf` has another entry there.
    del sys.path[0]

from openrlhf_core.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
