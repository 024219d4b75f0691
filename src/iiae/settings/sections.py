"""Settings of a run by section: frozen, each with its default and meaning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from iiae.settings.base import (
    MOST_SEED,
    Section,
    number_or_auto,
    one_or_more_texts,
    one_or_two_counts,
    one_or_two_shares,
    one_or_two_sizes,
    refuse_unread,
)
from iiae.settings.data import DataSettings
from iiae.settings.names import FAMILIES, LIKELIHOODS, one_of
from iiae.settings.sizes import Size, with_sizes

if TYPE_CHECKING:
    from iiae.types import Domain


class ModelSettings(Section):
    """Which networks, and the sizes of the latents."""

    family: Annotated[str, AfterValidator(one_of(FAMILIES))] = Field(
        "small",
        description="networks: small (8 to 128 pixels), image-map, image-flat, features, or "
        "module:object of your own",
    )
    size: Size = Field(
        "auto",
        description="small, medium or large: width, shared and exclusive follow from it where they "
        "are not given (`features` and `small` only); auto: as suggested for the data, or by hand",
    )
    exclusive: Annotated[int | tuple[int, int], BeforeValidator(one_or_two_sizes)] = Field(
        8, description="size of z_x and of z_y: one for both, or [of z_x, of z_y]"
    )
    shared: int = Field(32, ge=1, description="size of z_s, or its channels where it is a map")
    width: int | None = Field(
        None, ge=1, description="first width of `small`, hidden width of `features`"
    )
    side: int | None = Field(
        None,
        ge=1,
        description="side of the map of z_s, `small` only: 4 unless given; 8 keeps more of where "
        "things are in images of 64 pixels and more",
    )
    dropout: Annotated[float | tuple[float, float], BeforeValidator(one_or_two_shares)] = Field(
        0.0,
        description="of the encoders' inputs, `features` only: one for both, or [of x, of y]; 0 as "
        "published",
    )
    depth: Annotated[int, Field(ge=0, le=2)] = Field(
        2,
        description="hidden layers of the encoders of `features`; 2 as published, 0: all linear",
    )
    components: Annotated[int | tuple[int, int], BeforeValidator(one_or_two_counts)] = Field(
        0,
        description="principal components of the columns that encoders see instead of them, "
        "`features` only: one for both, or [of x, of y]; a domain of no more columns keeps them; 0 "
        "as published",
    )
    standardise: bool = Field(
        False,
        description="vectors in units of each column's mean and deviation over the training "
        "pairs; stored, and undone in translations",
    )

    @property
    def exclusive_sizes(self) -> tuple[int, int]:
        """Sizes of z_x and of z_y."""
        return _two(self.exclusive)

    @property
    def component_counts(self) -> tuple[int, int]:
        """Numbers of components of x and of y; 0 where encoders see all columns."""
        return _two(self.components)

    @model_validator(mode="before")
    @classmethod
    def _follow_size(cls, values: Any) -> Any:
        return with_sizes(values) if isinstance(values, Mapping) else values

    @model_validator(mode="after")
    def _refuse_unused(self) -> ModelSettings:
        refuse_unread(self, "family")
        return self


def _two(both: int | tuple[int, int]) -> tuple[int, int]:
    return both if isinstance(both, tuple) else (both, both)


class LikelihoodSettings(Section):
    """Likelihood of one domain."""

    kind: Annotated[str, AfterValidator(one_of(LIKELIHOODS))] = Field(
        "laplace",
        description="laplace (L1), normal (squared error), bernoulli (binary in [0, 1]), "
        "categorical (one-hot on axis 1), poisson, negative-binomial or zero-inflated (counts in "
        "vectors), or module:object of your own",
    )
    weight: Annotated[float | Literal["auto"], BeforeValidator(number_or_auto)] = Field(
        1000.0,
        description="w: of the mean error over the elements (laplace, normal), or auto: the "
        "likelihood's scale is learned, and nothing is to be chosen",
    )
    size: Literal["none", "given", "observed"] = Field(
        "none",
        description="library size that counts are in proportion to: none, given as column size_x "
        "or size_y of the data, or observed, the sum of the row",
    )

    @model_validator(mode="after")
    def _refuse_unused(self) -> LikelihoodSettings:
        refuse_unread(self, "kind")
        return self


class ObjectiveSettings(Section):
    """Weights of the objective."""

    beta: float = Field(0.2, ge=0, description="weight of the ELBO")
    lam: float = Field(1.0, ge=0, description="weight of the information bound")
    inter: float = Field(
        1.0,
        ge=0,
        description="weight of both inter-KLs in the bound, 1 as published; more: less leakage",
    )
    exclusive: float = Field(
        1.0,
        ge=0,
        description="weight of KL_x and KL_y in the bound at the end of training, 1 as published; "
        "more: less of what is shared in z_x and z_y",
    )
    alone: float = Field(
        1.0,
        ge=0,
        le=1,
        description="share of their gradient by which samples without a partner teach the encoders "
        "of z_s; less: less of what is exclusive in z_s",
    )
    tau: float = Field(2000.0, ge=0, description="KL warm-up, in steps; 0 for none")
    x: LikelihoodSettings = Field(LikelihoodSettings(), description="likelihood of x")  # pyright: ignore[reportCallIssue]
    y: LikelihoodSettings = Field(LikelihoodSettings(), description="likelihood of y")  # pyright: ignore[reportCallIssue]

    def of(self, domain: Domain) -> LikelihoodSettings:
        """The likelihood of a domain."""
        return self.x if domain == "x" else self.y


class TrainingSettings(Section):
    """How long and how fast to learn."""

    epochs: int = Field(10, ge=1, description="passes over the training pairs")
    batch: int = Field(128, ge=2, description="pairs a step, over all processes")
    learning_rate: float = Field(1e-3, gt=0, description="of Adam")
    adam_beta1: float = Field(0.9, ge=0, lt=1, description="first moment's decay of Adam")
    decay_from: float = Field(
        0.5, ge=0, le=1, description="part of training after which the rate falls linearly to 0"
    )
    gradient_clip: float | None = Field(
        None, gt=0, description="largest norm of the gradient; none by default"
    )
    precision: Annotated[Literal["32", "bf16", "auto"], BeforeValidator(str)] = Field(
        "32", description="32, bf16 autocast, or auto: bf16 where the machine has units for it"
    )
    compile: bool = Field(False, description="torch.compile the loss (needs a C++ compiler)")
    cuda_graph: bool = Field(
        True, description="on one GPU, record a step once and replay it: no kernel waits for Python"
    )
    patience: int | None = Field(
        None,
        ge=1,
        description="stop after so many epochs without a better one, in what `keep` chooses by; of "
        "`last`, the validation loss",
    )
    keep: Literal["best", "retrieval", "last"] = Field(
        "best",
        description="weights kept: of the lowest validation loss, of most partners found among "
        "validation pairs (authors' program), or of the last epoch",
    )
    translation_moments: bool = Field(
        False,
        description="when training ends, recompute the decoders' BatchNorm moments over "
        "translations too",
    )
    checkpoint_seconds: float = Field(
        120.0, ge=0, description="most seconds lost to a crash: how often the state is saved"
    )
    workers: int = Field(0, ge=0, description="processes that prepare batches; 0 for none")
    devices: int = Field(1, ge=1, description="processes a machine: one a GPU, or on the CPU")
    nodes: int = Field(1, ge=1, description="machines that train together")
    strategy: Literal["auto", "ddp"] = Field(
        "auto", description="of several processes; auto is ddp where there are several"
    )
    logger: Literal["auto", "tensorboard", "wandb", "mlflow", "none"] = Field(
        "auto",
        description="where curves go beside history.csv; auto is TensorBoard if it is installed",
    )
    seed: int = Field(0, ge=0, le=MOST_SEED, description="of weights, order, draws and samples")


class EvaluationSettings(Section):
    """What is measured after training."""

    batch: int = Field(500, ge=1, description="pairs a step of evaluation")
    active_nats: float = Field(
        0.1,
        ge=0,
        description="least nats that an active dimension holds; where none holds so much, all are",
    )
    cutoffs: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (100, 200),
        min_length=1,
        description="K of precision, recall and mAP at K where pairs are of classes",
    )
    translations: int = Field(
        500, ge=0, description="pairs that the quality of translated images is measured on; 0: none"
    )
    degrade: bool = Field(
        False, description="retrieve degraded copies of the images too: enlarged, JPEG, reduced"
    )
    backbone: str | None = Field(
        None, description="folder or hub name of a vision model, for perceptual distance and KID"
    )
    tasks: Annotated[tuple[str, ...], BeforeValidator(one_or_more_texts)] = Field(
        (), description="measures of your own: module:function of a run and pairs"
    )
    seed: int = Field(
        0, ge=0, le=MOST_SEED, description="of posterior samples, draws and cross-validation"
    )


class Settings(Section):
    """All settings of a run."""

    title: str = Field("", description="one line that says what the run is")
    about: str = Field("", description="a sentence or two for the page: what x and y are")
    data: DataSettings
    model: ModelSettings = ModelSettings()  # pyright: ignore[reportCallIssue]
    objective: ObjectiveSettings = ObjectiveSettings()  # pyright: ignore[reportCallIssue]
    training: TrainingSettings = TrainingSettings()  # pyright: ignore[reportCallIssue]
    evaluation: EvaluationSettings = EvaluationSettings()  # pyright: ignore[reportCallIssue]
