"""The table of recipes: complete, and about fields and roles that there are."""

from typing import get_args

import pytest

from openrlhf_core.spec.kinds.placement import Role
from openrlhf_core.spec.kinds.recipes import RECIPES, Part, RecipeName, present
from openrlhf_core.spec.kinds.training import TrainingSpec
from openrlhf_core.spec.reading.spec_tree import field_names, spec_class_at


def test_every_recipe_that_a_manifest_may_name_has_its_entry():
    assert tuple(RECIPES) == get_args(RecipeName)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_reads_each_part_in_one_way_and_trains_something(name):
    recipe = RECIPES[name]
    assert len(set(recipe.parts)) == len(recipe.parts)
    assert "Trained" in recipe.roles.values()
    assert set(recipe.roles) <= set(get_args(Role))


@pytest.mark.parametrize("part", get_args(Part))
def test_every_part_is_an_optional_field_that_some_recipe_reads(part):
    *parents, last = part.split(".")
    holder = spec_class_at(TrainingSpec, tuple(parents))
    assert holder is not None and last in field_names(holder)
    assert not next(
        info.is_required()
        for name, info in holder.model_fields.items()
        if (info.alias or name) == last
    )
    assert any(part in recipe.parts for recipe in RECIPES.values())


def test_parts_with_defaults_are_filled_where_a_manifest_leaves_them_out(make_training):
    training = make_training()
    assert training.rollout is not None and training.rollout.memory_fraction == 0.5
    assert training.weight_sync is not None and training.weight_sync.backend == "Auto"
    assert training.model.reference is None


def test_a_part_that_a_recipe_always_has_can_be_taken_as_present(make_training):
    assert present(make_training().rl).group_size == 8
    with pytest.raises(AssertionError, match="the spec was not validated"):
        present(None)
