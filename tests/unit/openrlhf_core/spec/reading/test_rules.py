"""The collection of rules that cross fields: complete, and about fields that there are."""

import pkgutil
import re
from importlib import import_module

from pydantic import BaseModel

from openrlhf_core.spec import kinds
from openrlhf_core.spec.kinds.job import RLHFJob, RLHFJobSpec
from openrlhf_core.spec.kinds.training import TrainingSpec
from openrlhf_core.spec.reading.rules import RULES, rules_of
from openrlhf_core.spec.reading.spec_tree import field_names, spec_class_at


def test_the_rules_of_every_module_of_kinds_are_collected():
    for module in pkgutil.iter_modules(kinds.__path__, kinds.__name__ + "."):
        own = getattr(import_module(module.name), "RULES", ())
        assert set(own) <= set(RULES), module.name


def test_every_rule_reads_fields_that_there_are():
    for rule in RULES:
        for field in rule.reads:
            *parents, last = field.split(".")
            holder = spec_class_at(rule.on, tuple(parents))
            assert holder is not None and last in field_names(holder), (rule.claim, field)


def test_every_rule_says_a_claim_and_who_judges_it():
    for rule in RULES:
        assert rule.claim
        assert rule.check or rule.cel
        assert rule.check is None or rule.reads


def test_cel_texts_name_only_fields_that_there_are():
    for rule in RULES:
        if rule.on in (RLHFJob, RLHFJobSpec):
            continue
        for text in re.findall(r"self\.([A-Za-z.]+)", rule.cel):
            holder: type[BaseModel] | None = rule.on
            for name in text.split("."):
                if holder is None or name in ("contains", "all", "exists", "filter"):
                    break
                assert name in field_names(holder), (rule.claim, text)
                holder = spec_class_at(holder, (name,))


def test_rules_are_found_by_class():
    assert all(rule.on is TrainingSpec for rule in rules_of(TrainingSpec))
    assert len(rules_of(TrainingSpec)) >= 8
    assert rules_of(int) == []
