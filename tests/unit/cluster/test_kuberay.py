"""The manifests for KubeRay: the fields that they use, what they must agree in, and KubeRay's own schemas where there are any.

Those weigh a megabyte each and are not ours to ship. They lie in ``ray-operator/config/crd/bases`` of KubeRay's repository;
``SLIDESEG_KUBERAY_CRDS`` names the folder.
"""

import functools
import os
import shlex
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.unit.cluster import CLUSTER, MANIFESTS, name_of, pinned

TEXT, COUNT, STRINGS = {"type": "string"}, {"type": "integer", "minimum": 0}, {"additionalProperties": {"type": "string"}}


def fields(required, **properties):
    return {"type": "object", "required": required.split(), "properties": properties, "additionalProperties": False}


def always(**values):
    return fields(" ".join(values), **{name: {"const": value} for name, value in values.items()})


CONTAINER = fields(
    "name image securityContext resources volumeMounts",
    name=TEXT,
    image=TEXT,
    securityContext=always(allowPrivilegeEscalation=False, capabilities={"drop": ["ALL"]}),
    resources=fields("requests limits", requests=STRINGS, limits=STRINGS),
    volumeMounts={"type": "array", "items": fields("name mountPath", name=TEXT, mountPath=TEXT)},
)
POD = fields(
    "spec",
    spec=fields(
        "automountServiceAccountToken securityContext containers volumes",
        automountServiceAccountToken={"type": "boolean"},
        securityContext=always(runAsNonRoot=True, runAsUser=1000, fsGroup=1000, seccompProfile={"type": "RuntimeDefault"}),
        containers={"type": "array", "minItems": 1, "maxItems": 1, "items": CONTAINER},
        volumes={
            "type": "array",
            "items": fields("name persistentVolumeClaim", name=TEXT, persistentVolumeClaim=fields("claimName", claimName=TEXT)),
        },
    ),
)
GROUP = fields(
    "groupName replicas minReplicas maxReplicas rayStartParams template",
    groupName=TEXT,
    replicas=COUNT,
    minReplicas=COUNT,
    maxReplicas=COUNT,
    rayStartParams=STRINGS,
    template=POD,
)
CLUSTER_SPEC = fields(
    "rayVersion authOptions headGroupSpec workerGroupSpecs",
    rayVersion=TEXT,
    authOptions=always(mode="token"),
    enableInTreeAutoscaling={"type": "boolean"},
    autoscalerOptions=fields("idleTimeoutSeconds", idleTimeoutSeconds=COUNT),
    headGroupSpec=fields("rayStartParams template", rayStartParams=STRINGS, template=POD),
    workerGroupSpecs={"type": "array", "minItems": 1, "items": GROUP},
)
JOB_SPEC = fields(
    "entrypoint rayClusterSpec",
    entrypoint=TEXT,
    backoffLimit=COUNT,
    shutdownAfterJobFinishes={"type": "boolean"},
    ttlSecondsAfterFinished=COUNT,
    rayClusterSpec=CLUSTER_SPEC,
)
KINDS = {
    kind: fields(
        "apiVersion kind metadata spec",
        apiVersion={"const": "ray.io/v1"},
        kind={"const": kind},
        metadata=fields("name", name={"type": "string", "pattern": "^[a-z][a-z0-9-]{0,46}$"}),
        spec=spec,
    )
    for kind, spec in {"RayJob": JOB_SPEC, "RayCluster": CLUSTER_SPEC}.items()
}
"""The part of KubeRay's kinds that the manifests use, as in 1.5.1; unknown fields are mistakes, as for the API server."""

RAYS = [path for path in MANIFESTS if path.name != "network-policy.yaml"]


@pytest.fixture(params=RAYS, ids=name_of)
def manifest(request):
    return yaml.safe_load(request.param.read_text(encoding="utf-8"))


def cluster_of(manifest):
    return manifest["spec"].get("rayClusterSpec", manifest["spec"])


def test_a_manifest_has_the_fields_of_its_kind(manifest):
    jsonschema.validate(manifest, KINDS[manifest["kind"]])


def changed(cluster, place, value):
    *way, last = place
    for name in way:
        cluster = cluster[name]
    cluster[last] = value


MISTAKES = [(("authOptions", "mode"), "disabled"), (("authOption",), {}), (("headGroupSpec", "rayStartParams", "num-cpus"), 0)]


@pytest.mark.parametrize(("place", "value"), MISTAKES)
def test_a_mistake_in_a_manifest_is_found(manifest, place, value):
    changed(cluster_of(manifest), place, value)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(manifest, KINDS[manifest["kind"]])


def test_a_manifest_agrees_with_itself(manifest):
    cluster = cluster_of(manifest)
    head, (group,) = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    pods = [head["template"]["spec"], group["template"]["spec"]]
    assert cluster["rayVersion"] == pinned("ray")
    assert 1 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for pod in pods:
        (container,) = pod["containers"]
        assert container["resources"]["requests"] == container["resources"]["limits"], "Ray counts the limits"
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert len({pod["containers"][0]["image"] for pod in pods}) == 1, "one version on all nodes"


def test_only_the_autoscaler_may_talk_to_kubernetes(manifest):
    cluster = cluster_of(manifest)
    scales = cluster.get("enableInTreeAutoscaling", False)
    (group,) = cluster["workerGroupSpecs"]
    assert (group["minReplicas"] < group["maxReplicas"]) == scales
    assert cluster["headGroupSpec"]["template"]["spec"]["automountServiceAccountToken"] == scales
    assert group["template"]["spec"]["automountServiceAccountToken"] is False


@pytest.mark.parametrize("path", RAYS, ids=name_of)
def test_a_command_asks_for_as_many_workers_as_there_may_be(path):
    text = path.read_text(encoding="utf-8")
    (group,) = cluster_of(yaml.safe_load(text))["workerGroupSpecs"]
    gpus = int(group["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"])
    (line,) = [line for line in text.splitlines() if "slideseg predict /" in line or "slideseg train /" in line]
    words = shlex.split(line[line.index("slideseg ") :])
    assert int(words[words.index("--workers") + 1]) == group["maxReplicas"] * gpus
    assert words[words.index("--address") + 1] == "auto"


# --- KubeRay's own schemas -------------------------------------------------------------------------------------------------

FOLDER = os.environ.get("SLIDESEG_KUBERAY_CRDS")
no_schemas = pytest.mark.skipif(not FOLDER, reason="no schemas of KubeRay; SLIDESEG_KUBERAY_CRDS names their folder")


@functools.cache
def own_schema(kind):
    text = Path(FOLDER, f"ray.io_{kind.lower()}s.yaml").read_text(encoding="utf-8")
    definition = yaml.load(text, yaml.CSafeLoader)
    (version,) = [one for one in definition["spec"]["versions"] if one["name"] == "v1"]
    return closed(version["schema"]["openAPIV3Schema"])


def closed(schema):
    """Return a schema that refuses unknown fields, as the API server does when it is asked to be strict."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    whole = {name: closed(part) for name, part in schema.items()}
    open_anyway = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if schema.get("type") == "object" and "properties" in schema and not open_anyway:
        whole["additionalProperties"] = False
    return whole


@no_schemas
def test_a_manifest_fits_kuberays_own_schema(manifest):
    jsonschema.validate(manifest, own_schema(manifest["kind"]))


@no_schemas
@pytest.mark.parametrize(("place", "value"), [(("authOptions", "mode"), "tokens"), *MISTAKES[1:]])
def test_kuberays_own_schema_finds_mistakes(manifest, place, value):
    changed(cluster_of(manifest), place, value)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(manifest, own_schema(manifest["kind"]))


# --- who may talk to the pods ----------------------------------------------------------------------------------------------


def test_the_policy_lets_in_nobody_but_ray_its_jobs_and_kuberay():
    policy = yaml.safe_load((CLUSTER / "kuberay" / "network-policy.yaml").read_text(encoding="utf-8"))
    assert (policy["apiVersion"], policy["kind"]) == ("networking.k8s.io/v1", "NetworkPolicy")
    spec = policy["spec"]
    rays = {"matchExpressions": [{"key": "ray.io/cluster", "operator": "Exists"}]}
    assert spec["podSelector"] == rays
    assert spec["policyTypes"] == ["Ingress"]
    nodes, others = spec["ingress"]
    assert nodes == {"from": [{"podSelector": rays}]}
    assert others["ports"] == [{"port": 8265}]
    assert all(one["podSelector"] for one in others["from"]), "an empty selector lets everybody in"
