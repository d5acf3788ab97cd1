"""The same VGG19 in PyTorch, eager, channels last. precision: fp32 or bf16."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.plain import Head, Script
from benchmarks.peers.protocol import Images, Peer, serve

CONVOLUTIONS = (2, 2, 4, 4, 3)
MEAN_BGR = (103.939, 116.779, 123.68)


def load(stem: Path, precision: str, keep: Path) -> Peer:
    del keep
    import torch
    from torch import nn

    layers: list[Any] = []
    with np.load(f"{stem}.npz") as arrays:
        for block, convolutions in enumerate(CONVOLUTIONS, 1):
            layers += [nn.MaxPool2d(2)] if block > 1 else []
            for index in range(1, convolutions + 1):
                kernel, bias = (arrays[f"block{block}_conv{index}/{part}"] for part in ("kernel", "bias"))
                layer = nn.Conv2d(*kernel.shape[2:], 3, padding=1)
                layer.weight.data = torch.tensor(kernel.transpose(3, 2, 0, 1))
                layer.bias.data = torch.tensor(bias)
                layers += [layer, nn.ReLU(inplace=True)]
        dense, output = (
            [torch.tensor(arrays[f"{name}/{part}"]) for part in ("kernel", "bias")] for name in ("dense", "logits")
        )
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    network = nn.Sequential(*layers).to(kind, memory_format=torch.channels_last).eval()
    mean = torch.tensor(MEAN_BGR).view(1, 3, 1, 1)

    torch.set_grad_enabled(False)

    def ask(image: Images) -> tuple[Any, Any]:
        planes = torch.from_numpy(image).permute(2, 0, 1)[None].float() - mean
        activations = network(planes.to(kind, memory_format=torch.channels_last)).float()
        hidden = activations.mean(dim=(2, 3)) @ dense[0] + dense[1]
        logits = hidden @ output[0] + output[1]
        return logits[0].numpy(), activations[0].permute(1, 2, 0).numpy()

    return Script(("torch",), Head.load(stem), ask)


if __name__ == "__main__":
    serve(load)
