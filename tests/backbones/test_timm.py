"""timm's networks taken apart: their features are timm's own, weights come from its state dicts, and methods run on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mtlbench import plugins
from mtlbench.backbones import Architecture, Build, vision  # noqa: F401 - before timm: torchvision beside a CPU-only torch
from mtlbench.backbones.build import pretrained_weights
from mtlbench.cli.app import main
from mtlbench.config import parse
from mtlbench.errors import CheckpointError, ConfigError, UnknownName
from mtlbench.method import Budget, Method, Where
from tests.helpers.command import DISCS
from tests.helpers.networks import TASKS, begun

timm = pytest.importorskip("timm")
SHAPE = (3, 64, 96)
RESNET, CONVNEXT, VIT = "timm:resnet18", "timm:convnext_atto", "timm:vit_tiny_patch16_224"
OWN = {"class_token": False, "global_pool": "avg", "img_size": SHAPE[1:]}


def built(spec: str, shape: tuple[int, ...] = SHAPE, **settings: Any) -> Build:
    streams = settings.pop("streams", ("all",))
    made = settings.pop("weights", None), settings.pop("source", "")
    return Build(Architecture(spec, shape, **settings), plugins.load("backbones", spec), 0, streams, *made)


def reference(spec: str, **options: Any) -> Any:
    """timm's own network, its batch norms with statistics that are not the initial ones."""
    torch.manual_seed(1)
    options = {**(OWN if "patch" in spec else {}), **options}
    network = timm.create_model(spec.removeprefix("timm:").partition("@")[0], num_classes=0, **options)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    for name, parameter in network.named_parameters():
        if "gamma" in name:
            nn.init.uniform_(parameter, 0.5, 1.5)  # 1e-6 would hide every branch
    return network.eval()


def features(network: Any, x: Tensor) -> Tensor:
    """timm's last features before any last norm, as a map."""
    return network.forward_intermediates(x, indices=1, norm=False, output_fmt="NCHW", intermediates_only=True)[-1]


def close(ours: Tensor, theirs: Tensor) -> None:
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= 1e-6 * max(1.0, theirs.abs().max().item())


@torch.inference_mode()
@pytest.mark.parametrize(
    ("spec", "options"),
    [
        (RESNET, {}),
        ("timm:resnet18@8", {"output_stride": 8}),
        ("timm:resnet26", {}),  # bottlenecks
        ("timm:seresnet18", {}),
        (CONVNEXT, {}),  # convolutions in its MLPs
        ("timm:convnext_atto_ols", {}),
        ("timm:convnext_zepto_rms", {}),
        ("timm:convnextv2_atto", {}),
        (VIT, {}),
        ("timm:deit3_small_patch16_224", {}),  # scales its layers
    ],
)
def test_features_are_timms_own(spec: str, options: dict[str, Any], tmp_path: Path) -> None:
    theirs = reference(spec, **options)
    torch.save(theirs.state_dict(), tmp_path / "weights.pth")
    weights, source = pretrained_weights(spec, str(tmp_path / "weights.pth"))
    backbone = built(spec, weights=weights, source=source).backbone().eval()
    x = torch.randn(2, *SHAPE)
    ours = backbone(x)
    close(ours, features(theirs, x))
    assert (backbone.channels[-1], backbone.stride) == (ours.shape[1], SHAPE[1] // ours.shape[2])
    after = backbone.stem(x)
    for channels, stage in zip(backbone.channels, [None, *backbone.stages], strict=True):
        after = after if stage is None else stage(after)
        assert after.shape[1] == channels


@torch.inference_mode()
@pytest.mark.parametrize("spec", [RESNET, CONVNEXT, VIT])
def test_multiply_adds_and_parameters_are_timms_own(spec: str) -> None:
    backbone, theirs = built(spec).backbone().eval(), reference(spec)
    counts = []
    for network in (backbone, theirs):
        with FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, *SHAPE))
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1] > 0
    last = sum(p.numel() for n, p in theirs.named_parameters() if n.startswith(("norm.", "fc_norm.", "head.")))
    assert sum(p.numel() for p in backbone.parameters()) == sum(p.numel() for p in theirs.parameters()) - last


@torch.inference_mode()
def test_published_transformers_lose_their_class_token_and_keep_their_positions(tmp_path: Path) -> None:
    published = timm.create_model(VIT.removeprefix("timm:"))  # 224 x 224 and a class token
    backbone = built(VIT, (3, 224, 224), weights=published.state_dict(), source="file").backbone().eval()
    assert torch.equal(backbone.stem.pos_embed, published.pos_embed[:, 1:])
    other = built(VIT, weights=published.state_dict(), source="file").backbone().eval()  # another size: resampled
    theirs = timm.create_model(VIT.removeprefix("timm:"), num_classes=0, **OWN)
    from timm.models.vision_transformer import checkpoint_filter_fn

    kept = {k: v for k, v in published.state_dict().items() if k != "cls_token"}
    kept["pos_embed"] = kept["pos_embed"][:, 1:]
    theirs.load_state_dict(checkpoint_filter_fn(kept, theirs), strict=False)
    close(other.stem.pos_embed, theirs.pos_embed)


METHODS = ("hard-sharing", "adashare", "cross-stitch", "nddr", "mtan", "den", "stochastic-depth")


@pytest.mark.parametrize("spec", [RESNET, CONVNEXT, VIT])
@pytest.mark.parametrize("name", METHODS)
def test_methods_train_and_deploy_on_it(name: str, spec: str) -> None:
    cls = plugins.load("methods", name)

    def make() -> Method:
        return cls(parse(cls.Options, {}, name), built(spec, (3, 32, 32), head=8), TASKS[:2])  # type: ignore[no-any-return]

    if (name, spec) == ("den", VIT):
        with pytest.raises(ConfigError, match=r"den narrows .* a branch of OnTokens has none between two"):
            make()
        return
    method = make()
    names, x = tuple(t.name for t in TASKS[:2]), torch.randn(2, 3, 32, 32)
    phases = begun(method, Budget(40, {"train": 10, "train-a": 8, "train-b": 2}))
    method.where = Where(39, phases[-1].name)
    sum(o.square().mean() for o in method.train()(x, names).values()).backward()
    moved = [
        n for n, p in method.named_parameters() if n.startswith(("backbone", "network.backbone")) and p.grad is not None
    ]
    assert len(moved) > 20
    with torch.inference_mode():
        whole, kept = method.eval()(x, names), method.deployed().eval()(x, names)
    for task in names:
        torch.testing.assert_close(kept[task], whole[task])


@torch.inference_mode()
@pytest.mark.parametrize("spec", [RESNET, CONVNEXT, VIT])
def test_a_skipped_block_is_its_shortcut(spec: str) -> None:
    cls = plugins.load("methods", "adashare")
    build = built(spec, (3, 32, 32), head=8)
    depth = len(build.backbone().blocks)
    row = [index % 3 != 0 for index in range(depth)]  # the first block of every second stage among those skipped
    options = parse(cls.Options, {"policy": ",".join(["".join("01"[r] for r in row)] * 2)}, "adashare")
    method = cls(options, build, TASKS[:2]).eval()
    x = method.backbone.stem(images := torch.randn(2, 3, 32, 32))
    for block, executes in zip(method.backbone.blocks, row, strict=True):
        y = x if block.entry is None else block.entry(x)
        short = y if block.projection is None else block.projection(y)
        x = block.end(short + block.branch(y)) if executes else short
    found = method.deployed().eval()(images, ("segmentation",))["segmentation"]
    torch.testing.assert_close(found, method.heads["segmentation"](x))


@torch.inference_mode()
def test_domains_have_statistics_of_their_own() -> None:
    build = built(RESNET, (3, 32, 32), streams=("photo", "sketch"))
    backbone, x = build.backbone(), torch.randn(4, 3, 32, 32)
    build.stream = "sketch"
    backbone.train()(x)
    backbone.eval()
    outputs = {}
    for build.stream in ("photo", "sketch"):
        outputs[build.stream] = backbone(x)
    assert not torch.allclose(outputs["photo"], outputs["sketch"])
    weights = reference(RESNET).state_dict()
    filled = built(RESNET, (3, 32, 32), streams=("photo", "sketch"), weights=weights, source="file").backbone().eval()
    close(filled(x), features(reference(RESNET), x))


def test_equal_seeds_give_equal_weights_that_are_timms() -> None:
    one, other = (built(VIT).backbone().state_dict() for _ in range(2))
    assert all(torch.equal(one[n], other[n]) for n in one)
    assert one["stages.0.0.branch.inner.1.qkv.weight"].std() < 0.03  # truncated normal of .02, not the study's kaiming


@pytest.mark.parametrize(
    ("spec", "shape", "width", "message"),
    [
        ("timm:resnet19", SHAPE, 1.0, "unknown network of timm 'resnet19'; did you mean 'resnet1"),
        ("timm:efficientnet_b0", SHAPE, 1.0, "is a EfficientNet that cannot be taken apart into residual blocks"),
        ("timm:swin_tiny_patch4_window7_224", SHAPE, 1.0, "is a SwinTransformer that cannot be taken apart"),
        (VIT, (3, 60, 64), 1.0, r"cuts patches of \(16, 16\), which do not divide an image of \(60, 64\)"),
        (f"{VIT}@8", SHAPE, 1.0, "timm cannot build 'vit_tiny_patch16_224@8'"),
        ("timm:resnet18@7", SHAPE, 1.0, r"output stride of timm:resnet18@7 is '7' \(allowed: 8, 16, 32\)"),
        (RESNET, SHAPE, 0.5, r"width is 0.5 \(allowed for timm:resnet18: 1, by --width 1:"),
        (RESNET, (1014,), 1.0, r"timm:resnet18 reads images, the data's inputs have the shape \(1014,\)"),
    ],
)
def test_what_cannot_be_taken_apart_is_refused_by_name(spec, shape, width, message):
    with pytest.raises((ConfigError, UnknownName), match=message) as raised:
        built(spec, shape, width=width).backbone()
    assert len(str(raised.value)) < 400


def test_weights_that_do_not_fit_are_refused():
    weights = reference(RESNET).state_dict()
    del weights["layer3.0.conv1.weight"]
    with pytest.raises(CheckpointError, match=r"file: no tensor 'layer3.0.conv1.weight' \(timm's state dict"):
        built(RESNET, weights=weights, source="file").backbone()
    other = reference(RESNET).state_dict() | {"conv1.weight": torch.zeros(8, 3, 7, 7)}
    with pytest.raises(
        CheckpointError, match=r"'conv1.weight' has shape \(8, 3, 7, 7\), the backbone needs \(64, 3, 7, 7\)"
    ):
        built(RESNET, weights=other, source="file").backbone()
    with pytest.raises(CheckpointError, match="takes its weights from a file"):
        pretrained_weights(RESNET, None)


def test_a_study_from_the_command_line_and_its_network_back(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = [
        "run",
        "--methods",
        "hard-sharing",
        "--dataset",
        DISCS,
        "--set",
        "discs.images=12",
        "--set",
        "run.head=4",
    ]
    command += ["--steps", "1", "--workers", "1", "--device", "cpu", "--no-report", "--no-latency", "--width", "1"]
    assert main([*command, "--backbone", "timm:resnet10t"]) == 0
    (folder,) = Path("results/records").iterdir()
    own = ["--plugin", DISCS, "--out", "network.pt2"]
    assert main(["export", str(folder), *own]) == 0
    capsys.readouterr()
    assert main([*command, "--backbone", "timm:resnet19"]) == 2
    assert "unknown network of timm 'resnet19'" in capsys.readouterr().err
