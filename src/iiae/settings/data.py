"""Settings of the pairs: one flat list, of which each data set reads some (`iiae data NAME`)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from iiae.settings.base import MOST_SEED, Section, one_or_more_texts, one_or_two_sizes

LONGEST_NAME = 40  # of a domain


def _two_names(names: tuple[str, str] | None) -> tuple[str, str] | None:
    """Refuses names that are equal or do not fit into a table."""
    if names is None:
        return None
    x, y = (" ".join(name.split()) for name in names)
    if not x or not y or x == y or max(len(x), len(y)) > LONGEST_NAME:
        raise ValueError(
            f"give two different names of at most {LONGEST_NAME} characters, of x and of y"
        )
    return x, y


class DataSettings(Section):
    """Which pairs, and how they are split.

    A data set reads some of them and refuses others. One of your own, `module:object`, may have
    options of its own; its `DataSet` brings a subclass of this model that declares them.
    """

    model_config = ConfigDict(extra="allow")  # of data sets of your own; see `_refuse_unknown`

    name: str = Field(description="data set: see `iiae data`")
    root: str | None = Field(
        None,
        description="folder of the data set's files, a table of paths, a URL of shards, or cells "
        "(.h5mu, .h5ad)",
    )
    x: str | None = Field(
        None,
        description="array file, folder of images, column of a table, or place in cells (rna, "
        "rna:counts, obsm:panel), of the x side",
    )
    y: str | None = Field(
        None,
        description="array file, folder of images, column of a table, or place in cells (rna, "
        "rna:counts, obsm:panel), of the y side",
    )
    factors: Annotated[tuple[str, ...], BeforeValidator(one_or_more_texts)] = Field(
        (),
        description="columns of `obs` of cells that latents are probed for, each with the latent "
        'it belongs in if you know, as in "cell_type" or "phase:x"; by default all',
    )
    names: Annotated[tuple[str, str] | None, AfterValidator(_two_names)] = Field(
        None,
        description="what x and y are called in reports, pages and messages, as in "
        '["sketch", "photo"]; by default as their folders, files or columns',
    )
    flip: bool = Field(False, description="mirror both images of half of the training pairs")
    crop: float = Field(
        0.0,
        ge=0,
        le=1,
        description="enlarge training images by this part, then cut a random window out of both",
    )
    turn: bool = Field(
        False, description="show training pairs in all eight ways: mirrored, turned by quarters"
    )
    pad: bool = Field(
        False, description="keep the aspect of images and repeat their edges, instead of stretching"
    )
    bands: Annotated[int | tuple[int, int], BeforeValidator(one_or_two_sizes)] = Field(
        3,
        description="of image files, one number or two: [of x, of y]; 3 is RGB of 8 bits, others "
        "keep their bits (greys, TIFF pages, .npy)",
    )
    degrade: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of training images that get mild JPEG compression, blur, interpolation "
        "or noise, x and y each on its own",
    )
    on_error: Literal["stop", "skip"] = Field(
        "stop", description="where an image cannot be read: stop, or skip and list the pair"
    )
    unseen: str | None = Field(
        None, description="unseen classes: sake25 and the like, or a file with a class a line"
    )
    pairing: Literal["class", "instance"] = Field(
        "class", description="pairs of labelled collections: of one class, or of one instance"
    )
    size: int = Field(32, ge=8, description="side of images, in pixels")
    validation: int | None = Field(
        None, ge=1, description="pairs held out of the training set; by default a tenth"
    )
    test: int | None = Field(
        None, ge=1, description="pairs held out for testing where the data has no test set"
    )
    missing: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of training pairs that lose x or y in turn, to try what that costs",
    )
    buffer: int = Field(
        16_384, ge=1, description="pairs of shards that a process holds in memory and shuffles"
    )
    limit: int | None = Field(None, ge=2, description="use only so many training pairs")
    columns: str | None = Field(
        None, description="file with a row a pair beside array files: covariates and sizes by name"
    )
    covariates: Annotated[tuple[str, ...], BeforeValidator(one_or_more_texts)] = Field(
        (),
        description="columns that encoders and decoders are given, such as the batch; `features` "
        "only. Whole numbers are categories; `age:continuous` says otherwise",
    )
    seed: int = Field(0, ge=0, le=MOST_SEED, description="of the splits and of fixed appearances")

    @model_validator(mode="after")
    def _refuse_unknown(self) -> DataSettings:
        if self.model_extra and ":" not in self.name:
            unknown = {"name": next(iter(self.model_extra))}
            raise PydanticCustomError("unknown_setting", "{name} is not a setting", unknown)
        return self

    @property
    def given(self) -> set[str]:
        """Names of the settings that were given a value."""
        return {name for name in self.model_fields_set if getattr(self, name) is not None}

    @property
    def bands_of_sides(self) -> tuple[int, int]:
        """Number of bands of x and of y."""
        return self.bands if isinstance(self.bands, tuple) else (self.bands, self.bands)
