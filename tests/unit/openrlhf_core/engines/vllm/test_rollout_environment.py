from openrlhf_core.engines.vllm.environment import engine_environment, forget_overrides


def test_a_cpu_engine_compiles_nothing_and_binds_no_cores() -> None:
    environment = engine_environment("CPU", threads=3)
    assert environment["TORCHDYNAMO_DISABLE"] == "1"
    assert environment["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"
    assert environment["OMP_NUM_THREADS"] == "3"


def test_a_cuda_engine_may_compile() -> None:
    assert "TORCHDYNAMO_DISABLE" not in engine_environment("CUDA", threads=1)


def test_every_engine_lives_in_one_process_and_reports_to_nobody() -> None:
    for device_kind in ("CPU", "CUDA"):
        environment = engine_environment(device_kind, threads=1)
        assert environment["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
        assert environment["VLLM_NO_USAGE_STATS"] == "1"
        assert environment["DO_NOT_TRACK"] == "1"


def test_kernels_compiled_for_cuda_are_kept_below_the_cache() -> None:
    environment = engine_environment("CUDA", threads=1, cache="/cache")
    assert environment["VLLM_CACHE_ROOT"] == "/cache/vllm"
    assert environment["TRITON_CACHE_DIR"] == "/cache/triton"
    assert environment["TORCHINDUCTOR_CACHE_DIR"] == "/cache/inductor"


def test_without_a_cache_the_libraries_keep_their_own_directories() -> None:
    assert "VLLM_CACHE_ROOT" not in engine_environment("CUDA", threads=1)
    assert "VLLM_CACHE_ROOT" not in engine_environment("CPU", threads=1, cache="/cache")


def test_the_shell_cannot_override_the_manifest() -> None:
    environ = {"VLLM_CPU_KVCACHE_SPACE": "40", "VLLM_LOGGING_LEVEL": "DEBUG", "HOME": "/home/me"}
    forget_overrides(environ)
    assert environ == {"VLLM_LOGGING_LEVEL": "DEBUG", "HOME": "/home/me"}
