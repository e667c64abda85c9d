"""The Kubernetes operator: an RLHFJob in, a RayCluster, a training run and an honest status out."""

__version__ = "0.1.0"
