"""timm's residual networks as backbones, `timm:NAME`: ResNet and its kin, ConvNeXt, and vision transformers.

A network is taken apart into blocks whose two branches can run apart; its own modules compute, so its features are
timm's (those of `forward_features` before any last norm). `timm:NAME@8` asks for an output stride, where timm offers it.
Transformers run without a class token, on maps: each layer is two blocks, attention and MLP, whose sums end in nothing.
Widths, initial weights and norms are timm's; batch norms are made by `norm`, per domain where tasks have own inputs.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mtlbench.backbones.base import Architecture, Backbone, Block, Norm, StreamNorm
from mtlbench.backbones.on_maps import OnTokens, Patches, Permuted, Scaled
from mtlbench.errors import CheckpointError, ConfigError, unknown

STAGES = 4  # into which a transformer's layers are divided


class Ending(Block):
    """A block that ends in a module of its own: an activation, or nothing."""

    def __init__(
        self,
        branch: nn.Module,
        projection: nn.Module | None = None,
        entry: nn.Module | None = None,
        ending: nn.Module | None = None,
    ) -> None:
        super().__init__(branch, projection, entry)
        self.ending = ending

    def end(self, x: Tensor) -> Tensor:
        return x if self.ending is None else self.ending(x)


class TimmBackbone(Backbone):
    """A network of timm's taken apart; `keys` are timm's names of its tensors, by ours."""

    initialised = True
    keys: Mapping[str, str]
    transform: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] | None = None

    def read(self, weights: Mapping[str, Tensor], source: str) -> None:
        """Take in a state dict of timm's for the same network; its classifier is not looked at."""
        given = weights if self.transform is None else self.transform(weights)
        for name, value in self.state_dict().items():
            key = self.keys[name]
            if key not in given:
                raise CheckpointError(
                    f"{source}: no tensor '{key}' (timm's state dict of the same network is expected)"
                )
            if given[key].shape != value.shape:
                shapes = f"{tuple(given[key].shape)}, the backbone needs {tuple(value.shape)}"
                raise CheckpointError(f"{source}: '{key}' has shape {shapes}")
            value.copy_(given[key])


def family(spec: str) -> Callable[[Architecture, Norm], Backbone]:
    """timm's ResNets and their kin, ConvNeXts and vision transformers, taken apart into residual blocks.

    `timm:NAME` is a network by timm's name, `timm:NAME@8` with an output stride; needs the extra `mtlbench[timm]`.
    """
    return partial(make, spec)


def make(spec: str, architecture: Architecture, norm: Norm) -> Backbone:
    """Build a network and take it apart. Raises UnknownName, or ConfigError for one that has no such form."""
    timm = _timm()
    name, at, stride = spec.partition("@")
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=8, cutoff=0.5)  # of more than a thousand
        raise unknown("network of timm", name, near or ["resnet18", "convnext_atto", "vit_tiny_patch16_224"])
    _fits(spec, architecture, bool(at), stride)
    kind = _kind(timm, name)
    options = {"output_stride": int(stride)} if at else {}
    try:
        model = timm.create_model(
            name, num_classes=0, in_chans=architecture.shape[0], **kind.options(architecture, name), **options
        )
    except (TypeError, AssertionError, NotImplementedError, RuntimeError) as error:
        raise ConfigError(f"timm cannot build '{spec}' for {architecture.shape}: {error}") from error
    names = {id(t): n for n, t in [*model.named_parameters(), *model.named_buffers()]}
    backbone: TimmBackbone = kind.apart(model, name)
    _per_domain(backbone, norm, names)
    backbone.keys = {n: names[id(t)] for n, t in backbone.state_dict(keep_vars=True).items()}
    return backbone


def _timm() -> Any:
    from mtlbench.backbones import vision  # noqa: F401 - torchvision beside a CPU-only torch, before timm imports it

    try:
        import timm
    except ImportError as error:
        raise ConfigError("timm's networks need the 'timm' extra (pip install 'mtlbench[timm]')") from error
    return timm


def _fits(spec: str, architecture: Architecture, strided: bool, stride: str) -> None:
    if len(architecture.shape) != 3:
        raise ConfigError(f"timm:{spec} reads images, the data's inputs have the shape {architecture.shape}")
    if architecture.width != 1:
        raise ConfigError(
            f"width is {architecture.width:g} (allowed for timm:{spec}: 1, by --width 1: its networks have their own widths)"
        )
    if strided and stride not in ("8", "16", "32"):
        raise ConfigError(f"output stride of timm:{spec} is '{stride}' (allowed: 8, 16, 32)")


class _Residual:
    """ResNet and its kin."""

    @staticmethod
    def options(architecture: Architecture, name: str) -> dict[str, Any]:
        return {}

    @staticmethod
    def apart(model: Any, name: str) -> TimmBackbone:
        stem = nn.Sequential(model.conv1, model.bn1, model.act1, model.maxpool)
        layers = (model.layer1, model.layer2, model.layer3, model.layer4)
        stages = [[_Residual.block(b, name) for b in layer] for layer in layers]
        info = model.feature_info
        first = info[0]["num_chs"]
        return TimmBackbone(stem, stages, (first, *(i["num_chs"] for i in info[1:])), info[-1]["reduction"])

    @staticmethod
    def block(block: Any, name: str) -> Block:
        from timm.models.resnet import BasicBlock, Bottleneck

        _known(block, (BasicBlock, Bottleneck), name)
        parts: tuple[Any, ...]
        if isinstance(block, BasicBlock):
            parts = (block.conv1, block.bn1, block.drop_block, block.act1, block.aa, block.conv2, block.bn2)
            end = block.act2
        else:
            first = (block.conv1, block.bn1, block.act1)
            middle = (block.conv2, block.bn2, block.drop_block, block.act2, block.aa)
            parts, end = (*first, *middle, block.conv3, block.bn3), block.act3
        present = [p for p in (*parts, block.se, block.drop_path) if p is not None and type(p) is not nn.Identity]
        return Ending(nn.Sequential(*present), block.downsample, ending=_fresh(end))


class _ConvNeXt:
    """ConvNeXt: what halves the size between stages is read by both branches of a stage's first block."""

    options = _Residual.options

    @staticmethod
    def apart(model: Any, name: str) -> TimmBackbone:
        stages = [list(_ConvNeXt.stage(stage, name)) for stage in model.stages]
        info = model.feature_info
        channels = (info[0]["num_chs"], *(i["num_chs"] for i in info))
        return TimmBackbone(model.stem, stages, channels, info[-1]["reduction"])

    @staticmethod
    def stage(stage: Any, name: str) -> Iterator[Block]:
        from timm.models.convnext import ConvNeXtBlock

        for index, block in enumerate(stage.blocks):
            _known(block, (ConvNeXtBlock,), name)
            inner = [block.norm, *block.mlp.children()]
            if not block.use_conv_mlp:
                inner = [Permuted(0, 2, 3, 1), *inner, Permuted(0, 3, 1, 2)]
            scale = [] if block.gamma is None else [Scaled(block.gamma)]
            branch = [m for m in (block.conv_dw, *inner, *scale, block.drop_path) if type(m) is not nn.Identity]
            entry = stage.downsample if index == 0 and not isinstance(stage.downsample, nn.Identity) else None
            projection = None if isinstance(block.shortcut, nn.Identity) else block.shortcut
            yield Ending(nn.Sequential(*branch), projection, entry)


class _Transformer:
    """Vision transformers without a class token."""

    @staticmethod
    def options(architecture: Architecture, name: str) -> dict[str, Any]:
        return {"img_size": architecture.shape[1:], "class_token": False, "global_pool": "avg"}

    @staticmethod
    def apart(model: Any, name: str) -> TimmBackbone:
        if model.num_prefix_tokens or getattr(model.patch_embed, "flatten", True) is False:
            raise ConfigError(f"timm:{name} has tokens beside its patches, which no map can hold")
        size, patch = model.patch_embed.img_size, model.patch_embed.patch_size
        if any(s % p for s, p in zip(size, patch, strict=True)) or patch[0] != patch[1]:
            raise ConfigError(f"timm:{name} cuts patches of {patch}, which do not divide an image of {tuple(size)}")
        blocks = [part for block in model.blocks for part in _Transformer.layer(block, name)]
        depth = len(model.blocks)
        ends = [2 * round(depth * (s + 1) / STAGES) for s in range(STAGES)]
        stages = [blocks[a:b] for a, b in zip([0, *ends], ends, strict=False) if b > a]
        backbone = TimmBackbone(Patches(model), stages, (model.embed_dim,) * (len(stages) + 1), patch[0])
        backbone.transform = partial(_without_class_token, backbone.stem.grid)  # type: ignore[arg-type]
        return backbone

    @staticmethod
    def layer(block: Any, name: str) -> tuple[Block, Block]:
        from timm.models.vision_transformer import Block as Layer

        _known(block, (Layer,), name)
        attention = OnTokens(block.norm1, block.attn, block.ls1, block.drop_path1)
        inner = (block.norm2, *block.mlp.children(), block.ls2, block.drop_path2)
        kept = [m for m in inner if type(m) is not nn.Identity]
        mlp = nn.Sequential(Permuted(0, 2, 3, 1), *kept, Permuted(0, 3, 1, 2))
        return Ending(attention), Ending(mlp)


def _without_class_token(grid: tuple[int, int], weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Published weights without what belongs to a class token, and positions brought to this grid as timm does it."""
    from timm.layers.pos_embed import resample_abs_pos_embed

    given = dict(weights)
    positions = given.get("pos_embed")
    if positions is not None:
        extra = int("cls_token" in given) + (given["reg_token"].shape[1] if "reg_token" in given else 0)
        count = positions.shape[1] - extra
        if math.isqrt(count) ** 2 == count:  # else the positions hold none of the extra tokens
            positions = positions[:, extra:]
        if positions.shape[1] != grid[0] * grid[1]:
            positions = resample_abs_pos_embed(positions, new_size=list(grid), num_prefix_tokens=0)
        given["pos_embed"] = positions
    return given


def _kind(timm: Any, name: str) -> Any:
    """How a network is taken apart, by its class; it is asked on the meta device, where nothing is computed."""
    from timm.models.convnext import ConvNeXt
    from timm.models.resnet import ResNet
    from timm.models.vision_transformer import VisionTransformer

    with torch.device("meta"):
        try:
            found: Any = type(timm.create_model(name, num_classes=0))
        except (RuntimeError, NotImplementedError):  # it reads its weights while it is built
            found = None
    kinds = {ResNet: _Residual, ConvNeXt: _ConvNeXt, VisionTransformer: _Transformer}
    if found not in kinds:
        what = "a network" if found is None else f"a {found.__name__}"
        allowed = "timm's ResNet, ConvNeXt and VisionTransformer networks"
        raise ConfigError(f"timm:{name} is {what} that cannot be taken apart into residual blocks (allowed: {allowed})")
    return kinds[found]


def _known(block: nn.Module, kinds: Sequence[type], name: str) -> None:
    if type(block) not in kinds:
        allowed = ", ".join(k.__name__ for k in kinds)
        raise ConfigError(
            f"timm:{name} has blocks of {type(block).__name__}, not taken apart here (allowed: {allowed})"
        )


def _fresh(activation: nn.Module) -> nn.Module:
    """An activation that does not write into its input: at a block's end that may be the block's own input."""
    if getattr(activation, "inplace", False):
        activation.inplace = False  # type: ignore[assignment]
    return activation


def _per_domain(backbone: nn.Module, norm: Norm, names: dict[int, str]) -> None:
    """Every plain batch norm made by `norm`, of timm's eps and momentum; what replaces a tensor takes over its name."""
    for module in list(backbone.modules()):
        for name, child in list(module.named_children()):
            if type(child) is not nn.BatchNorm2d:
                continue
            made = norm(child.num_features)
            for own in made.norms if isinstance(made, StreamNorm) else [made]:
                own.eps, own.momentum = child.eps, child.momentum  # type: ignore[assignment]
                before = dict(child.state_dict(keep_vars=True))
                for key, value in own.state_dict(keep_vars=True).items():
                    value.data.copy_(before[key].data)
                    names[id(value)] = names[id(before[key])]
            setattr(module, name, made)
