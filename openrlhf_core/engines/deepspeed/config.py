"""Makes the configuration that DeepSpeed is started with."""

from typing import Any

from openrlhf_core.spec.kinds.formats import DeviceKind, DType


def deepspeed_config(
    zero_stage: int, dtype: DType, gradient_clip: float, world_size: int, device_kind: DeviceKind
) -> dict[str, Any]:
    """Returns DeepSpeed's settings for a learner that counts micro-batches and scales the loss.

    Batch sizes are 1, because the learner says where an optimizer step ends. Stage 0 in float32
    does not clip: DeepSpeed reports no gradient norm there, so the learner measures and clips.
    """
    clips_itself = zero_stage == 0 and dtype == "Float32"
    config: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "train_batch_size": world_size,
        "gradient_clipping": 0.0 if clips_itself else gradient_clip,
        "bf16": {"enabled": dtype == "BFloat16"},
        "zero_optimization": {"stage": zero_stage, "overlap_comm": device_kind == "CUDA"},
        "zero_allow_untested_optimizer": True,
        "steps_per_print": None,
    }
    if dtype == "BFloat16" and zero_stage >= 2:
        # Sums of many micro-batches in bfloat16 lose small gradients. With this setting stage 1
        # takes an optimizer whose states DeepSpeed cannot offload, and stage 0 has no other format.
        config["data_types"] = {"grad_accum_dtype": "fp32"}
    return config
