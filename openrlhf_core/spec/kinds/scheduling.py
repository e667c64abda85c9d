"""`spec.scheduling`: queue, priority and gang of a job's pods."""

from typing import Literal

from pydantic import Field

from openrlhf_core.spec.kinds.base import SpecModel
from openrlhf_core.spec.kinds.kubernetes import DNSName, LabelValue, TopologySpec

Scheduler = Literal["Default", "Volcano", "YuniKorn", "KAI", "SchedulerPlugins"]


class SchedulingSpec(SpecModel):
    """How the pods are queued and placed. An absent field is the runtime's."""

    queue_name: LabelValue | None = Field(
        None, description="Queue of Kueue (scheduler Default), Volcano, YuniKorn or KAI."
    )
    priority_class_name: DNSName | None = Field(None, description="PriorityClass of the pods.")
    scheduler: Scheduler | None = Field(
        None, description="Which scheduler places the pods. Default: the runtime's, else Default."
    )
    gang: bool | None = Field(
        None,
        description="Start all pods or none. Default: the runtime's, else true where the "
        "scheduler supports it.",
    )
    topology: TopologySpec | None = Field(
        None, description="How close to each other the pods of a worker group are placed (Kueue)."
    )
