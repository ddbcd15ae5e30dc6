"""What a processor would emulate is refused."""

import pytest

from slideseg.errors import ConfigError
from slideseg.model.network import number_format
from slideseg.model.network.number_format import check_format, has_instructions, is_emulated


@pytest.fixture
def processor(tmp_path, monkeypatch):
    """Return a function that gives this machine another x86 processor."""
    for name in number_format.HOLDING:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("SLIDESEG_EMULATE", raising=False)
    monkeypatch.setattr(number_format.platform, "machine", lambda: "x86_64")

    def have(*flags):
        (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: fpu sse2 {' '.join(flags)}\nbogomips\t: 1\n\n" * 2)
        monkeypatch.setattr(number_format, "PROCESSORS", tmp_path / "cpuinfo")

    return have


@pytest.mark.parametrize(
    ("flags", "emulated"),
    [
        (("avx2",), {"bf16", "fp16", "int8"}),
        (("avx2", "avx_vnni"), {"bf16", "fp16"}),
        (("avx2", "avx512f", "avx512_vnni"), {"bf16", "fp16"}),
        (("avx512f", "avx512_bf16", "avx512_vnni"), {"fp16"}),
        (("amx_bf16", "amx_int8", "amx_tile", "avx512_fp16"), set()),
    ],
)
def test_what_is_emulated(processor, flags, emulated):
    processor(*flags)
    assert {name for name in ("fp32", "bf16", "fp16", "int8") if is_emulated(name)} == emulated


def test_it_is_refused_unless_somebody_insists(processor, monkeypatch):
    processor("avx2")
    check_format("fp32", "cpu")
    check_format("bf16", "cuda")
    with pytest.raises(ConfigError, match=r"no bf16: .* \(got precision bf16; try precision fp32, or SLIDESEG_EMULATE=1\)"):
        check_format("bf16", "cpu")
    monkeypatch.setenv("SLIDESEG_EMULATE", "1")
    check_format("bf16", "cpu")
    with pytest.raises(ConfigError, match=r"would cut them off \(got precision int8; try precision fp32\)"):
        check_format("int8", "cpu")  # it would be wrong, not slow


@pytest.mark.parametrize(("held_to", "emulated"), [("avx2", {"bf16", "int8"}), ("avx512_core_vnni", {"bf16"}), ("", set())])
def test_what_onednn_is_held_to_counts(processor, monkeypatch, held_to, emulated):
    processor("avx512f", "avx512_bf16", "avx512_vnni")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", held_to)
    assert {name for name in ("bf16", "int8") if is_emulated(name)} == emulated


def test_the_older_name_counts_where_the_newer_is_not_set(processor, monkeypatch):
    processor("avx512f", "avx512_bf16", "avx512_vnni")
    monkeypatch.setenv("DNNL_MAX_CPU_ISA", "avx2")
    for name in ("bf16", "int8"):
        with pytest.raises(ConfigError, match="oneDNN, held to AVX2 by the environment, has no"):
            check_format(name, "cpu")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "all")
    check_format("int8", "cpu")


def test_of_other_kinds_of_processors_it_is_not_known(processor, monkeypatch):
    processor()
    assert not has_instructions("bf16")
    processor("avx512_bf16")
    assert has_instructions("bf16")
    monkeypatch.setattr(number_format.platform, "machine", lambda: "aarch64")
    assert not is_emulated("bf16")
    assert not has_instructions("bf16")
