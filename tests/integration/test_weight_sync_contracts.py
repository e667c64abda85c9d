"""What we say to vLLM's NCCL and CUDA IPC transports fits their classes, which needs no GPU."""

import pytest


@pytest.fixture(scope="module")
def measured(measure_rollouts) -> dict:
    return measure_rollouts("contracts")


def test_an_engine_joins_the_nccl_group_where_it_was_told(measured) -> None:
    init = measured["nccl_init"]
    assert (init["master_address"], init["master_port"]) == ("127.0.0.1", 29500)
    assert (init["rank_offset"], init["world_size"]) == (1, 3)
    assert init["packed"] and init["packed_buffer_size_bytes"] == 1 << 20


def test_nccl_learns_names_dtypes_and_shapes(measured) -> None:
    assert measured["nccl_update"] == {
        "names": ["a", "b"],
        "dtype_names": ["float32", "bfloat16"],
        "shapes": [[2, 3], [4]],
    }


def test_a_cuda_ipc_handle_survives_our_channel(measured) -> None:
    assert measured["ipc"]["equal"]


def test_the_channel_reads_a_handle_as_torch_writes_it(measured) -> None:
    names = measured["ipc"]["names"]
    assert len(names) == 15
    assert (names[0], names[4], names[5]) == ("tensor_cls", "storage_cls", "dtype")
    assert (names[1], names[2]) == ("tensor_size", "tensor_stride")
    assert (names[7], names[11], names[13]) == (
        "storage_handle",
        "ref_counter_handle",
        "event_handle",
    )


def test_vllms_trainers_accept_our_clients(measured) -> None:
    assert measured["client"] and measured["publisher"]


def test_vllms_trainers_read_each_round_of_weights_once(measured) -> None:
    assert measured["metadata"] == [["a", "torch.float32", [2, 3]], ["b", "torch.bfloat16", [4]]]
    assert measured["round"] == ["a", "b"]
    assert "read once" in measured["again"]
