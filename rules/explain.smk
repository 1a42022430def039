"""Heatmaps: one file per method and shard."""


def method_settings(wildcards):
    """What a method's heatmaps depend on besides images and weights."""
    return shamsul.config.canonical(
        {
            "seed": CONFIG.seed,
            "classes": CONFIG.classes,
            "explained": CONFIG.explained_classes,
            "name": wildcards.method,
            "entry": registry.entry(METHODS[wildcards.method]),
        }
    )


rule heatmaps:
    """Explain every class of every image of a shard by one method."""
    input:
        checkpoint=f"{RUN}/model/checkpoint.pt",
        images=f"{RUN}/images/{{shard}}.h5",
        # The method's own module and what that imports, and no other method's.
        code=lambda wildcards: program(
            "explain", registry.module(METHODS[wildcards.method])
        ),
    output:
        heatmaps=ensure(f"{RUN}/heatmaps/{{method}}/{{shard}}.h5", non_empty=True),
    log:
        f"{RUN}/logs/heatmaps/{{method}}/{{shard}}.log",
    benchmark:
        f"{RUN}/benchmarks/heatmaps/{{method}}/{{shard}}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
        gpu=GPU,
    params:
        settings=method_settings,
    shell:
        "python {input.code[0]} --settings {params.settings:q} --checkpoint {input.checkpoint:q}"
        " --images {input.images:q} --device {DEVICE} --batch-size {BATCH_SIZE}"
        " --threads {threads} --heatmaps {output.heatmaps:q} 2>&1 | tee {log:q}"
