"""Optimizers as their papers write them, in float64 numpy, for one parameter at a time."""

from __future__ import annotations

from itertools import product

import numpy as np


class Formula:
    """`step` returns the new weight."""

    def __init__(self, weight, **options):
        self.t = 0
        self.start = weight
        for name, value in options.items():
            setattr(self, name, value)
        self.zeros = np.zeros_like(weight)
        self.begin()

    def begin(self):
        pass


class Adam(Formula):
    adam_w_mode = True

    def begin(self):
        self.m, self.v = self.zeros, self.zeros

    def direction(self, gradient):
        self.t += 1
        self.m = self.betas[0] * self.m + (1 - self.betas[0]) * gradient
        self.v = self.betas[1] * self.v + (1 - self.betas[1]) * gradient**2
        corrected = self.v / (1 - self.betas[1] ** self.t)
        return self.m / (1 - self.betas[0] ** self.t) / (np.sqrt(corrected) + self.eps)

    def step(self, weight, gradient, rate, decay):
        if not self.adam_w_mode:
            return weight - rate * self.direction(gradient + decay * weight)
        return weight - rate * (self.direction(gradient) + decay * weight)


class Lamb(Adam):
    def step(self, weight, gradient, rate, decay):
        update = self.direction(gradient) + decay * weight
        return weight - rate * np.linalg.norm(weight) / np.linalg.norm(update) * update


class Lion(Formula):
    def begin(self):
        self.m = self.zeros

    def step(self, weight, gradient, rate, decay):
        used = self.betas[0] * self.m + (1 - self.betas[0]) * gradient
        self.m = self.betas[1] * self.m + (1 - self.betas[1]) * gradient
        return weight - rate * (np.sign(used) + decay * weight)


class SGD(Formula):
    momentum, dampening, nesterov = 0.0, 0.0, False

    def begin(self):
        self.sum = None

    def step(self, weight, gradient, rate, decay):
        gradient = gradient + decay * weight
        first = self.sum is None
        self.sum = gradient if first else self.momentum * self.sum + (1 - self.dampening) * gradient
        if self.momentum == 0:
            return weight - rate * gradient
        return weight - rate * (gradient + self.momentum * self.sum if self.nesterov else self.sum)


class Madgrad(Formula):
    def begin(self):
        self.s, self.v = self.zeros, self.zeros

    def step(self, weight, gradient, rate, decay):
        self.t += 1
        rate = rate + self.eps
        weight = weight * (1 - rate * decay)
        if self.momentum == 0:  # then weights are the dual average itself, less what decays
            start = weight + self.s / (np.cbrt(self.v) + self.eps)
        else:
            start = self.start
        share = rate * np.sqrt(self.t)
        self.s = self.s + share * gradient
        self.v = self.v + share * gradient**2
        average = start - self.s / (np.cbrt(self.v) + self.eps)
        return self.momentum * weight + (1 - self.momentum) * average


class SM3(Formula):
    """SM3-II, one element after the other; `beta` and `momentum` as in GPT-NeoX."""

    momentum, beta, decoupled_decay = 0.0, 0.0, False

    def begin(self):
        self.covers = [np.zeros(size) for size in self.zeros.shape]
        self.buffer = self.zeros

    def step(self, weight, gradient, rate, decay):
        bounds = np.zeros_like(weight)
        covers = [kept.copy() if self.beta else np.zeros_like(kept) for kept in self.covers]
        for index in product(*map(range, weight.shape)):
            least = min(kept[place] for kept, place in zip(self.covers, index, strict=True))
            bounds[index] = (self.beta or 1) * least + (1 - self.beta) * gradient[index] ** 2
            for kept, place in zip(covers, index, strict=True):
                kept[place] = max(kept[place], bounds[index])
        self.covers = covers
        update = gradient / np.sqrt(bounds + self.eps)
        self.buffer = self.momentum * self.buffer + (1 - self.momentum) * update
        return weight - rate * (self.buffer + (decay * weight if self.decoupled_decay else 0))


class Muon(Formula):
    """Of a matrix. The quintic is applied to singular values, which is what its matrix products come to."""

    momentum, nesterov, steps, scale = 0.95, True, 5, "adam"

    def begin(self):
        self.m = self.zeros

    def step(self, weight, gradient, rate, decay):
        self.m = self.momentum * self.m + (1 - self.momentum) * gradient
        ahead = self.momentum * self.m + (1 - self.momentum) * gradient if self.nesterov else self.m
        u, s, v = np.linalg.svd(ahead, full_matrices=False)
        s = s / np.linalg.norm(s)
        for _ in range(self.steps):
            s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
        rows, columns = weight.shape
        scale = 0.2 * np.sqrt(max(rows, columns)) if self.scale == "adam" else np.sqrt(max(1, rows / columns))
        return weight - rate * (scale * (u * s) @ v + decay * weight)


class ScheduleFree(Formula):
    """All three sequences of the paper's algorithm 1; the weight that is trained is y."""

    def begin(self):
        self.x = self.z = self.start
        self.v, self.total = self.zeros, 0.0

    def step(self, weight, gradient, rate, decay):
        self.t += 1
        self.v = self.betas[1] * self.v + (1 - self.betas[1]) * gradient**2
        rate = rate * np.sqrt(1 - self.betas[1] ** self.t)
        self.z = self.z - rate * gradient / (np.sqrt(self.v) + self.eps) - rate * decay * weight
        self.total += rate**2
        share = rate**2 / self.total
        self.x = (1 - share) * self.x + share * self.z
        return (1 - self.betas[0]) * self.z + self.betas[0] * self.x
