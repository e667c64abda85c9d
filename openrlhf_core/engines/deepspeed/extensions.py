"""Keeps DeepSpeed from building C++ extensions, which learners do not use.

At start DeepSpeed would build `deepspeed_shm_comm`, a shared-memory all-reduce that only its
inference layers and AutoTP call; data-parallel training goes through torch.distributed. A build
takes over a minute and needs a compiler. When it is killed, it leaves a lock file, on which the
next process waits forever. The optimizer is torch's AdamW, which needs no extension either.
"""

import deepspeed
from deepspeed.comm.torch import build_shm_op

UNUSED_EXTENSIONS = ("deepspeed_shm_comm",)


def skip_unused_extensions() -> None:
    """Makes DeepSpeed start without building anything; call it before `init_distributed`.

    It marks the extension as incompatible with this machine, which DeepSpeed checks when it starts
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
