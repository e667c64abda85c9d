"""Weights from the learner to the engines, in buckets, with a deadline and a version.

`backend` chooses the transport; `sender` is the learner's side, `receiver` the engine's.
`buckets`, `gloo_group`, `ipc_channel` and `deadline` are what both sides share. Only `vllm_sender`
imports vLLM, for NCCL and CUDA IPC.
"""
