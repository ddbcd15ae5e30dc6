"""What a worker is to do: values that travel to it once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from slideseg.errors import ModelError, explain
from slideseg.model.bundled import find_model
from slideseg.model.file import load_model_file

if TYPE_CHECKING:
    from slideseg.model.file import LoadedModel
    from slideseg.model.network.ranges import Ranges
    from slideseg.model.values import Range
    from slideseg.slide.resampled import Source
    from slideseg.slide.tissue.blocks import TissueMap
    from slideseg.space.box import Box
    from slideseg.space.grid import Shard, ShardGrid

Precision = Literal["fp32", "bf16", "fp16", "int8"]


@dataclass(frozen=True, slots=True)
class Tiling:
    """How pixels are cut into tiles, and how the network is run on them."""

    core: int
    """Largest side of a tile's core in pixels, a multiple of the network's stride."""
    batch: int = 1
    """Tiles a forward pass."""
    device: str = "cpu"
    """``cpu`` or ``cuda``."""
    precision: Precision = "fp32"
    """Number format of the network."""
    probabilities: bool = False
    """Whether class probabilities are wanted too."""
    range: Range | None = None
    """The values of black and white to the network; None for those of the pixels' type."""
    feature_ranges: Ranges | None = None
    """How large the network's features become, for ``int8``."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model as a worker finds it."""

    name: str
    """A bundled model's name or a model file's path: workers have the bundled ones in a place of their own."""
    sha256: str
    """Hash that the file must have."""

    def load(self, feature_ranges: Ranges | None = None) -> LoadedModel:
        """Load it, to be computed in whole numbers of 8 bits where the ranges of its features are given.

        Raises:
            ModelError: if this machine has another model under that name than the one that was planned with.
        """
        model = load_model_file(find_model(self.name), feature_ranges)
        if model.sha256 != self.sha256:
            what = f"model {self.name} is another one here than when the run was planned"
            try_ = "not to replace it during a run, and the same slideseg on all machines"
            raise ModelError(explain(what, got=model.sha256, want=self.sha256, try_=try_))
        return model


@dataclass(frozen=True, slots=True)
class Job:
    """Everything a worker needs to know."""

    source: Source
    """What is segmented."""
    model: ModelFile
    """What segments it."""
    output: str
    """Where the result store is."""
    grid: ShardGrid
    """The shards."""
    tiling: Tiling
    """How a shard is cut and run."""
    tissue: TissueMap | None
    """Blocks to segment; None means all."""
    threads: int
    """CPU threads of one forward pass."""
    may_have_gaps: bool = False
    """Whether there may be places where nothing was scanned."""
    keeps_freed: bool = False
    """Whether workers keep what tensors free for the next ones; see `slideseg.machine.keep_freed_memory`."""

    def pieces(self, shard: Shard, margin: int) -> list[Box]:
        """Return the boxes of a shard that a network with so many pixels of ``margin`` computes; none where is no tissue."""
        return [shard.write_box] if self.tissue is None else self.tissue.pieces(shard.write_box, margin)

    def at(self, source: Source) -> Job:
        """Return the job with the slide read from another place, such as its temporary copy."""
        return replace(self, source=source)
