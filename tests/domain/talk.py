"""The documents that the talk and the article show, in minimal form: the field values are theirs."""

from __future__ import annotations

PYTORCH_JOB = """\
apiVersion: kubeflow.org/v1
kind: PyTorchJob
metadata:
  name: llm-finetune-v3
  namespace: ml-platform
spec:
  pytorchReplicaSpecs:
    Master:
      replicas: 1
      restartPolicy: OnFailure
      template:
        spec:
          containers:
            - name: pytorch
              image: nvcr.io/nvidia/pytorch:24.01-py3
              resources:
                limits:
                  nvidia.com/gpu: "8"
          nodeSelector:
            cloud.google.com/gke-accelerator: nvidia-a100-80gb
"""

CLUSTER_QUEUE = """\
apiVersion: kueue.x-k8s.io/v1beta1
kind: ClusterQueue
metadata:
  name: gpu-pool
spec:
  resourceGroups:
    - coveredResources: ["nvidia.com/gpu"]
      flavors:
        - name: aws-a100
          resources:
            - name: nvidia.com/gpu
              nominalQuota: 64
        - name: gcp-h100
          resources:
            - name: nvidia.com/gpu
              nominalQuota: 32
"""

INFERENCE_SERVICE = """\
# INT8 at the edge
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: vision-v2-edge
  namespace: edge-us-south
spec:
  predictor:
    canaryTrafficPercent: 10
    model:
      modelFormat:
        name: onnx
      runtime: kserve-onnxruntime
      storageUri: s3://model-registry/vision-v2.1-int8
      resources:
        limits:
          nvidia.com/gpu: "1"
      nodeSelector:
        node-role: edge-gpu
"""

SERVERLESS = "  name: vision-v2-edge\n  annotations: {serving.kserve.io/deploymentMode: Serverless}\n"
"""The mode by the name it had when the talk's stack was new."""

LITELLM = """\
router_settings:
  routing_strategy: latency-based-routing
  num_retries: 3
model_list:
  - model_name: vision-small
    litellm_params:
      model: openai/vision-v2-int8
      api_base: http://kserve.edge-us-south.svc
  - model_name: llm-large
    litellm_params:
      model: openai/llama-3.3-70b
      api_base: http://vllm.gpu-h100.svc
fallbacks:
  - {"vision-small": ["vision-cloud-spot"]}
  - {"llm-large": ["llm-a100"]}
"""

# The article names these without showing a manifest.
ZONAL_SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: tpu-inference
spec:
  selector: {app: tpu}
  trafficDistribution: PreferClose
  ports: [{port: 80}]
"""

CLAIM_TEMPLATE = """\
apiVersion: resource.k8s.io/v1beta1  # 1.33
kind: ResourceClaimTemplate
metadata:
  name: one-gpu
spec:
  spec:
    devices:
      requests:
        - name: gpu
          deviceClassName: gpu-high-performance-training
"""

HARDWARE_ALERTS = """\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: device-health
spec:
  groups:
    - name: devices
      rules:
        - alert: EccErrors
          expr: increase(DCGM_FI_DEV_ECC_DBE_VOL_TOTAL[1h]) > 0
        - alert: Xid
          expr: rate(DCGM_FI_DEV_XID_ERRORS[5m]) > 0
        - alert: GpuProblem
          expr: problem_gauge{type="GPUHealth"} == 1
        - alert: Slow
          expr: histogram_quantile(0.95, rate(revision_app_request_latencies_bucket[5m])) > 200
"""

INFERENCE_MODEL = """\
apiVersion: inference.networking.x-k8s.io/v1alpha2
kind: InferenceModel
metadata:
  name: llama
spec:
  modelName: llama
  criticality: Critical
  poolRef:
    name: pool
"""
