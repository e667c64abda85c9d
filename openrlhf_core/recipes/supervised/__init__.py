"""Every recipe that learns from given data: one loop, one session; a recipe is a SupervisedKind."""
