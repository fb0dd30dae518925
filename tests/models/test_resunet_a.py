import torch
from layer_shapes import output_shapes

from cxr.models.resunet_a import AtrousBlock, PyramidPooling, ResUNetA, greatest_of_parts


def dilations(block: AtrousBlock) -> tuple[int, ...]:
    return tuple(branch[2].dilation[0] for branch in block.branches)


def test_levels_and_dilations_are_those_of_d6():
    with torch.device("meta"):
        network = ResUNetA()
    assert output_shapes(network, (AtrousBlock, PyramidPooling), 256) == [
        *[(256, 256, 32), (128, 128, 64), (64, 64, 128), (32, 32, 256), (16, 16, 512), (8, 8, 1024)],
        (8, 8, 1024),  # the pyramid at the bottom: 8 x 8 parts of one pixel
        *[(16, 16, 512), (32, 32, 256), (64, 64, 128), (128, 128, 64), (256, 256, 32)],
        (256, 256, 32),
    ]
    far = (1, 3, 15, 31)
    assert [dilations(block) for block in network.blocks] == [far, far, (1, 3, 15), (1, 3, 5), (1,), (1,)]
    assert [dilations(block) for block in network.up] == [(1, 3, 5), (1, 3, 15), far, far, far]


def test_a_block_reaches_as_far_as_its_dilations():
    torch.manual_seed(0)
    x = torch.randn(1, 4, 1, 129)
    moved = x.clone()
    moved[0, :, 0, 64] += 1.0
    block = AtrousBlock(4, (1, 31)).eval()
    columns = (block(moved) - block(x)).abs().sum((0, 1, 2)).nonzero().flatten() - 64
    # two 3x3 convolutions after each other: -2..2 of dilation 1, and -62, -31, 0, 31, 62 of dilation 31
    assert columns.tolist() == [-62, -31, -2, -1, 0, 1, 2, 31, 62]


def test_each_pixel_sees_the_greatest_value_of_its_part():
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert greatest_of_parts(x, 1).eq(15).all()
    assert greatest_of_parts(x, 2)[0, 0].tolist() == [[5, 5, 7, 7], [5, 5, 7, 7], [13, 13, 15, 15], [13, 13, 15, 15]]
    assert greatest_of_parts(x, 4).equal(x) and greatest_of_parts(x, 8).equal(x), "no part is smaller than a pixel"


def test_a_side_that_cannot_be_parted_evenly_has_a_smaller_last_part():
    x = torch.arange(15.0).reshape(1, 1, 3, 5)  # parts of 2 x 3 pixels
    assert greatest_of_parts(x, 2)[0, 0].tolist() == [[7, 7, 7, 9, 9], [7, 7, 7, 9, 9], [12, 12, 12, 14, 14]]
    side = torch.arange(123.0).reshape(1, 1, 1, 123)  # parts of 41: the end of each is 40, 81, 122
    assert greatest_of_parts(side, 3)[0, 0, 0].tolist() == [40.0] * 41 + [81.0] * 41 + [122.0] * 41


def test_the_pyramid_lets_every_pixel_know_of_every_other():
    torch.manual_seed(0)
    pyramid, x = PyramidPooling(4, 8).eval(), torch.rand(1, 4, 16, 16)
    moved = x.clone()
    moved[0, :, 0, 0] = 10.0
    assert (pyramid(moved) - pyramid(x)).abs().sum(1).gt(0).all()
