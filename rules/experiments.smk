# One network: its sentences, its training, its measures.


use rule stage as data with:
    """Draw the latents and sentences of a run."""
    input:
        code=code("stages.data"),
    output:
        data="results/{run}/data.safetensors",
    log:
        "results/{run}/log/data.log",
    priority: dag.priority
    resources:
        mem_mb=dag.memory,
        runtime=dag.few_minutes,
    params:
        verb="data {run}",
        experiment=dag.settings,


use rule stage as train with:
    """Train the network of a run on its data."""
    input:
        code=code("stages.train"),
        data="results/{run}/data.safetensors",
    output:
        weights="results/{run}/weights.safetensors",
        snapshots="results/{run}/snapshots.safetensors",
        history="results/{run}/history.csv",
        run="results/{run}/run.json",
    log:
        "results/{run}/log/train.log",
    benchmark:
        "results/{run}/log/train.benchmark.tsv"
    priority: dag.priority
    threads: dag.threads
    resources:
        mem_mb=dag.memory,
        runtime=dag.minutes,
    params:
        verb="train {run}",
        experiment=dag.settings,


use rule stage as features with:
    """Measure the features and the collapse of a run."""
    input:
        code=code("stages.features"),
        data="results/{run}/data.safetensors",
        weights="results/{run}/weights.safetensors",
        snapshots="results/{run}/snapshots.safetensors",
        history="results/{run}/history.csv",
        run="results/{run}/run.json",
    output:
        features="results/{run}/features.safetensors",
        metrics="results/{run}/metrics.json",
    log:
        "results/{run}/log/features.log",
    resources:
        mem_mb=dag.memory,
        runtime=dag.few_minutes,
    params:
        verb="features {run}",
        experiment=dag.settings,
