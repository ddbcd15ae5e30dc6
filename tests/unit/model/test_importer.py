"""Importing checkpoints: the same numbers as the public architecture, and nothing that is not plain weights."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from slideseg.errors import ModelError
from slideseg.model.file import load_model_file
from slideseg.model.importer import import_checkpoint


class Pair(nn.Module):
    """Twice convolution, batch norm and ReLU, under the public name ``double_conv``."""

    def __init__(self, c_in, c_out, c_mid=None, *, bias=False, norm=True):
        super().__init__()
        layers = []
        for a, b in ((c_in, c_mid or c_out), (c_mid or c_out, c_out)):
            layers += [nn.Conv2d(a, b, 3, padding=1, bias=bias), *([nn.BatchNorm2d(b)] if norm else []), nn.ReLU()]
        self.double_conv = nn.Sequential(*layers)

    def forward(self, x):
        return self.double_conv(x)


class Down(nn.Module):
    def __init__(self, c_in, c_out, **kwargs):
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), Pair(c_in, c_out, **kwargs))

    def forward(self, x):
        return self.maxpool_conv(x)


class Up(nn.Module):
    def __init__(self, c_in, c_out, *, bilinear, corners, **kwargs):
        super().__init__()
        self.up = (
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=corners)
            if bilinear
            else nn.ConvTranspose2d(c_in, c_in // 2, 2, 2)
        )
        self.conv = Pair(c_in, c_out, c_in // 2 if bilinear else None, **kwargs)

    def forward(self, deep, skip):
        deep = self.up(deep)
        missing = [skip.shape[axis] - deep.shape[axis] for axis in (3, 3, 2, 2)]
        return self.conv(
            torch.cat([skip, F.pad(deep, [m // 2 if i % 2 == 0 else m - m // 2 for i, m in enumerate(missing)])], 1)
        )


class Head(nn.Module):
    def __init__(self, c_in, c_out):
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 1)

    def forward(self, x):
        return self.conv(x)


class PublicUNet(nn.Module):
    """The common public U-Net, written anew: names and numbers as in its checkpoints."""

    def __init__(self, channels=3, classes=2, base=4, depth=4, *, bilinear=False, corners=True, **kwargs):
        super().__init__()
        self.depth = depth
        halved = 2 if bilinear else 1
        widths = [base * 2**i for i in range(depth)] + [base * 2**depth // halved]
        self.inc = Pair(channels, base, **kwargs)
        for i in range(depth):
            setattr(self, f"down{i + 1}", Down(widths[i], widths[i + 1], **kwargs))
        for i in range(depth):
            wide = base * 2 ** (depth - i)
            narrow = wide // 2 if i == depth - 1 else wide // 2 // halved
            setattr(self, f"up{i + 1}", Up(wide, narrow, bilinear=bilinear, corners=corners, **kwargs))
        self.outc = Head(base, classes)

    def forward(self, x):
        skips = [self.inc(x)]
        for i in range(self.depth):
            skips.append(getattr(self, f"down{i + 1}")(skips[-1]))
        x = skips.pop()
        for i in range(self.depth):
            x = getattr(self, f"up{i + 1}")(x, skips.pop())
        return self.outc(x)


def made(seed=0, **kwargs):
    """A public U-Net whose weights are far from nothing and whose batch norms have seen something."""
    torch.manual_seed(seed)
    net = PublicUNet(**kwargs)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    return net.eval()


def saved(tmp_path, content, name="CP_epoch5.pth"):
    path = tmp_path / name
    torch.save(content, path)
    return path


FORMS = {
    "conv": {},
    "conv, biases before the norms": {"bias": True},
    "conv, no norm": {"bias": True, "norm": False},
    "bilinear": {"bilinear": True},
    "bilinear, corners not aligned": {"bilinear": True, "corners": False},
    "bilinear, biases": {"bilinear": True, "bias": True},
    "grey, one class": {"channels": 1, "classes": 1},
    "shallow and wide": {"depth": 2, "base": 12},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_the_numbers_are_those_of_the_public_network(tmp_path, form):
    theirs = made(**form)
    info = import_checkpoint(
        saved(tmp_path, theirs.state_dict()), tmp_path / "m.safetensors", align_corners=form.get("corners", True)
    )
    ours = load_model_file(tmp_path / "m.safetensors")
    x = torch.rand(2, info.config.in_channels, 48, 32)
    with torch.no_grad():
        want, got = theirs(x), ours.module(x)
    assert float(want.std()) > 0.01
    assert float((got - want).abs().max() / want.std()) < 1e-4


def test_what_is_read_off_the_weights(tmp_path):
    path = saved(tmp_path, made(channels=1, classes=3, base=6, bilinear=True).state_dict())
    info = import_checkpoint(path, tmp_path / "m.safetensors", name="cells", classes=["none", "cell", "rim"], mpp=0.5)
    assert (info.config.in_channels, info.config.out_channels, info.config.base_channels, info.config.depth) == (1, 3, 6, 4)
    assert info.config.upsampling == "bilinear-corners"
    assert not info.config.exact
    assert [c.name for c in info.classes] == ["none", "cell", "rim"]
    assert (info.name, info.input.mpp, info.input.mean, info.input.std) == ("cells", 0.5, (0.0,), (1.0,))
    assert load_model_file(tmp_path / "m.safetensors").info == info


def test_names_are_made_up_where_none_are_given(tmp_path):
    info = import_checkpoint(saved(tmp_path, made(classes=1).state_dict()), tmp_path / "m.safetensors")
    assert info.name == "CP_epoch5"
    assert [c.name for c in info.classes] == ["background", "class 1"]


def test_an_image_is_divided_by_white_alone(tmp_path):
    import_checkpoint(saved(tmp_path, made().state_dict()), tmp_path / "m.safetensors")
    image = np.full((2, 2, 3), 51, np.uint8)
    assert torch.allclose(load_model_file(tmp_path / "m.safetensors").preprocess(image), torch.tensor(0.2))


def wrapped(state, prefix):
    return {prefix + key: value for key, value in state.items()}


@pytest.mark.parametrize(
    "dress",
    [
        lambda s: wrapped(s, "module."),
        lambda s: wrapped(s, "_orig_mod."),
        lambda s: wrapped(s, "module._orig_mod."),
        lambda s: {key.replace("maxpool_conv.1.", ""): value for key, value in s.items()},
        lambda s: {
            "loss": 0.25,
            "state_dict": wrapped(s, "module."),
            "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]},
        },
        lambda s: {"epoch": 3, "model_state_dict": s},
        lambda s: s | {"mask_values": [0, 255]},
    ],
    ids=["module", "compiled", "both", "no maxpool_conv", "with optimizer", "with epoch", "with mask values"],
)
def test_every_dress_of_the_same_weights_gives_the_same_model(tmp_path, dress):
    state = dict(made().state_dict())
    import_checkpoint(saved(tmp_path, state), tmp_path / "plain.safetensors")
    import_checkpoint(saved(tmp_path, dress(state)), tmp_path / "dressed.safetensors", name="CP_epoch5")
    x = torch.rand(1, 3, 32, 32)
    plain, dressed = (load_model_file(tmp_path / f"{name}.safetensors") for name in ("plain", "dressed"))
    assert torch.equal(plain.module(x), dressed.module(x))


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("ran-code"),)


def test_code_in_a_pickle_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = saved(tmp_path, made().state_dict() | {"extra": Evil()})
    with pytest.raises(ModelError, match="code or whole objects are refused"):
        import_checkpoint(path, tmp_path / "m.safetensors")
    (tmp_path / "bare.pth").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ModelError, match="can't be read"):
        import_checkpoint(tmp_path / "bare.pth", tmp_path / "m.safetensors")
    assert not (tmp_path / "ran-code").exists()
    assert not (tmp_path / "m.safetensors").exists()


def test_a_whole_network_is_refused(tmp_path):
    with pytest.raises(ModelError, match="code or whole objects are refused"):
        import_checkpoint(saved(tmp_path, made()), tmp_path / "m.safetensors")


def changed(key, change):
    state = dict(made().state_dict())
    state[key] = change(state[key])
    return state


NORM, KERNEL = "inc.double_conv.1.weight", "down1.maxpool_conv.1.double_conv.0.weight"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: changed(NORM, lambda t: t * float("nan")), "is not finite"),
        (lambda: changed(NORM, lambda t: t.double() * 1e300), "is not finite"),
        (lambda: changed(NORM, lambda t: t.to_sparse()), "no plain tensor"),
        (lambda: changed(NORM, lambda t: t.long()), "no plain tensor"),
        (lambda: changed(NORM, lambda t: t.to("meta")), "no plain tensor|can't be read"),
        (lambda: changed(NORM, lambda _: torch.zeros(1).expand(50_000, 50_000)), "larger than its data"),
        (lambda: changed(NORM, lambda t: t[:2]), r"another U-Net \(got encoder.0.norm1.weight \(2,\), want \(4,\)"),
        (lambda: changed(KERNEL, lambda t: t[..., :2]), "another U-Net"),
        (lambda: changed(KERNEL, lambda _: "text"), "holds more than weights"),
        (lambda: changed("inc.double_conv.0.weight", lambda t: t[0]), "is not the common U-Net"),
        (lambda: changed("outc.conv.weight", lambda t: t[:, :, 0, 0]), "is not the common U-Net"),
        (lambda: made().state_dict() | {"attention.weight": torch.ones(1)}, "got a weight attention.weight"),
        (lambda: {k: v for k, v in made().state_dict().items() if not k.startswith("up2")}, "is not the common U-Net"),
        (lambda: {k: v for k, v in made().state_dict().items() if k != "outc.conv.bias"}, "head.bias missing"),
        (lambda: {k: v for k, v in made().state_dict().items() if k != NORM}, "norm1.weight missing"),
        (lambda: {"conv1.weight": torch.ones(2, 2, 3, 3)}, "is not the common U-Net"),
        (dict, "is not the common U-Net"),
        (lambda: [torch.ones(2)], "no state dictionary"),
        (lambda: torch.ones(2), "no state dictionary"),
    ],
)
def test_other_contents_are_refused_in_one_line(tmp_path, content, message):
    with pytest.raises(ModelError, match=message) as caught:
        import_checkpoint(saved(tmp_path, content()), tmp_path / "m.safetensors")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "m.safetensors").exists()


def test_files_that_are_no_checkpoints_are_refused(tmp_path):
    good = saved(tmp_path, made().state_dict()).read_bytes()
    for content in (b"", b"PK\x03\x04 not an archive", b"\x80\x02", good[: len(good) // 2], good[:-30], b"text " * 99):
        (tmp_path / "bad.pth").write_bytes(content)
        with pytest.raises(ModelError, match=r"bad\.pth"):
            import_checkpoint(tmp_path / "bad.pth", tmp_path / "m.safetensors")
    with pytest.raises(ModelError, match="no such checkpoint"):
        import_checkpoint(tmp_path / "missing.pth", tmp_path / "m.safetensors")


def test_a_compressed_archive_is_refused(tmp_path):
    path = saved(tmp_path, {"inc.double_conv.0.weight": torch.zeros(4, 3, 300, 300)})
    with zipfile.ZipFile(path) as plain, zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as packed:
        for entry in plain.infolist():
            packed.writestr(entry.filename, plain.read(entry))
    with pytest.raises(ModelError, match="compressed inside"):
        import_checkpoint(tmp_path / "bomb.pth", tmp_path / "m.safetensors")


def test_a_missing_folder_and_wrong_classes_are_refused(tmp_path):
    path = saved(tmp_path, made().state_dict())
    with pytest.raises(ModelError, match="no such folder"):
        import_checkpoint(path, tmp_path / "none" / "m.safetensors")
    with pytest.raises(ModelError, match="classes don't fit"):
        import_checkpoint(path, tmp_path / "m.safetensors", classes=["background", "cell", "rim"])
    with pytest.raises(ModelError, match="mpp can't be used"):
        import_checkpoint(path, tmp_path / "m.safetensors", mpp=-1)
