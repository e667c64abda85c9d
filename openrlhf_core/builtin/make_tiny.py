"""Writes the model of `builtin://tiny`: `python -m openrlhf_core.builtin.make_tiny [DIRECTORY]`.

A development tool. The result is committed; a test makes it again and compares. Weights are drawn
here, not by transformers, so that a new version of it changes nothing.
"""

import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import pre_tokenizers
from transformers import GenerationConfig, Qwen2Config, Qwen2Tokenizer

from openrlhf_core.builtin import catalogue

SEED = 20251
HEAD_DIM = 32
KEY_VALUE_HEADS = 2
SPECIAL_TOKENS = ("<pad>", "<eos>", "<bos>", "<unk>", "<system>", "<user>", "<assistant>")
CHARACTERS = "\n\t" + "".join(chr(code) for code in range(0x20, 0x7F))
LETTERS_BEYOND_ASCII = "äöüÄÖÜßéèêàâçñóíú£°\u00d7÷á"
CHAT_TEMPLATE = (
    "<bos>{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}<eos>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def tiny_config() -> Qwen2Config:
    """Qwen2 layout with 0.31M parameters; heads of 32, the least that vLLM runs on CPU."""
    return Qwen2Config(
        vocab_size=128,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=128 // HEAD_DIM,
        num_key_value_heads=KEY_VALUE_HEADS,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
        dtype="float32",
        architectures=["Qwen2ForCausalLM"],
    )


def tiny_weights(config: Qwen2Config) -> dict[str, np.ndarray]:
    """Float32 weights by Hugging Face name: normal with deviation 0.02, norms 1, biases 0."""
    generator = np.random.Generator(np.random.Philox(SEED))
    key_value = KEY_VALUE_HEADS * HEAD_DIM
    matrices = {
        "self_attn.q_proj": (config.hidden_size, config.hidden_size),
        "self_attn.k_proj": (key_value, config.hidden_size),
        "self_attn.v_proj": (key_value, config.hidden_size),
        "self_attn.o_proj": (config.hidden_size, config.hidden_size),
        "mlp.gate_proj": (config.intermediate_size, config.hidden_size),
        "mlp.up_proj": (config.intermediate_size, config.hidden_size),
        "mlp.down_proj": (config.hidden_size, config.intermediate_size),
    }

    def draw(*shape: int) -> np.ndarray:
        return (0.02 * generator.standard_normal(shape)).astype(np.float32)

    ones = np.ones(config.hidden_size, dtype=np.float32)
    weights = {"model.embed_tokens.weight": draw(config.vocab_size, config.hidden_size)}
    for layer in range(config.num_hidden_layers):
        prefix = f"model.layers.{layer}"
        for name, shape in matrices.items():
            weights[f"{prefix}.{name}.weight"] = draw(*shape)
            if name in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"):
                weights[f"{prefix}.{name}.bias"] = np.zeros(shape[0], dtype=np.float32)
        weights[f"{prefix}.input_layernorm.weight"] = ones
        weights[f"{prefix}.post_attention_layernorm.weight"] = ones
    weights["model.norm.weight"] = ones
    return weights


def byte_spelling(text: str) -> str:
    """One printable character for each byte of the text, as byte-level vocabularies spell them."""
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return "".join(piece for piece, _ in splitter.pre_tokenize_str(text))


def tiny_vocabulary() -> dict[str, int]:
    """Token -> id: 7 special tokens, 97 ASCII characters, 24 bytes of letters beyond ASCII."""
    beyond = sorted(set(byte_spelling(LETTERS_BEYOND_ASCII)))
    tokens = [*SPECIAL_TOKENS, *byte_spelling(CHARACTERS), *beyond]
    return {token: index for index, token in enumerate(tokens)}


def tiny_tokenizer() -> Qwen2Tokenizer:
    """One token an ASCII character, two for a few letters beyond; what it lacks is left out."""
    return Qwen2Tokenizer(
        vocab=tiny_vocabulary(),
        merges=[],
        pad_token="<pad>",
        eos_token="<eos>",
        bos_token="<bos>",
        unk_token="<unk>",
        extra_special_tokens=["<system>", "<user>", "<assistant>"],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=4096,
    )


def write_tiny(directory: Path) -> None:
    """Writes config, tokenizer and safetensors in Hugging Face layout."""
    directory.mkdir(parents=True, exist_ok=True)
    config = tiny_config()
    config.save_pretrained(directory)
    endings = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}
    GenerationConfig.from_dict(endings).save_pretrained(directory)
    tiny_tokenizer().save_pretrained(directory)
    save_file(tiny_weights(config), directory / "model.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    here = Path(catalogue.__file__).parent
    write_tiny(Path(sys.argv[1]) if len(sys.argv) > 1 else here / "models" / "tiny")
