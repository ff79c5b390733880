# %% [markdown]
# # An experiment of one's own: a few common words and many rare ones
#
# The paper's word frequencies are uniform or fall as 1/beta. Here a tenth of the words of each concept are a hundred
# times as frequent as the others. Do words of a concept become one vector all the same, and what does LayerNorm change?
#
# Run it in the top folder of the project, `python examples/own_experiment.py`, or cell by cell in an editor that knows
# percent cells; `jupytext --to ipynb` makes a notebook of it.

# %% Settings: those of the paper's Figure 4b at toy size, with some keys changed
import matplotlib.pyplot as plt
import torch

from feature_collapse import Config, Experiment, draw_sentences, generate, generator, measure, project, train

settings = Config().run("smoke/fig4b/seed0").experiment.model_dump()
settings |= {"n_w": 120, "K": 100, "d": 20, "n_test": 20, "epochs": 600}

# %% The concept of each word, (n_w,), and its frequency in it, mu (n_w,)
s_c = settings["n_w"] // settings["n_c"]
mu = torch.where(torch.arange(s_c) < s_c // 10, 100.0, 1.0).double()
concepts = torch.arange(settings["n_w"]) // s_c
mu = (mu / mu.sum()).repeat(settings["n_c"])

# %% Train without and with LayerNorm, on the same sentences of that law
figure, panels = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
for panel, normalisation, lambda_W in zip(panels, ["none", "layernorm"], [0.001, 0.0], strict=True):
    e = Experiment(**settings | {"normalisation": normalisation, "lambda_W": lambda_W})
    data = generate(e, seed=0)  # its latents and labels serve, its sentences follow another law
    for part, n in [("train", e.n_spl), ("test", e.n_test)]:
        stream = generator(0, f"{part} sentences")
        data[f"{part}_sentences"] = draw_sentences(data["Z"], concepts, mu, n, stream)
    trained = train(e, seed=0, data=data)
    words, u = trained.network.words().detach(), trained.network.u().detach()
    collapse = measure(words, concepts, u.flatten(0, 1), data["Z"].flatten())
    accuracy = trained.history[-1]["test_accuracy"]
    print(f"{normalisation}: test accuracy {accuracy:.1%}, CDNV of the words {collapse['words_cdnv']:.3f}")
    plane, _, _ = project(words, concepts)
    panel.scatter(*plane.T[:2], s=4000 * mu, c=concepts, alpha=0.5)
    panel.set(title=f"{normalisation}: test accuracy {accuracy:.1%}", aspect="equal")

# %% Words on their first two principal components: the larger the dot, the more frequent the word
figure.savefig("own_experiment.png")
