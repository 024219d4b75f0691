"""Features of images from pretrained vision models, and their training on seen classes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from iiae.commands.common import OnErrorOption, Seed, in_shell, path_of, say_next

BackboneOption = Annotated[
    str, typer.Option(help="folder or hub name of a transformers vision model")
]
Apart = Annotated[
    bool, typer.Option("--apart", help="one network per domain, trained on that domain alone")
]
Validation = Annotated[int, typer.Option(min=1, help="number of seen classes held out")]


def features(
    images: Annotated[
        Path, typer.Argument(help="folder: domain/class/image, class/image, or images")
    ],
    backbone: BackboneOption,
    out: Annotated[
        Path, typer.Option("--out", "-o", help=".npz to write", parser=path_of("--out"))
    ] = Path("features.npz"),
    cache: Annotated[
        Path | None, typer.Option(help="folder of kept features", parser=path_of("--cache"))
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="images per step")] = 64,
    average: Annotated[
        bool,
        typer.Option(
            "--average",
            help="mean features of three views of each image: two other sizes, and mirrored; three "
            "times the work",
        ),
    ] = False,
    on_error: OnErrorOption = "stop",
) -> None:
    """Features of image folders from a pretrained vision model; a stopped run resumes.

    Example: iiae features sketchy/ --backbone mobilenet_v2/ -o features.npz
    """
    from iiae.features.backbone import load_backbones
    from iiae.features.extract import extract_features

    loaded = load_backbones(backbone, average)
    counts = extract_features(images, loaded, out, cache, batch, on_error)
    typer.echo(f"wrote {out}: {', '.join(f'{n:,} of {name}' for name, n in counts.items())}")
    say_next(
        f'iiae head {in_shell(out)} --unseen sake25  # or: iiae train with data.root = "{out}"'
    )


def head(
    features: Annotated[
        Path, typer.Argument(help=".npz of features with classes, or the authors' folder of them")
    ],
    unseen: Annotated[
        str | None,
        typer.Option(help="name or file of the unseen classes; the authors' files list them"),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help=".npz to write", parser=path_of("--out"))
    ] = Path("head.npz"),
    size: Annotated[int, typer.Option(min=2, help="size of the new features")] = 512,
    steps: Annotated[int, typer.Option(min=1, help="number of training steps")] = 300,
    validation: Validation = 10,
    seed: Seed = 0,
    apart: Apart = False,
) -> None:
    """Train a classifier of the seen classes on features; write its hidden layer as features.

    Example: iiae head features.npz --unseen sake25 -o head.npz
    """
    from iiae.features.head import HeadSettings, train_head
    from iiae.settings import data_settings

    data = data_settings(name="classes", root=str(features), unseen=unseen, validation=validation)
    quality = train_head(data, out, HeadSettings(size=size, steps=steps, seed=seed), apart)
    how = "within each domain, trained apart" if apart else "x searching y"
    typer.echo(f"wrote {out}; held-out seen classes, {how}: mAP@all {quality:.4f}")
    say_next(f"iiae train experiments/sketchy-sake25.toml --set data.root={in_shell(out)}")


def finetune(
    images: Annotated[Path, typer.Argument(help="folder: domain/class/image")],
    backbone: BackboneOption,
    unseen: Annotated[str, typer.Option(help="name or file of the unseen classes")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="folder to write", parser=path_of("--out"))
    ] = Path("backbone"),
    epochs: Annotated[int, typer.Option(min=1, help="passes over the images")] = 4,
    epochs_y: Annotated[
        int, typer.Option(min=0, help="with --apart: those of the second domain; 0: as many")
    ] = 0,
    side: Annotated[int, typer.Option(min=32, help="side of images, in pixels")] = 128,
    frozen: Annotated[
        float, typer.Option(min=0, max=0.99, help="share of the model's first tensors left alone")
    ] = 0.0,
    mixup: Annotated[
        float, typer.Option(min=0, help="mix two images by Beta(mixup, mixup); 0: none")
    ] = 0.0,
    validation: Validation = 10,
    seed: Seed = 0,
    apart: Apart = False,
) -> None:
    """Fine-tune a vision model on the seen classes, for both domains or one for each.

    Example: iiae finetune sketchy/ --backbone mobilenet_v2/ --unseen sake25
    """
    from iiae.features.backbone import load_backbone
    from iiae.features.finetune import TuneSettings
    from iiae.features.finetune import finetune as tune
    from iiae.files.atomic import refuse_inputs
    from iiae.settings import data_settings

    refuse_inputs([out], [Path(backbone), images])
    data = data_settings(name="classes", root=str(images), unseen=unseen, validation=validation)
    settings = TuneSettings(
        epochs, side=side, frozen=frozen, mixup=mixup, seed=seed, epochs_y=epochs_y
    )
    for tuned in tune(data, load_backbone(backbone), out, settings, apart):
        typer.echo(
            f"wrote {tuned.folder}: {tuned.share:.0%} of the way from the pretrained weights to "
            f"the tuned ones, images of {tuned.side} pixels; held-out seen classes: mAP@all "
            f"{tuned.quality:.4f}"
        )
    say_next(f"iiae features {in_shell(images)} --backbone {in_shell(out)} -o features.npz")
