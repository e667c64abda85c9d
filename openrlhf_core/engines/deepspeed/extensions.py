"""Keeps DeepSpeed from building C++ extensions: learners use none, so no run waits for a compiler.

At start DeepSpeed would build `deepspeed_shm_comm`, a shared-memory all-reduce that only its
inference layers and AutoTP call; data-parallel training goes through torch.distributed. A build
takes over a minute, needs a compiler, and once killed leaves a lock file that the next process
waits for without end. The optimizer is torch's AdamW, which needs no extension either.
"""

import deepspeed
from deepspeed.comm.torch import build_shm_op

UNUSED_EXTENSIONS = ("deepspeed_shm_comm",)


def skip_unused_extensions() -> None:
    """Makes DeepSpeed start without building anything; call it before `init_distributed`.

    It marks the extension as one that this machine cannot have, which the start-up asks about
    (deepspeed/comm/torch.py, build_shm_op). Remove it when DeepSpeed builds the extension at
    first use, or when a learner uses AutoTP on CPU: then build it at installation.
    """
    for name in UNUSED_EXTENSIONS:
        deepspeed.ops.__compatible_ops__[name] = False


def main() -> None:
    """Checks at installation that the installed DeepSpeed builds nothing when a run starts."""
    skip_unused_extensions()
    if build_shm_op() is not None:
        raise SystemExit("DeepSpeed built deepspeed_shm_comm although told not to; pin 0.19.8")


if __name__ == "__main__":
    main()
