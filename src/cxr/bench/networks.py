"""Training steps on the CPU: float32 as PyTorch lays it out, and as our trainings run them."""

from collections.abc import Callable

from cxr.bench.timing import alternating_ms, median_ms, print_pair

STUDY_SIZE, BATCH = 160, 16  # the demo's study classifier
PAPER_SIZE = 64  # the demo's pixels for most networks of the papers
ADAPTED = ("densenet121", "resnet18", "densenet201", "resnet152", "vgg19")  # those that the papers train with Adam
Timed = Callable[..., tuple[float, float]]  # (network, losses, batch, repeats): ms an image, the usual way and ours


def main(repeats: int) -> None:
    """Print a line a network."""
    print("\ntraining step, ms an image: float32, ours, ratio")
    print_pair("study classifier", *study_steps(repeats, training_steps))
    print_pair("Faster R-CNN", *detector_steps(repeats, training_steps))
    print("\nour step, ms an image: new memory filled, as deterministic algorithms have it by default; ours, ratio")
    print_pair("study classifier", *study_steps(repeats, filled_steps))
    print_pair("Faster R-CNN", *detector_steps(repeats, filled_steps))
    for name in ADAPTED:
        print_pair(name, *backbone_steps(name, repeats))
    print("\nthe optimiser's part of a step, ms: PyTorch's default, ours (fused), ratio")
    for name in ADAPTED:
        print_pair(name, *optimizer_steps(name, repeats))


def study_steps(repeats: int, timed: Timed) -> tuple[float, float]:
    """ms an image of the demo's study classifier, both ways."""
    import torch

    from cxr.models.classifiers import StudyNet
    from cxr.profiles import PROFILES

    pixels = torch.randint(0, 255, (BATCH, 1, STUDY_SIZE, STUDY_SIZE), dtype=torch.uint8)
    network = StudyNet(PROFILES["demo"].study)

    def losses() -> list:
        return [value.float().square().mean() for value in network(pixels).values()]

    return timed(network, losses, BATCH, repeats)


def detector_steps(repeats: int, timed: Timed) -> tuple[float, float]:
    """ms an image of the demo's Faster R-CNN, both ways."""
    import torch

    from cxr.models.faster_rcnn import FasterRcnnNet
    from cxr.profiles import PROFILES
    from cxr.training.losses import detection_losses

    settings = PROFILES["demo"].faster_rcnn
    count, size = settings.batch, settings.size
    batch = {
        "pixels": torch.randint(0, 255, (count, 1, size, size), dtype=torch.uint8),
        "boxes_xyxy": [torch.tensor([[0.1, 0.1, 0.4, 0.5], [0.6, 0.2, 0.8, 0.6]]) * size] * count,
        "labels": [torch.ones(2, dtype=torch.long)] * count,
    }
    network = FasterRcnnNet(settings)
    return timed(network, lambda: list(detection_losses(network, batch).values()), count, repeats)


def backbone_steps(name: str, repeats: int) -> tuple[float, float]:
    """ms an image of a network of the papers at the demo's pixels, as `filled_steps` times it."""
    import torch

    from cxr.models.backbones import backbone_features

    network, pixels = backbone_features(name), torch.rand(BATCH, 3, PAPER_SIZE, PAPER_SIZE)
    return filled_steps(network, lambda: [network(pixels).float().square().mean()], BATCH, repeats)


def training_steps(network, losses: Callable[[], list], batch: int, repeats: int) -> tuple[float, float]:
    """ms an image on the CPU: float32 as PyTorch lays it out, then as trainings have it."""
    import torch

    from cxr.training.fit import precision

    network.train()
    plain, fused = (torch.optim.AdamW(network.parameters(), fused=fused) for fused in (False, True))
    usual = median_ms(lambda: one_step(losses, plain, False), repeats) / batch
    network.to(memory_format=torch.channels_last)
    mixed = precision() == "bf16-mixed"
    return usual, median_ms(lambda: one_step(losses, fused, mixed), repeats) / batch


def one_step(losses: Callable[[], list], optimizer, mixed: bool) -> None:
    """Forward, backward, and the optimiser's part."""
    import torch

    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        loss = sum(losses())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def filled_steps(network, losses: Callable[[], list], batch: int, repeats: int) -> tuple[float, float]:
    """ms an image of our step under deterministic algorithms, with and without new memory being filled."""
    import torch

    from cxr.training.fit import precision

    network.train().to(memory_format=torch.channels_last)
    optimizer, mixed = torch.optim.AdamW(network.parameters(), fused=True), precision() == "bf16-mixed"

    def step(filled: bool) -> None:
        torch.utils.deterministic.fill_uninitialized_memory = filled
        one_step(losses, optimizer, mixed)

    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        both = alternating_ms([lambda: step(True), lambda: step(False)], repeats)
    finally:
        torch.use_deterministic_algorithms(False)
    return tuple(ms / batch for ms in both)


def optimizer_steps(name: str, repeats: int) -> tuple[float, float]:
    """ms of Adam's step alone over a network's weights, weight by weight and fused."""
    import torch

    from cxr.models.backbones import backbone_features

    network = backbone_features(name)
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, 1e-3)
    both = (torch.optim.Adam(network.parameters(), fused=fused) for fused in (False, True))
    return tuple(alternating_ms([optimizer.step for optimizer in both], repeats))
