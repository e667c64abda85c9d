{{/* GENERATED from rlhf_operator/clients/permissions.py by rlhf_operator.codegen.helm. */}}
{{- define "rlhf-operator.namespaceRules" -}}
# watch jobs, keep the finalizer, delete a job whose time to live is over
- apiGroups: ["openrlhf.io"]
  resources: ["rlhfjobs"]
  verbs: ["get", "list", "watch", "patch", "delete"]
# the one status write of a pass
- apiGroups: ["openrlhf.io"]
  resources: ["rlhfjobs/status"]
  verbs: ["patch"]
# children block the owner's deletion (OwnerReferencesPermissionEnforcement)
- apiGroups: ["openrlhf.io"]
  resources: ["rlhfjobs/finalizers"]
  verbs: ["update"]
# resolve a job's runtimeRef once
- apiGroups: ["openrlhf.io"]
  resources: ["rlhfruntimes"]
  verbs: ["get"]
# one RayCluster for each attempt that needs a new one
- apiGroups: ["ray.io"]
  resources: ["rayclusters"]
  verbs: ["get", "list", "watch", "create", "patch", "delete"]
# diagnose pods of a RayCluster; create is for the dry-run pod that judges fragments
- apiGroups: [""]
  resources: ["pods"]
  verbs: ["list", "watch", "create"]
# the job's RunConfig and runtime snapshot; sources by configmap://
- apiGroups: [""]
  resources: ["configmaps"]
  verbs: ["get", "create"]
# the output claim; claims named by the job must exist
- apiGroups: [""]
  resources: ["persistentvolumeclaims"]
  verbs: ["get", "create"]
# the Ray token that KubeRay made for a cluster of ours
- apiGroups: [""]
  resources: ["secrets"]
  verbs: ["get"]
# see that the head's service is the one that KubeRay made
- apiGroups: [""]
  resources: ["services"]
  verbs: ["get"]
# one NetworkPolicy a job, removed when no pods are left
- apiGroups: ["networking.k8s.io"]
  resources: ["networkpolicies"]
  verbs: ["get", "create", "patch", "delete"]
# say transitions; read why KubeRay or the scheduler refused a child
- apiGroups: [""]
  resources: ["events"]
  verbs: ["create", "list"]
{{- end -}}
{{- define "rlhf-operator.clusterRules" -}}
# resolve a job's runtimeRef once
- apiGroups: ["openrlhf.io"]
  resources: ["clusterrlhfruntimes"]
  verbs: ["get"]
{{- end -}}
{{- define "rlhf-operator.allNamespacesRules" -}}
# begin to watch RayClusters when KubeRay is installed after the operator
- apiGroups: ["apiextensions.k8s.io"]
  resources: ["customresourcedefinitions"]
  verbs: ["list", "watch"]
{{- end -}}
