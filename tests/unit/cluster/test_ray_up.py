"""The machines of `ray up`."""

import jsonschema
import pytest
import yaml

from tests.unit.cluster import CLUSTER


@pytest.fixture
def ray_up():
    return yaml.safe_load((CLUSTER / "ray-up.yaml").read_text(encoding="utf-8"))


def check_with_ray(config):
    from ray.autoscaler._private.util import prepare_config, validate_config  # noqa: PLC0415 - heavy

    validate_config(prepare_config(config))


def test_the_ray_up_file_fits_rays_own_schema(ray_up):
    check_with_ray(ray_up)


@pytest.mark.parametrize(
    ("place", "value"), [(("max_worker",), 1), (("available_node_types", "worker", "cpus"), 4), (("setup_commands",), "pip")]
)
def test_rays_own_schema_finds_mistakes(ray_up, place, value):
    *way, last = place
    part = ray_up
    for name in way:
        part = part[name]
    part[last] = value
    with pytest.raises((jsonschema.ValidationError, AttributeError, TypeError)):
        check_with_ray(ray_up)


def test_every_machine_starts_ray_with_the_same_token(ray_up):
    starts = [line for kind in ("head", "worker") for line in ray_up[f"{kind}_start_ray_commands"] if "ray start" in line]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token ray start" in line and "chmod 600 ~/.ray/auth_token" in line for line in starts)
    assert ray_up["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert any("export RAY_AUTH_MODE=token" in line for line in ray_up["setup_commands"]), "the driver needs it too"


def test_slideseg_can_begin_on_the_machines_that_ray_up_starts(ray_up):
    worker = ray_up["available_node_types"]["worker"]
    assert worker["min_workers"] >= 1
    assert worker["max_workers"] == ray_up["max_workers"]
