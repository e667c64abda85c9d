"""Which code runs which recipe. A new recipe is one entry here and one in the spec's table."""

from openrlhf_core.recipes import preference, sft
from openrlhf_core.recipes.recipe import Prepare
from openrlhf_core.recipes.rl.prepare import prepare as prepare_rl
from openrlhf_core.spec.kinds.recipes import RecipeName

RECIPES: dict[RecipeName, Prepare] = {
    "RL": prepare_rl,
    "SFT": sft.prepare,
    "DPO": preference.prepare,
}
