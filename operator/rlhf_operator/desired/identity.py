"""`JobIdentity`: whose children are made. Name, namespace, uid; nothing else of the job."""

from dataclasses import dataclass

from rlhf_operator import names
from rlhf_operator.desired.ray_types import Object


@dataclass(frozen=True)
class JobIdentity:
    """A job as its children know it."""

    name: str
    namespace: str
    uid: str

    @property
    def labels(self) -> dict[str, str]:
        return names.job_labels(self.name, self.uid)

    def owner_reference(self) -> Object:
        """The reference that makes the job the controller of a child, which goes when it goes."""
        return {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }

    def child_metadata(self, name: str) -> Object:
        """Metadata of a child of that name."""
        return {
            "name": name,
            "namespace": self.namespace,
            "labels": self.labels,
            "ownerReferences": [self.owner_reference()],
        }
