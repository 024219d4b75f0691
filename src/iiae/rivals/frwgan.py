r"""FRWGAN: a generator of features from words whose features must give the words back.

Felix, Kumar, Reid and Carneiro, "Multi-modal cycle-consistent generalized zero-shot learning", ECCV
2018: a Wasserstein GAN with $L_G = -E\,D(\tilde y, s) + w \cdot mean (R(\tilde y) - s)^2$.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from iiae.networks.layers import dense
from iiae.rivals.interface import WORDS, Maps, Rival, Seen
from iiae.rivals.training import NoisyDecoder, descend, items

Critic = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class FRWGANSettings:
    """Published: 350 (AWA1) to 1,000 (FLO) epochs, the regressor 40; `regressor_steps` are 40
    epochs of 20,000 items. The default `steps` take about 5 minutes of processor time.
    """

    steps: int = 2000
    regressor_steps: int = 12_000
    batch: int = 64
    width: int = 4096
    cycle: float = 0.01
    penalty: float = 10.0
    generator_rate: float = 1e-4
    critic_rate: float = 1e-3
    regressor_rate: float = 1e-4
    draws: int = 100


class WordCritic(nn.Module):
    """D: [feature, word] -> width -> 1."""

    def __init__(self, size: int, k: int, width: int):
        super().__init__()
        self.net = nn.Sequential(dense(size + k, width), nn.LeakyReLU(0.2), dense(width, 1))

    def forward(self, y: Tensor, s: Tensor) -> Tensor:
        return self.net(torch.cat([y, s], 1)).squeeze(1)


def learn(seen: Seen, settings: FRWGANSettings) -> Maps:
    k = seen.words.shape[1]
    to_words_x = regressor(seen.x, seen.class_x, seen.words, settings)
    to_words_y = regressor(seen.y, seen.class_y, seen.words, settings)
    generator = train_generator(seen, to_words_y, settings)
    # Paper: classification of unseen classes by their attributes. Here: a query's words are
    # regressed from its feature, because retrieval must not know the query's class.
    noises = torch.randn(settings.draws, k)
    return Maps(
        lambda x: generator.mean(F.normalize(to_words_x(x)), noises),
        lambda y: y,
        second=Maps(to_words_x, to_words_y),
    )


def regressor(features: Tensor, classes: Tensor, words: Tensor, given: FRWGANSettings) -> nn.Linear:
    """R: features to word vectors, linear; frozen."""
    network = dense(features.shape[1], words.shape[1])
    optimiser = torch.optim.Adam(network.parameters(), given.regressor_rate, fused=True)
    steps = given.regressor_steps
    decay = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, steps)
    for x, of in items(features, classes, given.batch, steps, "FRWGAN, regressor"):
        descend(optimiser, F.mse_loss(network(x), words[of]))
        decay.step()
    return network.requires_grad_(False)


def train_generator(seen: Seen, to_words: nn.Linear, settings: FRWGANSettings) -> NoisyDecoder:
    """G: [word, noise] -> width -> feature of y; one step of the critic per step of it."""
    size, k = seen.y.shape[1], seen.words.shape[1]
    # Paper: ReLU outputs. Here: linear, because standardised features have signs.
    generator = NoisyDecoder(k, k, settings.width, size, nn.LeakyReLU(0.2))
    critic = WordCritic(size, k, settings.width)
    of_generator = torch.optim.Adam(generator.parameters(), settings.generator_rate, fused=True)
    of_critic = torch.optim.Adam(critic.parameters(), settings.critic_rate, fused=True)
    # Paper: cycle-CLSWGAN, with a classifier. Here: cycle-WGAN, because it alone was released (the
    # released code computes a classifier's logits and never uses them).
    for y, classes in items(seen.y, seen.class_y, settings.batch, settings.steps, "FRWGAN"):
        s = seen.words[classes]
        with torch.no_grad():
            fake = generator(s, torch.randn_like(s))
        descend(of_critic, critic_loss(critic, y, fake, s, settings.penalty))
        critic.requires_grad_(False)
        fake = generator(s, torch.randn_like(s))
        descend(of_generator, generator_loss(critic, to_words, fake, s, settings.cycle))
        critic.requires_grad_(True)
    return generator.requires_grad_(False)


def critic_loss(
    critic: Critic, y: Tensor, fake: Tensor, s: Tensor, penalty: float
) -> Float[Tensor, ""]:
    r"""$E\,D(\tilde y, s) - E\,D(y, s)$ and the penalty on slopes between the two.

    Public code: the sign of D reversed, which is the same game.
    """
    # Public code: a share per element. Here: one per sample, because the paper's points lie on
    # straight lines between samples (Gulrajani et al. 2017).
    share = torch.rand(len(y), 1)
    slope = gradient_penalty(critic, y, fake, s, share)
    return critic(fake, s).mean() - critic(y, s).mean() + penalty * slope


def gradient_penalty(
    critic: Critic, y: Tensor, fake: Tensor, s: Tensor, share: Float[Tensor, "batch 1"]
) -> Float[Tensor, ""]:
    r"""$E(\|\nabla D(\hat y, s)\| - 1)^2$ with $\hat y$ a `share` of y and the rest of the fake."""
    between = (share * y + (1 - share) * fake).detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(between, s).sum(), between, create_graph=True)
    return (slope.norm(dim=1) - 1).square().mean()


def generator_loss(
    critic: Critic, to_words: Callable[[Tensor], Tensor], fake: Tensor, s: Tensor, cycle: float
) -> Float[Tensor, ""]:
    r"""$-E\,D(\tilde y, s) + cycle \cdot mean (R(\tilde y) - s)^2$."""
    return -critic(fake, s).mean() + cycle * F.mse_loss(to_words(fake), s)


FRWGAN = Rival("FRWGAN", (WORDS,), FRWGANSettings, learn, mixed=True)
