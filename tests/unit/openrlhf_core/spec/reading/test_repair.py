"""Wrong objects are repaired, so that the rest of them is judged."""

import copy

import pytest
from manifest_cases import BASE
from pydantic import BaseModel

from openrlhf_core.spec.kinds.job import RLHFJob
from openrlhf_core.spec.reading.repair import STAND_INS, repaired
from openrlhf_core.spec.reading.spec_tree import instances, spec_class_at
from openrlhf_core.spec.reading.validate import KINDS


def classes_below(spec_class, found):
    """A class and every class that its fields hold."""
    if spec_class not in found:
        found.append(spec_class)
        for name, info in spec_class.model_fields.items():
            inner = spec_class_at(spec_class, (info.alias or name,))
            if inner is not None:
                classes_below(inner, found)
    return found


def every_class():
    found: list[type[BaseModel]] = []
    for kind in KINDS.values():
        classes_below(kind, found)
    return found


@pytest.mark.parametrize("spec_class", every_class(), ids=lambda each: each.__name__)
def test_every_required_field_has_a_sound_stand_in_of_its_class(spec_class):
    required = {
        info.alias or name for name, info in spec_class.model_fields.items() if info.is_required()
    }
    assert set(STAND_INS.get(spec_class, {})) == required
    if required:
        spec_class.from_manifest(STAND_INS[spec_class])


def test_equal_names_in_two_classes_have_stand_ins_of_their_own():
    broken = copy.deepcopy(BASE)
    del broken["kind"], broken["metadata"]["name"]
    broken["spec"]["training"]["placement"]["groups"] = [{"roles": ["Policy", "Rollout"]}]
    job = repaired(RLHFJob, broken)
    assert job is not None
    assert job.kind == "RLHFJob"
    assert job.spec.training.placement.groups[0].roles == ("Policy", "Rollout")


def test_a_wrong_field_is_removed_with_the_list_that_it_is_in():
    broken = copy.deepcopy(BASE)
    broken["spec"]["training"]["rollout"]["sampling"] = {"stop": ["a", 5], "maxTokens": 7}
    job = repaired(RLHFJob, broken)
    assert job is not None and job.spec.training.rollout is not None
    assert job.spec.training.rollout.sampling.stop == ()
    assert job.spec.training.rollout.sampling.max_tokens == 7


def test_what_is_repaired_is_a_whole_object():
    job = repaired(RLHFJob, {"kind": 5, "spec": {"training": {"recipe": "None", "seed": []}}})
    assert job is not None
    assert len(list(instances(job))) > 10


def test_the_object_that_is_repaired_is_left_as_it_was():
    broken = {"kind": "RLHFJob", "spec": 3}
    repaired(RLHFJob, broken)
    assert broken == {"kind": "RLHFJob", "spec": 3}
