"""The arithmetic of training in plain numpy, slow and in order: what any other implementation can be held against, bit
for bit. Every operation on arrays is elementwise float32, rounded once; `docs/arithmetic.md` says it in words.

Products take one fused multiply-add a term. numpy has none, so it is made here from float64: a product of two float32
is exact in float64, and so is the error of the sum that follows; rounding that sum to odd before it is rounded to
float32 rounds once (Boldo, Melquiond, 2008, https://doi.org/10.1109/TC.2007.70819).
"""

import math

import numpy as np

from feature_collapse.model.experiment import Experiment

Array = np.ndarray
f4 = np.float32
POLYNOMIAL = (  # 2^s for |s| <= 1/2, highest power first: `Sleef_exp2f_u10`, which torch calls
    0.1535920892e-3,
    0.1339262701e-2,
    0.9618384764e-2,
    0.5550347269e-1,
    0.2402264476e0,
    0.6931471825e0,
    1.0,
)


def fma(a: Array, b: Array, c: Array) -> Array:
    """`a b + c` rounded once, in float32."""
    product, c = np.broadcast_arrays(a.astype(float) * b.astype(float), np.asarray(c, float))
    rounded = product + c
    was = rounded - product
    error = (product - (rounded - was)) + (c - was)
    even = rounded.view(np.int64) % 2 == 0
    odd = np.where((error != 0) & even, np.nextafter(rounded, np.copysign(np.inf, error)), rounded)
    return odd.astype(f4)


def cuts(terms: int) -> list[slice]:
    """Where a sum of so many terms is cut: the fewest parts of at most 500, the longer ones first, by one at most."""
    number = -(-terms // 500)
    ends = np.cumsum([terms // number + (i < terms % number) for i in range(number)])
    return [slice(a, b) for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def product(A: Array, B: Array) -> Array:
    """(..., M, k) times (..., k, N)."""
    total = None
    for cut in cuts(A.shape[-1]):
        part = np.zeros((*A.shape[:-1], B.shape[-1]), f4)
        for k in range(cut.start, cut.stop):
            part = fma(A[..., :, k, None], B[..., None, k, :], part)
        total = part if total is None else total + part
    return total


def sums(x: Array) -> Array:
    """Of each row, (n, 1). Each part is read in vectors of 8 numbers, or of 1 where there are fewer than 8."""
    total = None
    for cut in cuts(x.shape[1]):
        part = x[:, cut]
        width = 8 if part.shape[1] >= 8 else 1
        vectors = part.shape[1] // width
        whole, rest = part[:, : vectors * width].reshape(len(x), vectors, width), part[:, vectors * width :]
        accumulators = np.zeros((len(x), 4, width), f4)
        for i in range(vectors // 4):
            accumulators += whole[:, 4 * i : 4 * i + 4]
        for i in range(vectors // 4 * 4, vectors):
            accumulators[:, 0] += whole[:, i]
        lanes = accumulators[:, 0] + accumulators[:, 1] + accumulators[:, 2] + accumulators[:, 3]
        in_order = np.zeros(len(x), f4)
        for number in (*rest.T, *lanes.T):
            in_order += number
        total = in_order if total is None else total + in_order
    return total[:, None]


def exp(x: Array) -> Array:
    """e^x for x <= 0."""
    x = x * f4(math.log2(math.e))
    whole = np.rint(x)
    power = np.full_like(x, POLYNOMIAL[0])
    for coefficient in POLYNOMIAL[1:]:
        power = fma(power, x - whole, f4(coefficient))
    return np.where(x < -150, f4(0), np.ldexp(power, np.maximum(whole, -1000).astype(int)))


def rsqrt(x: Array) -> Array:
    return f4(1) / np.sqrt(x)


def softmax(x: Array) -> Array:
    e = exp(x - x.max(1, keepdims=True))
    return e / sums(e)


class Normalise:
    """`y = x / sqrt(sum x^2 / n + eps)`, x less its mean before if it is centred; and its gradient."""

    def __init__(self, x: Array, centred: bool, n: int, eps: float):
        self.centred, self.n = centred, f4(n)
        if centred:
            x = x - sums(x) / f4(x.shape[1])
        self.r = rsqrt(np.maximum(sums(x * x) / self.n + f4(eps), f4(1e-24)))
        self.y = x * self.r

    def gradient(self, g: Array) -> Array:
        t = (g - self.y * (sums(g * self.y) / self.n)) * self.r
        return t - sums(t) / f4(t.shape[1]) if self.centred else t


class Reference:
    """A network with its training step; the weights are those of `Network.weights`, and are changed in place."""

    def __init__(self, e: Experiment, weights: dict[str, Array]):
        self.e, self.weights = e, {name: np.array(w) for name, w in weights.items()}

    def phi(self, w: Array) -> tuple[Array, Normalise | None]:
        """phi of words (n, d) in training, and what its gradient needs."""
        d, eps, weights = self.e.d, self.e.eps, self.weights
        match self.e.normalisation:
            case "none" | "fixed_norm":
                return w, None
            case "layernorm":
                norm = Normalise(w, True, d, eps)
            case "layernorm_affine":
                norm = Normalise(w, True, d, eps)
                return norm.y * weights["phi.weight"] + weights["phi.bias"], norm
            case "rmsnorm":
                norm = Normalise(w, False, d, eps)
            case "l2":
                norm = Normalise(w, False, 1, 0)
            case "batchnorm":
                mean = sums(w.T) / f4(len(w))
                variance = sums((w.T - mean) ** 2) / f4(len(w) - 1)
                for name, new in (("phi.running_mean", mean), ("phi.running_var", variance)):
                    weights[name] = weights[name] * f4(0.9) + new[:, 0] * f4(0.1)
                norm = Normalise(w.T, True, len(w), eps)
                return norm.y.T, norm
        return norm.y, norm

    def phi_gradient(self, g: Array, norm: Normalise | None, into: dict[str, Array]) -> Array:
        if norm is None:
            return g
        if self.e.normalisation == "batchnorm":
            return norm.gradient(g.T).T
        if self.e.normalisation == "layernorm_affine":
            into["phi.weight"], into["phi.bias"] = sums((g * norm.y).T)[:, 0], sums(g.T)[:, 0]
            g = g * self.weights["phi.weight"]
        return norm.gradient(g)

    def hidden(self, x: Array, i: int) -> Array:
        return np.maximum(product(x, self.weights[f"layers.{i}.0.weight"].T), f4(0))

    def hidden_gradient(self, g: Array, x: Array, y: Array, i: int, into: dict[str, Array]) -> Array:
        g = np.where(y > 0, g, f4(0))
        into[f"layers.{i}.0.weight"] = product(x.T, g).T
        return product(g, self.weights[f"layers.{i}.0.weight"])

    def transformer(self, x: Array, B: int) -> tuple[Array, tuple[Array, ...]]:
        """Attention and the two layers behind it, of x (B L, d); and what their gradient needs."""
        qkv = product(x, self.weights["layers.0.to_qkv.weight"].T)
        q, k, v = np.split(qkv.reshape(B, -1, qkv.shape[1]), 3, axis=2)
        closeness = product(q, k.swapaxes(1, 2)) / f4(math.sqrt(self.e.d))
        share = softmax(closeness.reshape(-1, self.e.L)).reshape(closeness.shape)
        met = product(share, v).reshape(x.shape)
        middle = x + product(met, self.weights["layers.0.out.weight"].T)
        up = np.maximum(product(middle, self.weights["layers.1.up.weight"].T), f4(0))
        return middle + product(up, self.weights["layers.1.down.weight"].T), (x, q, k, v, share, met, middle, up)

    def transformer_gradient(self, g: Array, kept: tuple[Array, ...], into: dict[str, Array]) -> Array:
        x, q, k, v, share, met, middle, up = kept
        weights = self.weights
        into["layers.1.down.weight"] = product(up.T, g).T
        to_up = np.where(up > 0, product(g, weights["layers.1.down.weight"]), f4(0))
        into["layers.1.up.weight"] = product(middle.T, to_up).T
        g = g + product(to_up, weights["layers.1.up.weight"])
        into["layers.0.out.weight"] = product(met.T, g).T
        to_met = product(g, weights["layers.0.out.weight"]).reshape(v.shape)
        to_share, to_v = product(to_met, v.swapaxes(1, 2)), product(share.swapaxes(1, 2), to_met)
        flat, to_flat = share.reshape(-1, self.e.L), to_share.reshape(-1, self.e.L)
        to_closeness = ((to_flat - sums(to_flat * flat)) * flat / f4(math.sqrt(self.e.d))).reshape(share.shape)
        to_q, to_k = product(to_closeness, k), product(q.swapaxes(1, 2), to_closeness).swapaxes(1, 2)
        to_qkv = np.concatenate([to_q, to_k, to_v], axis=2).reshape(len(x), -1)
        into["layers.0.to_qkv.weight"] = product(x.T, to_qkv).T
        return g + product(to_qkv, weights["layers.0.to_qkv.weight"])

    def step(self, sentences: Array, labels: Array) -> tuple[float, Array]:
        """One step of SGD: the loss and the scores (B, K) before it."""
        e, weights, B = self.e, self.weights, len(labels)
        gradients: dict[str, Array] = {}
        words, norm = self.phi(weights["W"][sentences.ravel()])
        x, kept = [words], ()
        if e.architecture == "transformer":
            last, kept = self.transformer(words, B)
            x.append(last)
        for i in range(layers := {"mlp1": 1, "mlp2": 2}.get(e.architecture, 0)):
            x.append(self.hidden(x[-1], i))
        X = x[-1].reshape(B, -1)

        S = product(X, weights["U"].T)
        below_top = S - S.max(1, keepdims=True)
        E = exp(below_top)
        Z = sums(E)
        rows = np.arange(B)
        losses = [math.log(z) - s for z, s in zip(Z[:, 0].tolist(), below_top[rows, labels].tolist(), strict=True)]
        G = E / (Z * f4(B))
        G[rows, labels] += f4(-1 / B)

        g = product(G, weights["U"]).reshape(x[-1].shape)
        for i in reversed(range(layers)):
            g = self.hidden_gradient(g, x[i], x[i + 1], i, gradients)
        if kept:
            g = self.transformer_gradient(g, kept, gradients)
        g = self.phi_gradient(g, norm, gradients)
        gradients["W"] = np.zeros_like(weights["W"])
        np.add.at(gradients["W"], sentences.ravel(), g)

        weights["U"] = weights["U"] * f4(1 - e.lr * e.lambda_U)
        for cut in cuts(B):
            weights["U"] = weights["U"] + product(X[cut].T, G[cut] * f4(-e.lr)).T
        for name, gradient in gradients.items():
            penalty = e.lambda_W if name == "W" or name.startswith("phi.") else e.lambda_U
            weights[name] = fma(gradient, f4(-e.lr), weights[name] * f4(1 - e.lr * penalty))
        return math.fsum(losses) / B, S

    def constrain(self) -> None:
        if self.e.normalisation == "fixed_norm":
            self.weights["W"] = self.weights["W"] * (rsqrt(sums(self.weights["W"] ** 2)) * f4(self.e.d**0.5))
