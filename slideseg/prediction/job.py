"""What a worker is to do: values that travel to it once."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from slideseg.errors import ModelError, explain
from slideseg.model.bundled import find_model
from slideseg.model.file import LoadedModel, load_model_file, ready
from slideseg.model.together.model import sha256_together, together
from slideseg.model.windows.model import in_windows

if TYPE_CHECKING:
    from slideseg.model.architecture import Architecture
    from slideseg.model.file import Fitted
    from slideseg.model.info import ModelInfo
    from slideseg.model.others.model import Model
    from slideseg.model.together.use import Use
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
    fitted: Fitted = None
    """What the network was fitted with on this slide: for ``int8``, or to freeze its statistics."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model as a worker finds it."""

    name: str
    """A bundled model's name or a model file's path: workers have the bundled ones in a place of their own."""
    sha256: str
    """Hash that the file must have."""

    def load(self, fitted: Fitted = None) -> LoadedModel:
        """Load it, with what it was fitted with.

        Raises:
            ModelError: if this machine has another model under that name than the one that was planned with.
        """
        model = load_model_file(find_model(self.name), fitted)
        if model.sha256 != self.sha256:
            what = f"model {self.name} is another one here than when the run was planned"
            try_ = "not to replace it during a run, and the same slideseg on all machines"
            raise ModelError(explain(what, got=model.sha256, want=self.sha256, try_=try_))
        return model


@dataclass(frozen=True, slots=True)
class ModelInHand:
    """A model that was given as it is, and travels with the job."""

    name: str
    """What it is called."""
    sha256: str
    """Hash of what decides its results."""
    model: Model = field(compare=False)
    """It."""

    def load(self, fitted: Fitted = None) -> LoadedModel:
        """Return a copy of it, as who runs it takes it to another device or number format; with what it was fitted with."""
        return ready(copy.deepcopy(self.model.as_trained), self.model.info, self.sha256, fitted)


@dataclass(frozen=True, slots=True)
class ModelsTogether:
    """Models that segment together, or one in several views."""

    parts: tuple[ModelFile | ModelInHand, ...]
    """The models."""
    info: ModelInfo = field(compare=False)
    """What there is to say of them together."""
    use: Use
    """In which views they see the image, and how their probabilities are smoothed."""

    @property
    def name(self) -> str:
        """What they are called."""
        return self.info.name

    @property
    def sha256(self) -> str:
        """Hash of what decides their results."""
        return sha256_together([part.sha256 for part in self.parts], self.use)

    def load(self, fitted: Fitted = None) -> LoadedModel:
        """Load them; a single one with what it was fitted with."""
        return together([part.load(fitted) for part in self.parts], self.use)


WholeModel = ModelFile | ModelInHand | ModelsTogether
"""A model as its user gives it."""


@dataclass(frozen=True, slots=True)
class ModelInWindows:
    """A model that can't be tiled exactly, in windows whose probabilities are blended."""

    whole: WholeModel
    """The model."""
    side: int
    """Pixels a side of a window at most."""

    @property
    def name(self) -> str:
        """What it is called."""
        return self.whole.name

    @property
    def sha256(self) -> str:
        """Hash of what decides its results besides the windows."""
        return self.whole.sha256

    def load(self, fitted: Fitted = None) -> LoadedModel:
        """Load it, with what it was fitted with."""
        return in_windows(self.whole.load(fitted), self.side)


ModelSource = WholeModel | ModelInWindows
"""Where a worker gets its model."""


@dataclass(frozen=True, slots=True)
class Job:
    """Everything a worker needs to know."""

    source: Source
    """What is segmented."""
    model: ModelSource
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

    def pieces(self, shard: Shard, network: Architecture) -> list[Box]:
        """Return the boxes of a shard that a network computes, which start on its grid; none where is no tissue."""
        if self.tissue is None:
            return [shard.write_box]
        return self.tissue.pieces(shard.write_box, network.margin, network.stride)

    def at(self, source: Source) -> Job:
        """Return the job with the slide read from another place, such as its temporary copy."""
        return replace(self, source=source)
