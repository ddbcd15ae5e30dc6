"""The manifests for KubeRay."""

import shlex

import jsonschema
import pytest
import yaml

from tests.unit.cluster import MANIFESTS, name_of, pinned

TEXT, COUNT, STRINGS = {"type": "string"}, {"type": "integer", "minimum": 0}, {"additionalProperties": {"type": "string"}}


def fields(required, **properties):
    return {"type": "object", "required": required.split(), "properties": properties, "additionalProperties": False}


CONTAINER = fields(
    "name image resources volumeMounts",
    name=TEXT,
    image=TEXT,
    resources=fields("requests limits", requests=STRINGS, limits=STRINGS),
    volumeMounts={"type": "array", "items": fields("name mountPath", name=TEXT, mountPath=TEXT)},
)
POD = fields(
    "spec",
    spec=fields(
        "automountServiceAccountToken securityContext containers volumes",
        automountServiceAccountToken={"const": False},
        securityContext=fields(
            "runAsNonRoot runAsUser fsGroup", runAsNonRoot={"const": True}, runAsUser={"const": 1000}, fsGroup={"const": 1000}
        ),
        containers={"type": "array", "minItems": 1, "maxItems": 1, "items": CONTAINER},
        volumes={
            "type": "array",
            "items": fields("name persistentVolumeClaim", name=TEXT, persistentVolumeClaim=fields("claimName", claimName=TEXT)),
        },
    ),
)
RAY_JOB = fields(
    "apiVersion kind metadata spec",
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=fields("name", name={"type": "string", "pattern": "^[a-z][a-z0-9-]{0,46}$"}),
    spec=fields(
        "entrypoint rayClusterSpec",
        entrypoint=TEXT,
        backoffLimit=COUNT,
        shutdownAfterJobFinishes={"type": "boolean"},
        ttlSecondsAfterFinished=COUNT,
        rayClusterSpec=fields(
            "rayVersion authOptions headGroupSpec workerGroupSpecs",
            rayVersion=TEXT,
            authOptions=fields("mode", mode={"const": "token"}),
            headGroupSpec=fields("rayStartParams template", rayStartParams=STRINGS, template=POD),
            workerGroupSpecs={
                "type": "array",
                "minItems": 1,
                "items": fields(
                    "groupName replicas minReplicas maxReplicas rayStartParams template",
                    groupName=TEXT,
                    replicas=COUNT,
                    minReplicas=COUNT,
                    maxReplicas=COUNT,
                    rayStartParams=STRINGS,
                    template=POD,
                ),
            },
        ),
    ),
)
"""The part of the RayJob that the manifests use, as in KubeRay 1.5.1; unknown fields are mistakes, as for the API server."""


@pytest.fixture(params=MANIFESTS, ids=name_of)
def ray_job(request):
    return yaml.safe_load(request.param.read_text(encoding="utf-8"))


def test_a_manifest_has_the_fields_of_a_ray_job(ray_job):
    jsonschema.validate(ray_job, RAY_JOB)


@pytest.mark.parametrize(
    ("place", "value"),
    [(("authOptions", "mode"), "disabled"), (("authOption",), {}), (("headGroupSpec", "rayStartParams", "num-cpus"), 0)],
)
def test_a_mistake_in_a_manifest_is_found(ray_job, place, value):
    *way, last = place
    part = ray_job["spec"]["rayClusterSpec"]
    for name in way:
        part = part[name]
    part[last] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(ray_job, RAY_JOB)


def test_a_manifest_agrees_with_itself(ray_job):
    cluster = ray_job["spec"]["rayClusterSpec"]
    head, (group,) = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    pods = [head["template"]["spec"], group["template"]["spec"]]
    assert cluster["rayVersion"] == pinned("ray")
    assert group["minReplicas"] == group["replicas"] == group["maxReplicas"]
    for pod in pods:
        (container,) = pod["containers"]
        assert container["resources"]["requests"] == container["resources"]["limits"], "Ray counts the limits"
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert len({pod["containers"][0]["image"] for pod in pods}) == 1, "one version on all nodes"
    words = shlex.split(ray_job["spec"]["entrypoint"])
    gpus = int(pods[1]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"])
    assert int(words[words.index("--workers") + 1]) == group["replicas"] * gpus
    assert words[words.index("--address") + 1] == "auto"
