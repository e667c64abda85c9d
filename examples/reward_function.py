"""A reward function of one's own: the share of vowels in what the model wrote."""

VOWELS = frozenset("aeiou")


def vowel_share(queries, prompts, labels):
    """One finite number a query. A query is the prompt with the completion behind it.

    `labels` are the values of the column named in `data.keys.label`. A parameter named after any
    other column of the data gets that column. The function may be `async def`. When it raises,
    hangs or returns anything else, its samples are masked: they are not scored 0.
    """
    completions = [
        query.removeprefix(prompt) for query, prompt in zip(queries, prompts, strict=True)
    ]
    letters = [completion.removesuffix("<eos>") for completion in completions]
    return [sum(letter in VOWELS for letter in text) / max(len(text), 1) for text in letters]
