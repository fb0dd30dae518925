import torch
from layer_shapes import output_shapes
from torchvision.models.vgg import cfgs, make_layers

from cxr.models.backbones import load_backbone
from cxr.models.trans_resunet import PathBlock, TransResUNet


def test_the_parameters_are_as_many_as_in_the_authors_notebook():
    with torch.device("meta"):
        network = TransResUNet()
    assert sum(parameter.numel() for parameter in network.parameters()) == 5_869_383


def test_paths_have_one_block_fewer_at_each_coarser_level():
    with torch.device("meta"):
        network = TransResUNet()
    assert output_shapes(network, (PathBlock,), 512) == [
        (128, 128, 128),
        *[(256, 256, 64)] * 2,
        *[(512, 512, 32)] * 3,
    ]


def test_the_encoder_takes_the_weights_of_a_torchvision_vgg16():
    torch.manual_seed(0)
    vgg16 = {f"features.{name}": value for name, value in make_layers(cfgs["D"]).state_dict().items()}
    network = TransResUNet()
    assert load_backbone(network.encoder, vgg16, "vgg16.pth") == 14  # weights and biases of seven convolutions
    torch.testing.assert_close(network.encoder[14].weight, vgg16["features.14.weight"])
