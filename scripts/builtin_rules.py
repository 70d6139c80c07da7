"""What the official client's models do not say about Kubernetes' built-in kinds.

The client's models give names, types and required fields. They leave out how lists merge, which values the server
accepts, what it fills in, and which strings are quantities: those facts are here, one table each, in the words of the
API reference (Kubernetes 1.36/1.37). A field is written `Type.field`; `Type` is the model's name without its version.
"""

# apiVersion Kind plural scope(N|C) shortNames(-) subresources(-)   one line per kind the sandbox serves
KINDS = """
v1 Pod pods N po status,log,eviction,binding
v1 Service services N svc status
v1 Node nodes C no status
v1 Namespace namespaces C ns status,finalize
v1 ConfigMap configmaps N cm -
v1 Secret secrets N - -
v1 ServiceAccount serviceaccounts N sa token
v1 Event events N ev -
v1 PersistentVolumeClaim persistentvolumeclaims N pvc status
v1 PersistentVolume persistentvolumes C pv status
v1 ResourceQuota resourcequotas N quota status
v1 LimitRange limitranges N limits -
v1 Endpoints endpoints N ep -
apps/v1 Deployment deployments N deploy status,scale
apps/v1 DaemonSet daemonsets N ds status
apps/v1 StatefulSet statefulsets N sts status,scale
apps/v1 ReplicaSet replicasets N rs status,scale
batch/v1 Job jobs N - status
batch/v1 CronJob cronjobs N cj status
policy/v1 PodDisruptionBudget poddisruptionbudgets N pdb status
policy/v1 Eviction evictions N - -
autoscaling/v1 Scale scales N - -
autoscaling/v2 HorizontalPodAutoscaler horizontalpodautoscalers N hpa status
coordination.k8s.io/v1 Lease leases N - -
events.k8s.io/v1 Event events N ev -
discovery.k8s.io/v1 EndpointSlice endpointslices N - -
rbac.authorization.k8s.io/v1 Role roles N - -
rbac.authorization.k8s.io/v1 RoleBinding rolebindings N - -
rbac.authorization.k8s.io/v1 ClusterRole clusterroles C - -
rbac.authorization.k8s.io/v1 ClusterRoleBinding clusterrolebindings C - -
resource.k8s.io/v1 DeviceClass deviceclasses C - -
resource.k8s.io/v1 ResourceClaim resourceclaims N - status
resource.k8s.io/v1 ResourceClaimTemplate resourceclaimtemplates N - -
resource.k8s.io/v1 ResourceSlice resourceslices C - -
scheduling.k8s.io/v1 PriorityClass priorityclasses C pc -
storage.k8s.io/v1 StorageClass storageclasses C sc -
networking.k8s.io/v1 NetworkPolicy networkpolicies N netpol -
networking.k8s.io/v1 Ingress ingresses N ing status
apiextensions.k8s.io/v1 CustomResourceDefinition customresourcedefinitions C crd,crds status
apiregistration.k8s.io/v1 APIService apiservices C - status
admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy validatingadmissionpolicies C - status
admissionregistration.k8s.io/v1 ValidatingAdmissionPolicyBinding validatingadmissionpolicybindings C - -
admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration validatingwebhookconfigurations C - -
admissionregistration.k8s.io/v1 MutatingWebhookConfiguration mutatingwebhookconfigurations C - -
authentication.k8s.io/v1 TokenRequest tokenrequests N - -
authentication.k8s.io/v1 TokenReview tokenreviews C - -
authentication.k8s.io/v1 SelfSubjectReview selfsubjectreviews C - -
authorization.k8s.io/v1 SubjectAccessReview subjectaccessreviews C - -
authorization.k8s.io/v1 LocalSubjectAccessReview localsubjectaccessreviews N - -
authorization.k8s.io/v1 SelfSubjectAccessReview selfsubjectaccessreviews C - -
authorization.k8s.io/v1 SelfSubjectRulesReview selfsubjectrulesreviews C - -
"""

# Kinds whose model does not bear the kind's plain name.
MODEL_OF = {
    "v1/Event": "CoreV1Event",
    "events.k8s.io/v1/Event": "EventsV1Event",
    "resource.k8s.io/v1/ResourceClaim": "ResourceV1ResourceClaim",
    "authentication.k8s.io/v1/TokenRequest": "AuthenticationV1TokenRequest",
    "autoscaling/v2/HorizontalPodAutoscaler": "V2HorizontalPodAutoscaler",
}

# Strategic merge patch: the key of lists that merge; "" merges plain values. Lists not named are replaced whole.
MERGE_KEYS = {
    "PodSpec.containers": "name",
    "PodSpec.initContainers": "name",
    "PodSpec.ephemeralContainers": "name",
    "PodSpec.volumes": "name",
    "PodSpec.imagePullSecrets": "name",
    "PodSpec.hostAliases": "ip",
    "PodSpec.topologySpreadConstraints": "topologyKey",
    "PodSpec.schedulingGates": "name",
    "PodSpec.resourceClaims": "name",
    "Container.ports": "containerPort",
    "Container.env": "name",
    "Container.volumeMounts": "mountPath",
    "Container.volumeDevices": "devicePath",
    "EphemeralContainer.ports": "containerPort",
    "EphemeralContainer.env": "name",
    "EphemeralContainer.volumeMounts": "mountPath",
    "EphemeralContainer.volumeDevices": "devicePath",
    "PodStatus.conditions": "type",
    "PodStatus.podIPs": "ip",
    "PodStatus.hostIPs": "ip",
    "PodStatus.resourceClaimStatuses": "name",
    "ObjectMeta.ownerReferences": "uid",
    "ObjectMeta.finalizers": "",
    "ServiceSpec.ports": "port",
    "ServiceStatus.conditions": "type",
    "ServiceAccount.secrets": "name",
    "NodeSpec.podCIDRs": "",
    "NodeStatus.conditions": "type",
    "NodeStatus.addresses": "type",
    "NamespaceStatus.conditions": "type",
    "PersistentVolumeClaimStatus.conditions": "type",
    "DeploymentStatus.conditions": "type",
    "DaemonSetStatus.conditions": "type",
    "StatefulSetStatus.conditions": "type",
    "ReplicaSetStatus.conditions": "type",
    "JobStatus.conditions": "type",
    "PodDisruptionBudgetStatus.conditions": "type",
    "HorizontalPodAutoscalerStatus.conditions": "type",
    "ResourceClaimStatus.reservedFor": "uid",
    "APIServiceStatus.conditions": "type",
    "ValidatingWebhookConfiguration.webhooks": "name",
    "MutatingWebhookConfiguration.webhooks": "name",
    "ValidatingAdmissionPolicySpec.matchConditions": "name",
    "ValidatingAdmissionPolicySpec.variables": "name",
    "ValidatingWebhook.matchConditions": "name",
    "MutatingWebhook.matchConditions": "name",
}

# Server-side apply: how lists are owned. Keys: a map list; "set": a set; a list named nowhere is atomic.
# Lists inside a pod template are not here: the released CRDs that embed one say it themselves.
LIST_TYPES = {
    "ObjectMeta.ownerReferences": "uid",
    "ObjectMeta.finalizers": "set",
    "PodStatus.conditions": "type",
    "PodStatus.podIPs": "ip",
    "PodStatus.resourceClaimStatuses": "name",
    "ServiceSpec.ports": "port,protocol",
    "ServiceStatus.conditions": "type",
    "ServiceAccount.secrets": "name",
    "NodeSpec.podCIDRs": "set",
    "NodeStatus.conditions": "type",
    "NodeStatus.addresses": "type",
    "NamespaceStatus.conditions": "type",
    "PersistentVolumeClaimStatus.conditions": "type",
    "DeploymentStatus.conditions": "type",
    "DaemonSetStatus.conditions": "type",
    "StatefulSetStatus.conditions": "type",
    "ReplicaSetStatus.conditions": "type",
    "PodDisruptionBudgetStatus.conditions": "type",
    "HorizontalPodAutoscalerStatus.conditions": "type",
    "ResourceClaimStatus.reservedFor": "uid",
    "ResourceClaimStatus.devices": "driver,device,pool",
    "AllocatedDeviceStatus.conditions": "type",
    "CustomResourceDefinitionStatus.conditions": "type",
    "APIServiceStatus.conditions": "type",
    "ValidatingWebhookConfiguration.webhooks": "name",
    "MutatingWebhookConfiguration.webhooks": "name",
    "ValidatingAdmissionPolicySpec.matchConditions": "name",
    "ValidatingAdmissionPolicySpec.variables": "name",
    "ValidatingAdmissionPolicyStatus.conditions": "type",
    "ValidatingAdmissionPolicyBindingSpec.validationActions": "set",
    "UncountedTerminatedPods.failed": "set",
    "UncountedTerminatedPods.succeeded": "set",
    "PodFailurePolicyOnExitCodesRequirement.values": "set",
}

# Objects that server-side apply owns whole.
ATOMIC_MAPS = {"LabelSelector", "ObjectReference", "TypedLocalObjectReference", "SecretReference", "ScopeSelector"}
ATOMIC_MAPS |= {"LocalObjectReference", "ConfigMapNodeConfigSource", "NodeSelector", "NodeSelectorTerm", "RoleRef"}
ATOMIC_MAPS |= {"OwnerReference", "RbacV1Subject", "TopologySelectorTerm"}
ATOMIC_FIELDS = {"PodSpec.nodeSelector", "ServiceSpec.selector"}

# Values that the server checks. Order is the order in which the server names them.
ENUMS = {
    "PodSpec.restartPolicy": "Always OnFailure Never",
    "PodSpec.dnsPolicy": "ClusterFirstWithHostNet ClusterFirst Default None",
    "PodSpec.preemptionPolicy": "PreemptLowerPriority Never",
    "Container.imagePullPolicy": "Always IfNotPresent Never",
    "Container.terminationMessagePolicy": "File FallbackToLogsOnError",
    "ContainerPort.protocol": "SCTP TCP UDP",
    "HTTPGetAction.scheme": "HTTP HTTPS",
    "Toleration.operator": "Equal Exists Lt Gt",
    "Toleration.effect": "NoSchedule PreferNoSchedule NoExecute",
    "Taint.effect": "NoSchedule PreferNoSchedule NoExecute",
    "NodeSelectorRequirement.operator": "In NotIn Exists DoesNotExist Gt Lt",
    "LabelSelectorRequirement.operator": "In NotIn Exists DoesNotExist",
    "TopologySpreadConstraint.whenUnsatisfiable": "DoNotSchedule ScheduleAnyway",
    "PodStatus.phase": "Pending Running Succeeded Failed Unknown",
    "ServicePort.protocol": "SCTP TCP UDP",
    "ServiceSpec.type": "ClusterIP ExternalName LoadBalancer NodePort",
    "ServiceSpec.sessionAffinity": "ClientIP None",
    "ServiceSpec.internalTrafficPolicy": "Cluster Local",
    "ServiceSpec.externalTrafficPolicy": "Cluster Local",
    "ServiceSpec.ipFamilyPolicy": "SingleStack PreferDualStack RequireDualStack",
    "PersistentVolumeClaimSpec.volumeMode": "Block Filesystem",
    "DeploymentStrategy.type": "Recreate RollingUpdate",
    "DaemonSetUpdateStrategy.type": "RollingUpdate OnDelete",
    "StatefulSetUpdateStrategy.type": "RollingUpdate OnDelete",
    "StatefulSetSpec.podManagementPolicy": "OrderedReady Parallel",
    "JobSpec.completionMode": "NonIndexed Indexed",
    "JobSpec.podReplacementPolicy": "Failed TerminatingOrFailed",
    "CronJobSpec.concurrencyPolicy": "Allow Forbid Replace",
    "PodDisruptionBudgetSpec.unhealthyPodEvictionPolicy": "AlwaysAllow IfHealthyBudget",
    "ExactDeviceRequest.allocationMode": "All ExactCount",
    "DeviceSubRequest.allocationMode": "All ExactCount",
    "DeviceToleration.operator": "Equal Exists",
    "DeviceToleration.effect": "NoExecute NoSchedule",
    "DeviceTaint.effect": "NoExecute NoSchedule",
    "PriorityClass.preemptionPolicy": "PreemptLowerPriority Never",
    "StorageClass.reclaimPolicy": "Delete Retain",
    "StorageClass.volumeBindingMode": "Immediate WaitForFirstConsumer",
    "CustomResourceDefinitionSpec.scope": "Cluster Namespaced",
    "ValidatingAdmissionPolicySpec.failurePolicy": "Fail Ignore",
}

# What the server fills in by itself. Defaults that depend on other fields (imagePullPolicy on the tag, targetPort on
# the port, a Job's completions on its parallelism) are no schema defaults and are not here.
DEFAULTS: dict[str, object] = {
    "PodSpec.restartPolicy": "Always",
    "PodSpec.dnsPolicy": "ClusterFirst",
    "PodSpec.schedulerName": "default-scheduler",
    "PodSpec.terminationGracePeriodSeconds": 30,
    "PodSpec.securityContext": {},
    "Container.terminationMessagePath": "/dev/termination-log",
    "Container.terminationMessagePolicy": "File",
    "Container.resources": {},
    "ContainerPort.protocol": "TCP",
    "Probe.timeoutSeconds": 1,
    "Probe.periodSeconds": 10,
    "Probe.successThreshold": 1,
    "Probe.failureThreshold": 3,
    "HTTPGetAction.scheme": "HTTP",
    "HTTPGetAction.path": "/",
    "SecretVolumeSource.defaultMode": 420,
    "ConfigMapVolumeSource.defaultMode": 420,
    "ProjectedVolumeSource.defaultMode": 420,
    "DownwardAPIVolumeSource.defaultMode": 420,
    "ServicePort.protocol": "TCP",
    "ServiceSpec.type": "ClusterIP",
    "ServiceSpec.sessionAffinity": "None",
    "ServiceSpec.internalTrafficPolicy": "Cluster",
    "Secret.type": "Opaque",
    "DeploymentSpec.replicas": 1,
    "DeploymentSpec.revisionHistoryLimit": 10,
    "DeploymentSpec.progressDeadlineSeconds": 600,
    "DeploymentSpec.strategy": {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
    },
    "ReplicaSetSpec.replicas": 1,
    "StatefulSetSpec.replicas": 1,
    "StatefulSetSpec.revisionHistoryLimit": 10,
    "StatefulSetSpec.podManagementPolicy": "OrderedReady",
    "StatefulSetSpec.updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
    "DaemonSetSpec.revisionHistoryLimit": 10,
    "DaemonSetSpec.updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
    "JobSpec.backoffLimit": 6,
    "JobSpec.completionMode": "NonIndexed",
    "JobSpec.suspend": False,
    "JobSpec.podReplacementPolicy": "TerminatingOrFailed",
    "JobSpec.manualSelector": False,
    "CronJobSpec.concurrencyPolicy": "Allow",
    "CronJobSpec.suspend": False,
    "CronJobSpec.successfulJobsHistoryLimit": 3,
    "CronJobSpec.failedJobsHistoryLimit": 1,
    "PersistentVolumeClaimSpec.volumeMode": "Filesystem",
    "PersistentVolumeClaimStatus.phase": "Pending",
    "NamespaceStatus.phase": "Active",
    "PodStatus.phase": "Pending",
    "ExactDeviceRequest.allocationMode": "ExactCount",
    "ExactDeviceRequest.count": 1,
    "DeviceSubRequest.allocationMode": "ExactCount",
    "DeviceSubRequest.count": 1,
    "PriorityClass.preemptionPolicy": "PreemptLowerPriority",
    "StorageClass.reclaimPolicy": "Delete",
    "StorageClass.volumeBindingMode": "Immediate",
}

# Fields that the client types as text (or a map of texts) and the server reads as a quantity: a number will do.
QUANTITIES = [
    "NodeStatus.capacity",
    "NodeStatus.allocatable",
    "ResourceQuotaSpec.hard",
    "ResourceQuotaStatus.hard",
    "ResourceQuotaStatus.used",
    "LimitRangeItem.default",
    "LimitRangeItem.defaultRequest",
    "LimitRangeItem.max",
    "LimitRangeItem.min",
    "LimitRangeItem.maxLimitRequestRatio",
    "PersistentVolumeSpec.capacity",
    "PersistentVolumeClaimStatus.capacity",
    "PersistentVolumeClaimStatus.allocatedResources",
    "ContainerStatus.allocatedResources",
    "VolumeResourceRequirements.limits",
    "VolumeResourceRequirements.requests",
    "MetricTarget.value",
    "MetricTarget.averageValue",
    "MetricValueStatus.value",
    "MetricValueStatus.averageValue",
    "DeviceCapacity.value",
    "Counter.value",
    "CapacityRequirements.requests",
    "DeviceRequestAllocationResult.consumedCapacity",
    "CapacityRequestPolicy.default",
]

# Fields that the client types as `object` and the server reads as a number or a text ("25%", a named port).
INT_OR_STRING = [
    "ServicePort.targetPort",
    "HTTPGetAction.port",
    "TCPSocketAction.port",
    "RollingUpdateDeployment.maxSurge",
    "RollingUpdateDeployment.maxUnavailable",
    "RollingUpdateDaemonSet.maxSurge",
    "RollingUpdateDaemonSet.maxUnavailable",
    "RollingUpdateStatefulSetStrategy.maxUnavailable",
    "PodDisruptionBudgetSpec.maxUnavailable",
    "PodDisruptionBudgetSpec.minAvailable",
    "NetworkPolicyPort.port",
]

# Numbers that the server bounds: minimum, maximum (None: unbounded).
RANGES: dict[str, tuple[int | None, int | None]] = {
    "ContainerPort.containerPort": (1, 65535),
    "ContainerPort.hostPort": (1, 65535),
    "ServicePort.port": (1, 65535),
    "ServicePort.nodePort": (0, 65535),
    "DeploymentSpec.replicas": (0, None),
    "ReplicaSetSpec.replicas": (0, None),
    "StatefulSetSpec.replicas": (0, None),
    "ScaleSpec.replicas": (0, None),
    "JobSpec.parallelism": (0, None),
    "JobSpec.completions": (0, None),
    "JobSpec.backoffLimit": (0, None),
    "PodSpec.terminationGracePeriodSeconds": (0, None),
    "LeaseSpec.leaseDurationSeconds": (1, None),
}

# What the generated models call required and the server does not ask for.
NOT_REQUIRED = ["CoreV1Event.metadata"]
