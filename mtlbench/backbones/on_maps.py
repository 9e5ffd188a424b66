"""Parts of transformers and ConvNeXt that work on maps (B, C, h, w), as every block's features are here."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class Permuted(nn.Module):
    """(B, C, h, w) -> (B, h, w, C), or back."""

    def __init__(self, *order: int) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(self.order)


class Scaled(nn.Module):
    """Channels (B, C, h, w) times a learned factor each: ConvNeXt's layer scale."""

    def __init__(self, gamma: nn.Parameter) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma.view(1, -1, 1, 1)


class OnTokens(nn.Module):
    """Modules over tokens (B, h w, C), on a map (B, C, h, w)."""

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.inner = nn.Sequential(*modules)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(x.shape)  # type: ignore[no-any-return]


class Patches(nn.Module):
    """A transformer's start: patches, positions, and what comes before its layers: (B, 3, H, W) -> (B, C, h, w)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.patch_embed, self.pos_embed = model.patch_embed, model.pos_embed
        self.after = nn.Sequential(model.pos_drop, model.patch_drop, model.norm_pre)
        self.grid = tuple(model.patch_embed.grid_size)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patch_embed(x)
        tokens = self.after(tokens if self.pos_embed is None else tokens + self.pos_embed)
        return tokens.transpose(1, 2).reshape(len(x), -1, *self.grid)  # type: ignore[no-any-return]
