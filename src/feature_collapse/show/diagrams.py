"""The two explanatory drawings: the data model (Figure 1) and the two networks (Figure 2)."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from feature_collapse.show.style import COLOURS, MARKERS, WIDTH

SMALL, BODY, HEADING = 7.0, 7.5, 9.0  # font sizes in points
LINE = 0.14  # inches between the lines of a label
GREY, PALE = "#595959", "#e6e6e6"

CONCEPTS = ("vegetable", "dairy", "meat")
WORDS = (
    ("potato", "carrot", "leek", "artichoke"),
    ("cheese", "milk", "yogurt", "kefir"),
    ("chicken", "beef", "pork", "venison"),
)
MU = (12 / 25, 6 / 25, 4 / 25, 3 / 25)  # Zipf's law for four words: proportional to 1 / beta
# The concepts alpha of each latent variable, and the ranks beta of the words of two sentences of
# each class, chosen so that over all 30 words the ranks are as frequent as MU, to the nearest word.
LATENTS = ((0, 1, 0, 1, 2), (2, 0, 1, 1, 0), (1, 2, 2, 0, 2))
RANKS = (
    ((1, 2, 4, 1, 2), (2, 1, 1, 3, 1)),
    ((1, 1, 3, 1, 2), (2, 1, 1, 4, 3)),
    ((2, 1, 4, 1, 3), (1, 3, 1, 4, 2)),
)


def data_model() -> Figure:
    """Figure 1: concepts, latent variables and sentences of a small example of the data model (§2).

    The example has n_c = 3 concepts of s_c = 4 words with Zipf frequencies, K = 3 latent variables
    of length L = 5, and 2 sentences of each class.
    """
    block = 1.17  # inches from one concept, or class, to the next
    height = 0.88 + 2 * block + 1.01 + 0.04
    figure, ax = _canvas(height)
    tops = [height - 0.88 - block * i for i in range(3)]
    _draw_concepts(ax, height, tops)
    _draw_classes(ax, height, tops)
    return figure


def _draw_concepts(ax: Axes, height: float, tops: Sequence[float]) -> None:
    """Left part of Figure 1: each concept's words with their ranks and frequencies."""
    x_rank, x_word, x_bar, bar = 0.12, 0.62, 1.04, 1.5
    _text(ax, 0.04, height - 0.12, "Concepts and words", HEADING, weight="bold")
    _text(ax, 0.04, height - 0.33, "$n_c=3$ concepts of $s_c=4$ words,")
    _text(ax, 0.04, height - 0.48, r"with the same frequencies $\mu$ in each")
    _text(ax, x_rank, height - 0.71, r"$\beta$", SMALL, ha="center", color=GREY)
    _text(ax, x_word, height - 0.71, "word", SMALL, ha="center", color=GREY)
    _text(ax, x_bar, height - 0.71, r"frequency $\mu_\beta\propto 1/\beta$", SMALL, color=GREY)
    for alpha, top in enumerate(tops):
        _chip(ax, (x_word, top - 0.105), (0.68, 0.21), CONCEPTS[alpha], alpha, solid=True)
        for beta, mu in enumerate(MU, start=1):
            y = top - 0.17 - 0.19 * beta
            _text(ax, x_rank, y, f"{beta}", SMALL, ha="center")
            _chip(ax, (x_word, y), (0.68, 0.16), WORDS[alpha][beta - 1], alpha)
            ax.add_patch(Rectangle((x_bar, y - 0.05), bar * mu, 0.1, fc=COLOURS[alpha], lw=0))
            _text(ax, x_bar + bar * mu + 0.05, y, f"{mu:.2f}", SMALL)


def _draw_classes(ax: Axes, height: float, tops: Sequence[float]) -> None:
    """Right part of Figure 1: each class's latent variable above two of its sentences."""
    left, size = 2.45, (0.65, 0.21)
    columns = [3.865 + 0.69 * i for i in range(5)]
    choice = "Class $k$: a sequence $z_k$ of $L=5$ concepts, drawn uniformly at random ($K=3$ of them)"
    rule = r"A sentence of class $k$: at position $l$ a word of concept $z_{k,l}$, drawn from $\mu$"
    _text(ax, left, height - 0.12, "Latent variables and sentences", HEADING, weight="bold")
    _text(ax, left, height - 0.33, choice)
    _text(ax, left, height - 0.48, rule)
    _text(ax, left, height - 0.71, "position", SMALL, color=GREY)
    for position, x in enumerate(columns, start=1):
        _text(ax, x, height - 0.71, f"$l={position}$", SMALL, ha="center", color=GREY)
    for k, top in enumerate(tops):
        y_latent, y_sentences = top - 0.105, (top - 0.635, top - 0.905)
        _label(ax, left, y_latent, f"latent variable $z_{k + 1}$", f"= class {k + 1}")
        _label(ax, left, sum(y_sentences) / 2, "sentences $x$", f"of class {k + 1}")
        for i, (x, alpha) in enumerate(zip(columns, LATENTS[k], strict=True)):
            _chip(ax, (x, y_latent), size, CONCEPTS[alpha], alpha, solid=True)
            _arrow(ax, (x, y_latent - 0.105), (x, y_sentences[0] + 0.105))
            _text(ax, x + 0.06, (y_latent + y_sentences[0]) / 2, r"$\mu$", SMALL, color=GREY)
            for y, ranks in zip(y_sentences, RANKS[k], strict=True):
                _chip(ax, (x, y), size, WORDS[alpha][ranks[i] - 1], alpha)


ROWS = {  # of Figure 2: inches from its lower edge
    "title": 4.30,
    "formula": 4.07,
    "word": 3.72,
    "vector": 3.17,
    "phi": 2.63,
    "joined": 2.17,
    "u_1": 1.70,
    "U": 1.57,
    "u_2": 1.44,
    "dots": 1.18,
    "concepts": 1.05,
    "u_K": 0.92,
    "score": 0.50,
    "penalty": 0.15,
}


def networks() -> Figure:
    """Figure 2: the networks h and h* (§3), which differ by a LayerNorm phi of each word embedding.

    The block u_{k,l} has the colour of the concept z_{k,l}.
    """
    figure, ax = _canvas(4.42)
    _text(ax, 0.04, ROWS["title"], "Network", HEADING, weight="bold")
    labels = {
        "formula": ("scores of $x$",),
        "word": ("sentence $x$",),
        "vector": ("word embeddings", r"in $\mathbb{R}^d$, columns", r"of $W$ ($d\times n_w$)"),
        "phi": (r"LayerNorm $\varphi$:", r"mean 0, norm $\sqrt{d}$"),
        "joined": ("concatenation", r"in $\mathbb{R}^{Ld}$"),
        "U": ("classifier $U$", r"($K\times Ld$), no bias"),
        "concepts": ("each $u_{k,l}$ marked by", "its concept $z_{k,l}$"),
        "score": ("score of class $k$",),
        "penalty": ("penalty",),
    }
    for row, lines in labels.items():
        _label(ax, 0.04, ROWS[row], *lines)
    _draw_network(ax, 1.24, False)
    _draw_network(ax, 4.25, True)
    return figure


def _draw_network(ax: Axes, left: float, layer_norm: bool) -> None:
    """One network, read downwards: position l is a column, from its word to the blocks u_{k,l}."""
    y = ROWS
    if layer_norm:
        title = r"$\mathbfit{h}^{\mathbf{\ast}}$, with LayerNorm"
        h, phi = r"h^{\ast}", r"\varphi(w_{x_%s})"
        penalty = r"$(\lambda_U/2)\,\Vert U\Vert_F^2$, none on $W$"
    else:
        title = r"$\mathbfit{h}$, without LayerNorm"
        h, phi = "h", "w_{x_%s}"
        penalty = r"$(\lambda_W/2)\,\Vert W\Vert_F^2+(\lambda_U/2)\,\Vert U\Vert_F^2$"
    inner = r"\langle u_{k,l},\," + phi % "l" + r"\rangle"
    _text(ax, left, y["title"], title, HEADING, weight="bold")
    _text(ax, left, y["formula"], rf"${h}(x)=U\,[{phi % 1};\,\ldots;\,{phi % 'L'}]$")
    _text(ax, left, y["score"], rf"${h}_k(x)=\sum_{{l=1}}^L\,{inner}$")
    _text(ax, left, y["penalty"], penalty)

    width, x_dots, x_score = 0.58, left + 1.38, left + 2.53
    for symbol, i, x in (("1", 0, left + 0.29), ("2", 1, left + 0.89), ("L", -1, left + 1.87)):
        alpha = LATENTS[0][i]
        edge, face = COLOURS[alpha], _tint(COLOURS[alpha])
        word = WORDS[alpha][RANKS[0][0][i] - 1]
        _chip(ax, (x, y["word"]), (width - 0.02, 0.21), word, alpha)
        _arrow(ax, (x, y["word"] - 0.105), (x, y["vector"] + 0.25))
        for cell in range(5):
            _box(ax, (x, y["vector"] + 0.1 * (cell - 2)), (0.13, 0.1), face, edge)
        _text(ax, x + 0.1, y["vector"], f"$w_{{x_{symbol}}}$")
        start = y["vector"] - 0.25
        if layer_norm:
            _arrow(ax, (x, start), (x, y["phi"] + 0.1))
            _box(ax, (x, y["phi"]), (0.26, 0.2), PALE, GREY)
            _text(ax, x, y["phi"], r"$\varphi$", ha="center")
            start = y["phi"] - 0.1
        _arrow(ax, (x, start), (x, y["joined"] + 0.11))
        _box(ax, (x, y["joined"]), (width, 0.22), face, edge)
        _text(ax, x, y["joined"], f"${phi % symbol}$", ha="center")
        _arrow(ax, (x, y["joined"] - 0.11), (x, y["u_1"] + 0.12))
        for k, latent in zip("12K", LATENTS, strict=True):
            u = f"$u_{{{k},{symbol}}}$"
            _chip(ax, (x, y[f"u_{k}"]), (width, 0.24), u, latent[i], solid=True)
        _text(ax, x, y["dots"], r"$\vdots$", ha="center")
    for row in ("word", "vector", "joined", "u_1", "u_2", "u_K"):
        _text(ax, x_dots, y[row], r"$\cdots$", ha="center")
    _text(ax, x_score, y["u_1"] + 0.23, "scores", ha="center")
    for k in "12K":
        _arrow(ax, (left + 2.16, y[f"u_{k}"]), (x_score - 0.17, y[f"u_{k}"]))
        _box(ax, (x_score, y[f"u_{k}"]), (0.34, 0.2), PALE, GREY)
        _text(ax, x_score, y[f"u_{k}"], f"${h}_{k}$", ha="center")
    _text(ax, x_score, y["dots"], r"$\vdots$", ha="center")


def _canvas(height: float) -> tuple[Figure, Axes]:
    """An empty figure whose coordinates are inches from its lower left corner."""
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    ax = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(0, height))
    ax.set_axis_off()
    return figure, ax


def _text(ax: Axes, x: float, y: float, text: str, size: float = BODY, **kwargs: Any) -> None:
    # The baseline hangs below y by a fixed part of the size: centring each text's own box would put
    # texts with and without subscripts on different lines.
    fonts: dict[str, Any] = {"family": "DejaVu Sans", "math_fontfamily": "dejavusans"}
    ax.text(x, y - 0.3 * size / 72, text, fontsize=size, va="baseline", **fonts, **kwargs)


def _label(ax: Axes, x: float, y: float, *lines: str) -> None:
    """Lines of text, centred about y as a whole."""
    for i, line in enumerate(lines):
        _text(ax, x, y + LINE * ((len(lines) - 1) / 2 - i), line)


def _box(
    ax: Axes,
    centre: tuple[float, float],
    size: tuple[float, float],
    face: str | tuple[float, ...],
    edge: str,
    style: str = "square,pad=0",
) -> None:
    corner = (centre[0] - size[0] / 2, centre[1] - size[1] / 2)
    ax.add_patch(FancyBboxPatch(corner, *size, boxstyle=style, fc=face, ec=edge, lw=0.8))


def _chip(
    ax: Axes,
    centre: tuple[float, float],
    size: tuple[float, float],
    text: str,
    alpha: int,
    solid: bool = False,
) -> None:
    """A box with a text and the symbol of concept alpha; words are pale, all else is solid."""
    (x, y), colour = centre, COLOURS[alpha]
    if solid:
        _box(ax, centre, size, colour, colour)
        mark = ink = _ink(colour)
    else:
        _box(ax, centre, size, _tint(colour), colour, "round,pad=0,rounding_size=0.06")
        mark, ink = colour, "black"
    ax.plot(x - size[0] / 2 + 0.07, y, MARKERS[alpha], ms=3.4, color=mark, mew=0)
    _text(ax, x + 0.045, y, text, SMALL, ha="center", color=ink)


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    style = "-|>,head_length=2.5,head_width=1.5"
    line: dict[str, Any] = {"color": GREY, "lw": 0.8, "shrinkA": 2, "shrinkB": 2}
    ax.add_patch(FancyArrowPatch(start, end, arrowstyle=style, **line))


def _ink(colour: str) -> str:
    """White on dark colours and black on light ones, by relative luminance (WCAG 2.1, 2018)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "white" if luminance < 0.3 else "black"


def _tint(colour: str) -> tuple[float, ...]:
    return tuple(1 - 0.16 * (1 - c) for c in to_rgb(colour))
