"""Settings of a run: frozen, read from TOML, with errors that name the closest setting."""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from numbers import Integral
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tomli_w
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from iiae.errors import SettingsError
from iiae.sizes import Size, of_another_size, with_sizes

T = TypeVar("T")

MOST_SEED = 2**32 - 1  # NumPy's older generators take no larger one
LONGEST_NAME = 40  # of a domain
# where each name that settings choose by is; a name of your own is written as module:object
FAMILIES = {
    "small": "iiae.networks.small:SMALL",
    "image-map": "iiae.networks.conv:IMAGE_MAP",
    "image-flat": "iiae.networks.conv:IMAGE_FLAT",
    "features": "iiae.networks.mlp:FEATURES",
}
LIKELIHOODS = {
    "laplace": "iiae.distributions:LAPLACE",
    "normal": "iiae.distributions:NORMAL",
    "bernoulli": "iiae.distributions:BERNOULLI",
    "categorical": "iiae.distributions:CATEGORICAL",
    "poisson": "iiae.distributions:POISSON",
    "negative-binomial": "iiae.distributions:NEGATIVE_BINOMIAL",
    "zero-inflated": "iiae.distributions:ZERO_INFLATED",
}
# settings that only some likelihoods, or families of networks, read
READ_BY = {
    "kind": {
        "weight": ("laplace", "normal"),
        "size": ("poisson", "negative-binomial", "zero-inflated"),
    },
    "family": {
        "width": ("small", "features"),
        "dropout": ("features",),
        "depth": ("features",),
    },
}
# settings whose effect is part of the weights, beside all of model, objective and training
CHOSEN_IN_TRAINING = {
    "evaluation.active_nats": "the active dimensions are chosen when training ends, and kept "
    "with the weights; train again to choose others"
}


def _one_of(names: Iterable[str]) -> Callable[[str], str]:
    """Refuses what is neither one of `names` nor `module:object`."""

    def check(name: str) -> str:
        if name in names or ":" in name:
            return name
        close = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise ValueError(f"{hint}give {', '.join(names)}, or module:object of your own")

    return check


def imported(name: str, known: Mapping[str, str], kind: type[T]) -> T:
    """What a name of settings stands for: of `known`, or `module:object`.

    Raises:
        SettingsError: It cannot be imported, or is no `kind`.
    """
    module, _, attribute = known.get(name, name).partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(f"{name}: cannot be imported: {error}") from error
    if not isinstance(found, kind):
        raise SettingsError(f"{name}: is {type(found).__name__}, not {kind.__name__}")
    return found


def imported_task(name: str) -> Callable[..., Any]:
    """A function of a run and pairs, named in `evaluation.tasks`; errors as for `imported`."""
    return imported(name, {}, Callable)  # pyright: ignore[reportArgumentType]


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False
    )


def _two_names(names: tuple[str, str] | None) -> tuple[str, str] | None:
    """Refuses names that cannot be told apart or do not fit into a table."""
    if names is None:
        return None
    x, y = (" ".join(name.split()) for name in names)
    if not x or not y or x == y or max(len(x), len(y)) > LONGEST_NAME:
        raise ValueError(
            f"give two different names of at most {LONGEST_NAME} characters, of x and of y"
        )
    return x, y


def _one_or_two_sizes(value: Any) -> Any:
    pair = isinstance(value, (list, tuple))
    sizes = value if pair else [value]
    whole = all(isinstance(size, Integral) and not isinstance(size, bool) for size in sizes)
    if len(sizes) != 1 + pair or not whole or min(sizes) < 1:
        raise ValueError("give one number, of 1 or more, or two: [of x, of y]")
    return tuple(map(int, sizes)) if pair else int(value)


class DataSettings(_Section):
    """Which pairs, and how they are split."""

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
    factors: tuple[str, ...] = Field(
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
    bands: Annotated[int | tuple[int, int], BeforeValidator(_one_or_two_sizes)] = Field(
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
    split: str | None = Field(
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
    covariates: tuple[str, ...] = Field(
        (),
        description="columns that encoders and decoders are given, such as the batch; `features` "
        "only. Whole numbers are categories; `age:continuous` says otherwise",
    )
    seed: int = Field(0, ge=0, le=MOST_SEED, description="of the splits and of fixed appearances")

    @property
    def bands_of_sides(self) -> tuple[int, int]:
        """Number of bands of x and of y."""
        return self.bands if isinstance(self.bands, tuple) else (self.bands, self.bands)


def _refuse_unread(section: _Section, chooser: str) -> None:
    """Refuses settings that have no effect on what `chooser` names, unless at their default."""
    chosen = getattr(section, chooser)
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        readers = READ_BY[chooser].get(name, (chosen,))
        if chosen not in readers and ":" not in chosen and value != field.default:
            raise ValueError(
                f"{name} = {value!r} has no effect on {chooser} {chosen!r}, only on "
                f"{' and '.join(map(repr, readers))}; leave it out"
            )


def _one_or_two_shares(value: Any) -> Any:
    shares = value if isinstance(value, (list, tuple)) else [value]
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in shares)
    if not numbers or len(shares) not in (1, 2) or not all(0 <= v < 1 for v in shares):
        raise ValueError("give one share, of at least 0 and below 1, or two: [of x, of y]")
    return tuple(map(float, shares)) if isinstance(value, (list, tuple)) else float(value)


class ModelSettings(_Section):
    """Which networks, and the sizes of the latents."""

    family: Annotated[str, AfterValidator(_one_of(FAMILIES))] = Field(
        "small",
        description="networks: small (16 to 128 pixels), image-map, image-flat, features, or "
        "module:object of your own",
    )
    size: Size = Field(
        "auto",
        description="small, medium or large: width, shared and exclusive follow from it where they "
        "are not given (`features` and `small` only); auto: as suggested for the data, or by hand",
    )
    exclusive: Annotated[int | tuple[int, int], BeforeValidator(_one_or_two_sizes)] = Field(
        8, description="size of z_x and of z_y: one for both, or [of z_x, of z_y]"
    )
    shared: int = Field(32, ge=1, description="size of z_s, or its channels where it is a map")
    width: int | None = Field(
        None, ge=1, description="first width of `small`, hidden width of `features`"
    )
    dropout: Annotated[float | tuple[float, float], BeforeValidator(_one_or_two_shares)] = Field(
        0.0,
        description="of the encoders' inputs, `features` only: one for both, or [of x, of y]; 0 as "
        "published",
    )
    depth: Annotated[int, Field(ge=0, le=2)] = Field(
        2,
        description="hidden layers of the encoders of `features`; 2 as published, 0: all linear",
    )
    standardise: bool = Field(
        False,
        description="vectors in units of each column's mean and deviation over the training "
        "pairs; stored, and undone in translations",
    )

    @property
    def exclusive_sizes(self) -> tuple[int, int]:
        """Sizes of z_x and of z_y."""
        both = self.exclusive
        return both if isinstance(both, tuple) else (both, both)

    @model_validator(mode="before")
    @classmethod
    def _follow_size(cls, values: Any) -> Any:
        return with_sizes(values) if isinstance(values, Mapping) else values

    @model_validator(mode="after")
    def _refuse_unused(self) -> ModelSettings:
        _refuse_unread(self, "family")
        return self


def _number_or_auto(value: Any) -> Any:
    if value == "auto":
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not 0 < number < math.inf:
        raise ValueError("input should be a finite number above 0, or 'auto'")
    return number


class LikelihoodSettings(_Section):
    """Likelihood of one domain."""

    kind: Annotated[str, AfterValidator(_one_of(LIKELIHOODS))] = Field(
        "laplace",
        description="laplace (L1), normal (squared error), bernoulli (binary in [0, 1]), "
        "categorical (one-hot on axis 1), poisson, negative-binomial or zero-inflated (counts in "
        "vectors), or module:object of your own",
    )
    weight: Annotated[float | Literal["auto"], BeforeValidator(_number_or_auto)] = Field(
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
        _refuse_unread(self, "kind")
        return self


class ObjectiveSettings(_Section):
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
    tau: float = Field(2000.0, ge=0, description="KL warm-up, in steps; 0 for none")
    x: LikelihoodSettings = Field(LikelihoodSettings(), description="likelihood of x")  # pyright: ignore[reportCallIssue]
    y: LikelihoodSettings = Field(LikelihoodSettings(), description="likelihood of y")  # pyright: ignore[reportCallIssue]


class TrainingSettings(_Section):
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
        None, ge=1, description="stop after so many epochs without a better validation loss"
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


class EvaluationSettings(_Section):
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
    tasks: tuple[str, ...] = Field(
        (), description="measures of your own: module:function of a run and pairs"
    )
    seed: int = Field(
        0, ge=0, le=MOST_SEED, description="of posterior samples, draws and cross-validation"
    )


class Settings(_Section):
    """All settings of a run."""

    title: str = Field("", description="one line that says what the run is")
    about: str = Field("", description="a sentence or two for the page: what x and y are")
    data: DataSettings
    model: ModelSettings = ModelSettings()  # pyright: ignore[reportCallIssue]
    objective: ObjectiveSettings = ObjectiveSettings()  # pyright: ignore[reportCallIssue]
    training: TrainingSettings = TrainingSettings()  # pyright: ignore[reportCallIssue]
    evaluation: EvaluationSettings = EvaluationSettings()  # pyright: ignore[reportCallIssue]


def load_settings(path: str | Path, overrides: Sequence[str] = ()) -> Settings:
    """Settings of a TOML file, with `section.name=value` overrides applied in order.

    Raises:
        SettingsError: The file cannot be read, or a setting is unknown or wrong.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not a TOML file: {error}") from error
    return make_settings(values, overrides, source=path.name)


def make_settings(
    values: Mapping[str, Any], overrides: Sequence[str] = (), source: str = "settings"
) -> Settings:
    """Settings of a nested mapping; `source` names it in messages.

    >>> make_settings({"data": {"name": "synthetic"}}, ["objective.lam=0.5"]).objective.lam
    0.5
    """
    merged = dict(values)
    for text in sorted(overrides, key=lambda one: not one.startswith("model.size")):
        merged = _override(merged, text)
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise SettingsError(_explain(error, source)) from error


def data_settings(**values: Any) -> DataSettings:
    """Settings of data alone, checked as those of a file are; None stands for the default.

    Raises:
        SettingsError: A setting is unknown or wrong.
    """
    given = {name: value for name, value in values.items() if value is not None}
    return make_settings({"data": given}).data


def check_overrides(
    overrides: Sequence[str], allowed: Sequence[str] = ("data", "evaluation")
) -> None:
    """Refuses overrides that have no effect on a run that is trained already.

    Args:
        overrides: `section.name=value`, as for `load_settings`.
        allowed: Sections, or settings, that a command reads.

    Raises:
        SettingsError: An override is of another setting, or of one that training has used up.
    """
    for text in overrides:
        for name in _names(_override({}, text)):
            if name in CHOSEN_IN_TRAINING:
                raise SettingsError(f"--set {text}: has no effect: {CHOSEN_IN_TRAINING[name]}")
            parts = name.split(".")
            above = {".".join(parts[:i]) for i in range(1, len(parts) + 1)}
            if parts[0] in Settings.model_fields and not above & set(allowed):
                raise SettingsError(
                    f"--set {text}: has no effect on a run that is trained already, only "
                    f"{', '.join(allowed)} have; train again to change it"
                )


def _names(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted names of all values of a nested mapping."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _names(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def dump_settings(settings: Settings) -> str:
    """Settings as TOML; values that are None are left out."""
    return tomli_w.dumps(settings.model_dump(exclude_none=True))


def describe_settings(
    model: type[BaseModel] = Settings, prefix: str = ""
) -> list[tuple[str, str, str]]:
    """Name, default and meaning of every setting."""
    rows: list[tuple[str, str, str]] = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            rows += describe_settings(inner, f"{prefix}{name}.")
            continue
        default = "required" if field.is_required() else _shown(field.default)
        rows.append((prefix + name, default, field.description or ""))
    return rows


def _shown(value: Any) -> str:
    return "none" if value is None else tomli_w.dumps({"v": value}).strip().removeprefix("v = ")


def _override(values: Mapping[str, Any], text: str) -> dict[str, Any]:
    name, found, value = text.partition("=")
    if not found or not name:
        raise SettingsError(f"--set {text}: write section.name=value, as in training.epochs=3")
    *sections, last = name.strip().split(".")
    changed = dict(values)
    inner = changed
    for section in sections:
        below = inner.get(section, {})
        if not isinstance(below, Mapping):
            raise SettingsError(f"--set {text}: {section} is not a section")
        inner[section] = dict(below)
        inner = inner[section]
    inner[last] = _parse(value.strip())
    if name.strip() == "model.size":  # what is set by hand stays
        changed["model"] = of_another_size(values.get("model", {}), inner[last])
    if last in ("kind", "family"):  # what only the one before reads goes with it
        chosen = str(inner[last])
        for name, readers in READ_BY[last].items():
            if chosen not in readers and ":" not in chosen:
                inner.pop(name, None)
    return changed


def _parse(value: str) -> Any:
    """A TOML value; what is none is taken as text, so that quotes are not needed."""
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value


def _explain(error: ValidationError, source: str) -> str:
    first = error.errors()[0]
    name = ".".join(map(str, first["loc"]))
    reason = first["msg"].removeprefix("Value error, ")
    if isinstance(first["input"], Mapping) and first["type"] == "value_error":
        return f"{source}: {name}.{reason}"  # of settings that do not go together
    if first["type"] == "extra_forbidden":
        close = _closest(name)
        hint = f"; did you mean {close}?" if close else "; `iiae settings` lists them all"
        return f"{source}: {name} is not a setting{hint}"
    if first["type"] == "missing":
        return f"{source}: {name} is missing"
    return f"{source}: {name} = {first['input']!r}: {reason[:1].lower()}{reason[1:]}"


def _closest(name: str) -> str | None:
    """The known setting most like `name`: in its own section first, then anywhere."""
    section, _, last = name.rpartition(".")
    names = [row[0] for row in describe_settings()]
    own = [n.rpartition(".")[2] for n in names if n.rpartition(".")[0] == section]
    found = difflib.get_close_matches(last, own, 1)
    if found:
        return found[0]
    elsewhere = [n for n in names if n.rpartition(".")[2] == last]
    return (elsewhere or difflib.get_close_matches(name, names, 1) or [None])[0]
