"""What the toy verifiers count: the characters of a completion, special tokens as one each."""

import re

END_TOKEN = re.compile(r"(?:<eos>|</s>|<\|im_end\|>|<\|endoftext\|>)\Z")
SPECIAL_TOKEN = re.compile(r"</?\|?[a-z_]+\|?>")


def counted_characters(completion: str) -> str:
    """The completion without its end token, each other special token as one space.

    Example: `12<pad>4<eos>` gives `12 4`.
    """
    return SPECIAL_TOKEN.sub(" ", END_TOKEN.sub("", completion))
