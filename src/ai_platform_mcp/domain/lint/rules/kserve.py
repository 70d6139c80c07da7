"""KServe: modes, canaries, runtimes and where fields belong."""

from __future__ import annotations

from collections.abc import Iterable

from ai_platform_mcp.domain.lint.model import Around, Edit, Hit
from ai_platform_mcp.domain.lint.registry import rule
from ai_platform_mcp.domain.lint.subject import Subject, pointer
from ai_platform_mcp.domain.objects import rows, section

ISVC = "serving.kserve.io/InferenceService"
MODE = "serving.kserve.io/deploymentMode"
RENAMED = {"Serverless": "Knative", "RawDeployment": "Standard"}
KNATIVE = ("serving.knative.dev/v1", "Service")
POD_FIELDS = (
    "nodeSelector", "tolerations", "affinity", "topologySpreadConstraints", "serviceAccountName", "imagePullSecrets",
    "priorityClassName", "schedulerName", "runtimeClassName", "resourceClaims",
)  # fmt: skip
SHIPPED = frozenset(
    (
        "kserve-autogluonserver", "kserve-huggingfaceserver", "kserve-huggingfaceserver-multinode", "kserve-lgbserver",
        "kserve-mlserver", "kserve-openvino", "kserve-paddleserver", "kserve-pmmlserver", "kserve-predictiveserver",
        "kserve-sklearnserver", "kserve-tensorflow-serving", "kserve-torchserve", "kserve-tritonserver", "kserve-xgbserver",
    )
)  # fmt: skip
"""The ClusterServingRuntimes of KServe's release that begin with ``kserve-``."""
SERVED_BY = {
    "onnx": "kserve-tritonserver or kserve-openvino",
    "tensorflow": "kserve-tensorflow-serving or kserve-tritonserver",
    "pytorch": "kserve-torchserve or kserve-tritonserver",
    "sklearn": "kserve-sklearnserver or kserve-mlserver",
    "xgboost": "kserve-xgbserver or kserve-mlserver",
    "huggingface": "kserve-huggingfaceserver",
}
LEGACY = ("sklearn", "xgboost", "lightgbm", "pmml", "paddle", "onnx", "tensorflow", "huggingface", "pytorch", "triton")
AMBIGUOUS = ("pytorch", "triton")
"""Legacy predictors whose successor is a choice of runtime."""


def mode_of(subject: Subject) -> str:
    """Return ``Knative``, ``Standard``, ``ModelMesh`` or an empty text where the object leaves it to the cluster."""
    said = str(subject.annotations.get(MODE, ""))
    return RENAMED.get(said, said)


@rule(
    "kserve.old-group",
    "error",
    "InferenceService of serving.kubeflow.org",
    source="KServe: serving.kserve.io/v1beta1 since 0.7; serving.kubeflow.org is gone",
    fix="certain",
    kinds=("serving.kubeflow.org/InferenceService",),
)
def old_group(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find the group of KFServing."""
    alike = subject.version == "v1beta1"
    yield Hit(
        path="/apiVersion",
        message=f"{subject.api_version} is served by no released KServe.",
        remedy="Write apiVersion: serving.kserve.io/v1beta1"
        + ("." if alike else ", and spec.predictor for spec.default.predictor."),
        edits=(Edit(op="set", path="/apiVersion", value="serving.kserve.io/v1beta1"),),
        certain=alike,
    )


@rule(
    "kserve.canary-top-level",
    "error",
    "canaryTrafficPercent outside of spec.predictor",
    source="KServe v1beta1 CRD: unknown field spec.canaryTrafficPercent",
    fix="certain",
    kinds=(ISVC,),
)
def canary_top_level(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find a canary share one level too high, or one too low."""
    above = section(subject.spec, "predictor")
    for holder, path in ((subject.spec, "/spec"), (section(above, "model"), "/spec/predictor/model")):
        if "canaryTrafficPercent" in holder:
            yield Hit(
                path=f"{path}/canaryTrafficPercent",
                message="The field is unknown there: strict validation refuses the object, any other write sends all traffic to "
                "the new model at once.",
                remedy="Write it as spec.predictor.canaryTrafficPercent.",
                edits=(
                    Edit(op="move", path=f"{path}/canaryTrafficPercent", to="/spec/predictor/canaryTrafficPercent"),
                ),
                certain="canaryTrafficPercent" not in above and bool(above),
            )


@rule(
    "kserve.canary-ignored",
    "error",
    "canaryTrafficPercent where the mode is not Knative",
    source="KServe: works in Knative mode only (kserve#4074, #5335); spec.canary[] in Standard since 0.20",
    fix="suggested",
    kinds=(ISVC,),
)
def canary_ignored(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find canaries that Standard mode silently leaves out, and those that rely on a cluster's default mode."""
    mode = mode_of(subject)
    if "canaryTrafficPercent" not in section(subject.spec, "predictor") or (
        mode == "Knative" and around.serves(*KNATIVE)
    ):
        return
    without = around.lacks(*KNATIVE)
    certain_loss = mode == "Standard" or without
    why = (
        "The target serves no Knative, so the object runs in Standard mode, where"
        if without
        else "In Standard mode"
        if mode == "Standard"
        else "No mode is named, and KServe's default is Standard unless the cluster's configuration says otherwise; there"
    )
    yield Hit(
        path="/spec/predictor/canaryTrafficPercent",
        message=f"{why} the share is ignored without a word: all traffic goes to the new model.",
        remedy=f"Set the annotation {MODE}: Knative, or write spec.canary: [{{trafficPercent, predictor: {{name, model}}}}] "
        "(Standard, KServe 0.20).",
        severity="error" if certain_loss else "warning",
    )


@rule(
    "kserve.canary-list",
    "error",
    "spec.canary where it has no effect",
    source="KServe 0.20 (PR#5672): Standard mode only, fixed replicas",
    fix="suggested",
    kinds=(ISVC,),
)
def canary_list(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find the new form of canaries in Knative mode, on an older KServe, or with autoscaling."""
    if not rows(subject.spec, "canary"):
        return
    if mode_of(subject) == "Knative":
        yield Hit(
            path="/spec/canary",
            message="In Knative mode spec.canary has no effect.",
            remedy="Write spec.predictor.canaryTrafficPercent and keep one predictor.",
        )
    if around.standard_canary is False:
        yield Hit(
            path="/spec/canary",
            message="The target's KServe does not know spec.canary (it came with 0.20).",
            remedy="Use Knative mode with canaryTrafficPercent, or two InferenceServices and an HTTPRoute with weights.",
        )


@rule(
    "kserve.legacy-mode",
    "info",
    "deployment mode by its former name",
    source="KServe 0.16: Serverless is Knative, RawDeployment is Standard",
    fix="certain",
    kinds=(ISVC,),
)
def legacy_mode(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find former names, unless the target is known to be too old for the new ones."""
    said = str(subject.annotations.get(MODE, ""))
    if said in RENAMED and around.standard_canary is not False:
        yield Hit(
            path=pointer("metadata", "annotations", MODE),
            message=f"{said} is called {RENAMED[said]} now; the former name is still read.",
            remedy=f"Write {MODE}: {RENAMED[said]}.",
            edits=(Edit(op="set", path=pointer("metadata", "annotations", MODE), value=RENAMED[said]),),
        )


@rule(
    "kserve.unknown-runtime",
    "error",
    "runtime that KServe does not ship",
    source="KServe 0.20 config/runtimes: no kserve-onnxruntime in any release",
    fix="suggested",
    kinds=(ISVC,),
)
def unknown_runtime(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find runtimes that are not on the target, or that look like KServe's own and are not."""
    for path, holder in _models(subject):
        runtime = holder.get("runtime")
        if not isinstance(runtime, str) or (around.runtimes is not None and runtime in around.runtimes):
            continue
        if around.runtimes is None and (not runtime.startswith("kserve-") or runtime in SHIPPED):
            continue
        made = str(section(holder, "modelFormat").get("name", ""))
        fits = SERVED_BY.get(made, "one that lists the model's format")
        where = "KServe ships" if around.runtimes is None else "The target has"
        yield Hit(
            path=f"{path}/runtime",
            message=f"{where} no runtime {runtime}: the InferenceService is accepted and never becomes ready.",
            remedy=f"Name {fits}, or install a ClusterServingRuntime of that name; without runtime KServe chooses by format.",
        )


def _models(subject: Subject) -> list[tuple[str, dict[str, object]]]:
    found = [("/spec/predictor/model", section(subject.spec, "predictor", "model"))]
    for place, canary in enumerate(rows(subject.spec, "canary")):
        found.append((f"/spec/canary/{place}/predictor/model", section(canary, "predictor", "model")))
    return [(path, model) for path, model in found if model]


@rule(
    "kserve.field-level",
    "error",
    "pod field at the wrong level of an InferenceService",
    source="KServe v1beta1 CRD: the PodSpec is inlined in spec.predictor",
    fix="certain",
    kinds=(ISVC,),
)
def field_level(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find nodeSelector and its like under the model or at the top of the spec."""
    predictor = section(subject.spec, "predictor")
    for holder, path in ((subject.spec, "/spec"), (section(predictor, "model"), "/spec/predictor/model")):
        for key in POD_FIELDS:
            if key in holder:
                yield Hit(
                    path=f"{path}/{key}",
                    message=f"{key} is unknown there: strict validation refuses the object, any other write drops it and the pod "
                    "runs anywhere.",
                    remedy=f"Write it as spec.predictor.{key}.",
                    edits=(Edit(op="move", path=f"{path}/{key}", to=f"/spec/predictor/{key}"),),
                    certain=key not in predictor and bool(predictor),
                )


@rule(
    "kserve.legacy-predictor",
    "warning",
    "predictor named by its framework",
    source="KServe: spec.predictor.model with modelFormat replaces spec.predictor.<framework>",
    fix="certain",
    kinds=(ISVC,),
)
def legacy_predictor(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find predictors of the form that KServe only still rewrites."""
    predictor = section(subject.spec, "predictor")
    for name in LEGACY:
        if section(predictor, name) and "model" not in predictor:
            yield Hit(
                path=f"/spec/predictor/{name}",
                message=f"predictor.{name} is the form before serving runtimes: it names none, and KServe only rewrites it.",
                remedy=f"Write predictor.model with modelFormat.name: {name}.",
                edits=(
                    Edit(op="rename", path=f"/spec/predictor/{name}", to="model"),
                    Edit(op="set", path="/spec/predictor/model/modelFormat", value={"name": name}),
                ),
                certain=name not in AMBIGUOUS,
            )


@rule(
    "kserve.floating-model",
    "warning",
    "storageUri that names an OCI artifact without digest",
    source="OCI distribution: a tag can be moved; KServe resolves it when a pod starts",
    fix="none",
    kinds=(ISVC, "serving.kserve.io/LLMInferenceService"),
)
def floating_model(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find models that another push would replace unseen."""
    for path, data in subject.objects:
        for key in ("storageUri", "uri"):
            uri = data.get(key)
            if isinstance(uri, str) and uri.startswith("oci") and "://" in uri and "@sha256:" not in uri:
                yield Hit(
                    path=f"{path}/{key}",
                    message="The tag can be moved: two replicas, or a restart, may serve different weights under one name.",
                    remedy="Name the digest: oci://registry/repository@sha256:…",
                )


@rule(
    "kserve.llm-old-version",
    "info",
    "LLMInferenceService in v1alpha1",
    source="KServe 0.17: v1alpha2",
    fix="suggested",
    kinds=("serving.kserve.io/LLMInferenceService",),
)
def llm_old_version(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find the earlier alpha."""
    if subject.version == "v1alpha1" and around.serves("serving.kserve.io/v1alpha2", subject.kind):
        yield Hit(
            path="/apiVersion",
            message="v1alpha1 is still served; v1alpha2 is what new fields are added to.",
            remedy="Write apiVersion: serving.kserve.io/v1alpha2 and look at what changed in the fields that are used.",
        )
