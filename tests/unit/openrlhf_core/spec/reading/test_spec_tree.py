"""Walks over spec classes and instances."""

from openrlhf_core.spec.kinds.data import DatasetSpec
from openrlhf_core.spec.kinds.job import RLHFJob
from openrlhf_core.spec.kinds.model import ChatTemplateSpec
from openrlhf_core.spec.kinds.rl import KLSpec, RLSpec
from openrlhf_core.spec.kinds.training import TrainingSpec
from openrlhf_core.spec.reading.spec_tree import field_names, instances, spec_class_at
from openrlhf_core.spec.reading.yaml_reader import path_text


def test_names_are_those_of_the_manifest():
    assert field_names(KLSpec) == ["coefficient", "placement", "estimator"]
    assert "groupSize" in field_names(RLSpec)


def test_a_path_leads_through_lists_and_options():
    path = ("spec", "training", "data", "train", 3)
    assert spec_class_at(RLHFJob, path) is DatasetSpec
    assert spec_class_at(TrainingSpec, ("model", "policy", "chatTemplate")) is ChatTemplateSpec
    assert spec_class_at(TrainingSpec, ()) is TrainingSpec


def test_a_path_to_a_leaf_or_nowhere_leads_to_no_class():
    assert spec_class_at(TrainingSpec, ("seed",)) is None
    assert spec_class_at(TrainingSpec, ("seed", "deeper")) is None
    assert spec_class_at(TrainingSpec, ("nothing", "here")) is None


def test_instances_come_with_their_paths_the_root_first(make_training):
    training = make_training()
    paths = [path_text(path) for path, _ in instances(training)]
    assert paths[0] == ""
    for path in ("model.policy", "data.train[0]", "rl.kl", "placement.groups[0]"):
        assert path in paths
    assert "logging.wandb" not in paths


def test_every_instance_is_what_its_path_leads_to(make_training):
    for path, instance in instances(make_training()):
        assert spec_class_at(TrainingSpec, path) is type(instance)
