"""Training steps on the CPU: float32 as PyTorch lays it out, and as our trainings run them."""

from collections.abc import Callable

from cxr.bench.timing import alternating_ms, median_ms, print_pair

STUDY_SIZE, BATCH = 160, 16  # the demo's study classifier
ADAPTED = ("densenet121", "resnet18", "densenet201", "resnet152", "vgg19")  # those that the papers train with Adam


def main(repeats: int) -> None:
    """Print a line a network."""
    print("\ntraining step, ms an image: float32, ours, ratio")
    print_pair("study classifier", *study_steps(repeats))
    print_pair("Faster R-CNN", *detector_steps(repeats))
    print("\nthe optimiser's part of a step, ms: PyTorch's default, ours (fused), ratio")
    for name in ADAPTED:
        print_pair(name, *optimizer_steps(name, repeats))


def study_steps(repeats: int) -> tuple[float, float]:
    """ms an image of the demo's study classifier, as `training_steps` times it."""
    import torch

    from cxr.models.classifiers import StudyNet
    from cxr.profiles import PROFILES

    pixels = torch.randint(0, 255, (BATCH, 1, STUDY_SIZE, STUDY_SIZE), dtype=torch.uint8)
    network = StudyNet(PROFILES["demo"].study)

    def losses() -> list:
        return [value.float().square().mean() for value in network(pixels).values()]

    return training_steps(network, losses, BATCH, repeats)


def detector_steps(repeats: int) -> tuple[float, float]:
    """ms an image of the demo's Faster R-CNN."""
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
    return training_steps(network, lambda: list(detection_losses(network, batch).values()), count, repeats)


def training_steps(network, losses: Callable[[], list], batch: int, repeats: int) -> tuple[float, float]:
    """ms an image on the CPU: float32 as PyTorch lays it out, then as trainings have it."""
    import torch

    from cxr.training.fit import precision

    network.train()
    plain, fused = (torch.optim.AdamW(network.parameters(), fused=fused) for fused in (False, True))

    def step(optimizer: torch.optim.Optimizer, mixed: bool) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            loss = sum(losses())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    usual = median_ms(lambda: step(plain, False), repeats) / batch
    network.to(memory_format=torch.channels_last)
    mixed = precision() == "bf16-mixed"
    return usual, median_ms(lambda: step(fused, mixed), repeats) / batch


def optimizer_steps(name: str, repeats: int) -> tuple[float, float]:
    """ms of Adam's step alone over a network's weights, weight by weight and fused."""
    import torch

    from cxr.models.backbones import backbone_features

    network = backbone_features(name)
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, 1e-3)
    both = (torch.optim.Adam(network.parameters(), fused=fused) for fused in (False, True))
    return tuple(alternating_ms([optimizer.step for optimizer in both], repeats))
