"""Check a model: whether its network sees as far as is counted on, and whether tiles equal a larger window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slideseg.errors import ModelError, explain
from slideseg.model.bundled import find_model
from slideseg.model.file import read_network
from slideseg.model.others.libraries import onnx_networks
from slideseg.model.reach.probe import ROUNDING, Reach, largest_difference, probe
from slideseg.model.stored import read_model

if TYPE_CHECKING:
    import os

    from slideseg.model.info import ModelInfo


CORE = 1024
"""Side of the core of the tile whose memory is told."""


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """What was found."""

    info: ModelInfo
    """What the model file says."""
    probed: Reach
    """How far the network sees, whatever its file says."""
    difference: float
    """By how much a tile's logits differ from a larger window's, as a share of the largest."""

    @property
    def multiplications(self) -> float:
        """How many a pixel takes."""
        return self.info.network.multiplications

    @property
    def feature_bytes(self) -> float:
        """How many bytes of features a pixel of a tile takes on a CPU, in single precision."""
        network = self.info.network
        return 4 * network.peak_values(CORE) / (CORE + 2 * network.margin) ** 2

    def to_dict(self) -> dict[str, Any]:
        """Return it as ``--json`` prints it."""
        network, probed = self.info.network, self.probed
        return {
            "status": "ok",
            "error": None,
            "model": self.info.name,
            "stride": network.stride,
            "margin": network.margin,
            "exact": network.exact,
            "probed": {"stride": probed.stride, "margin": probed.margin, "exact": probed.exact},
            "obstacles": [str(obstacle) for obstacle in probed.obstacles],
            "largest_difference": self.difference,
            "multiplications_per_pixel": self.multiplications,
            "feature_bytes_per_pixel": round(self.feature_bytes, 1),
        }


def check_model(name_or_path: str | os.PathLike[str]) -> ModelCheck:
    """Check a model: a bundled model's name, a ``.safetensors`` file, or the folder of a training run.

    Raises:
        ModelError: if there is no such model, its file can't be used, or it can't be relied on.
    """
    path = find_model(name_or_path)
    net, info = read_network(path)
    network, channels = info.network, info.network.in_channels
    if network.kind == "onnx":
        probed = onnx_networks().probe_file(read_model(path).weights, str(path))
    else:
        probed = probe(net.eval(), channels)
    found = ModelCheck(info, probed, largest_difference(net, probed, channels))
    if (probed.stride, probed.exact) != (network.stride, network.exact) or probed.margin > network.margin:
        what = f"the network of {name_or_path} sees otherwise than its description says"
        got, want = f"stride {probed.stride}, margin {probed.margin}", f"stride {network.stride}, margin up to {network.margin}"
        raise ModelError(explain(what, got=got, want=want))
    if network.exact and not found.difference <= ROUNDING:
        what = f"tiles of {name_or_path} differ from a larger window"
        raise ModelError(explain(what, got=f"{found.difference:.1e} of the largest logit", want=f"at most {ROUNDING}"))
    return found
