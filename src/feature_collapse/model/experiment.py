"""The settings of one experiment, named as in the paper (§2)."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_ELEMENTS = 2**31  # of one array: sentences or weights beyond this fit no machine this is meant for


class Experiment(BaseModel):
    """Every setting of one experiment, named as in the paper. Nothing has a default here: the defaults are
    in `config/experiments.yaml`, where each value is written once."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, validate_default=True)

    data: Literal["model", "text", "text_uniform", "text_frequency", "text_random_roles", "text_variants"]
    n_c: int = Field(ge=2, le=10_000)
    n_w: int = Field(ge=2, le=10_000_000)
    L: int = Field(ge=1, le=10_000)
    K: int = Field(ge=2, le=10_000_000)
    mu: Literal["uniform", "zipf"]
    zipf_exponent: float = Field(ge=0, le=10)
    n_spl: int = Field(ge=1, le=10_000_000)
    n_test: int = Field(ge=1, le=10_000_000)
    distinct_latents: bool
    fresh: bool
    label_noise: float = Field(ge=0, lt=1)
    d: int = Field(ge=2, le=100_000)
    normalisation: Literal["none", "layernorm", "layernorm_affine", "rmsnorm", "l2", "batchnorm", "fixed_norm"]
    architecture: Literal["linear", "mlp1", "mlp2", "transformer"]
    eps: float = Field(gt=0, le=1000)
    init_scale_W: float = Field(gt=0, le=1000)
    init_scale_U: float = Field(gt=0, le=1000)
    init_scale_layers: float = Field(gt=0, le=1000)
    lr: float = Field(gt=0, le=1000)
    batch_size: int = Field(ge=1, le=1_000_000)
    lambda_W: float = Field(ge=0, le=1000)
    lambda_U: float = Field(ge=0, le=1000)
    epochs: int = Field(ge=1, le=10_000_000)
    records: int = Field(ge=1, le=10_000)
    snapshot_classes: int = Field(ge=0)
    device: Literal["cpu", "cuda", "mps"]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        of_roles = self.data not in ("model", "text_variants")
        if of_roles and self.n_c != 3:
            raise ValueError(f"n_c: {self.data} has the 3 roles of words as concepts, not {self.n_c}")
        if self.fresh and not self.has_law:
            raise ValueError(f"fresh: {self.data} has windows of a text, and no law to draw others from")
        if not of_roles and self.n_w % self.n_c:
            raise ValueError(f"n_w: {self.n_w} is not divisible by n_c = {self.n_c}")
        if self.distinct_latents and self.n_c**self.L < self.K:
            raise ValueError(
                f"K: {self.K} distinct latents asked for, but there are only n_c ** L = {self.n_c**self.L}"
            )
        if self.fresh and self.label_noise:
            raise ValueError("label_noise: fresh sentences have no labels to get wrong; one of the two is to be off")
        if self.normalisation == "batchnorm" and self.L * ((self.N - 1) % self.batch_size + 1) < 2:
            raise ValueError("batch_size: batchnorm needs more than one word in every batch, also in the last")
        for key, elements in {
            "n_spl": self.K * self.n_spl * self.L,
            "n_test": self.K * self.n_test * self.L,
            "n_w": self.n_w * self.d,
            "K": self.K * self.L * self.d,
        }.items():
            if elements > MAX_ELEMENTS:
                raise ValueError(f"{key}: asks for an array of {elements} elements; at most {MAX_ELEMENTS}")
        return self

    @property
    def has_law(self) -> bool:
        """Whether sentences are drawn word by word from mu; else they are windows of a text."""
        return self.data not in ("text", "text_random_roles")

    @property
    def s_c(self) -> int:
        """Words per concept, where all have as many."""
        return self.n_w // self.n_c

    @property
    def N(self) -> int:
        """Training sentences."""
        return self.K * self.n_spl

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.N // self.batch_size)

    @property
    def steps(self) -> int:
        return self.epochs * self.steps_per_epoch
