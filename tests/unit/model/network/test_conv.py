"""The bits of a convolution do not depend on what is around a pixel."""

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from slideseg.model.network.conv import Conv


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_part_of_an_image_is_convolved_to_the_bits_of_the_whole(data):
    """Whatever its size, layout and place, with any number of channels and threads: PyTorch's own choice fails here."""
    channels, kernels = (data.draw(st.sampled_from([1, 2, 3, 5, 8, 16, 24, 33])) for _ in range(2))
    side = data.draw(st.sampled_from([1, 2, 3]))
    torch.manual_seed(data.draw(st.integers(0, 99)))
    conv = Conv(torch.randn(kernels, channels, side, side), torch.randn(kernels), relu=data.draw(st.booleans()))
    height, width = (data.draw(st.integers(8, 90)) for _ in range(2))
    y0, x0 = (data.draw(st.integers(0, length - 1)) for length in (height, width))
    y1, x1 = data.draw(st.integers(y0 + 1, height)), data.draw(st.integers(x0 + 1, width))
    x = torch.randn(1, channels, height + side - 1, width + side - 1).contiguous(memory_format=torch.channels_last)
    under = torch.randn(1, kernels, height, width).contiguous(memory_format=torch.channels_last)
    part, threads = x[..., y0 : y1 + side - 1, x0 : x1 + side - 1], torch.get_num_threads()
    with torch.no_grad():
        whole, added = conv(x), conv.add_to(under.clone(memory_format=torch.channels_last), x)
        try:
            torch.set_num_threads(data.draw(st.sampled_from([1, 2])))
            assert torch.equal(conv(part), whole[..., y0:y1, x0:x1])
            own = torch.empty_like(under[..., y0:y1, x0:x1], memory_format=torch.channels_last).copy_(under[..., y0:y1, x0:x1])
            assert torch.equal(conv.add_to(own, part), added[..., y0:y1, x0:x1])
        finally:
            torch.set_num_threads(threads)


def test_with_gradients_it_is_pytorch_s():
    conv, x = Conv(torch.randn(3, 2, 3, 3), torch.randn(3)), torch.randn(1, 2, 8, 9, requires_grad=True)
    out = conv(x)
    assert torch.allclose(out, F.conv2d(x, conv.weight, conv.bias).relu(), atol=1e-5)
    out.sum().backward()
    assert x.grad is not None
    assert bool(x.grad.any())
