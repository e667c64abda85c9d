"""Names of number formats, devices and attention kernels, each once for the whole project."""

from typing import Literal

DType = Literal["BFloat16", "Float32"]
DeviceKind = Literal["CPU", "CUDA"]
Attention = Literal["Auto", "SDPA", "Eager", "FlashAttention2"]
