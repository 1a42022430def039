"""Heatmaps: one file per method and shard."""


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
        device=DEVICE,
        batch_size=BATCH_SIZE,
        mem_mb=4000,
        runtime=240,
        gpu=GPU,
    params:
        settings=method_settings,
    shell:
        "python {input.code[0]} --settings {params.settings:q} --checkpoint {input.checkpoint:q}"
        " --images {input.images:q} --device {resources.device} --batch-size {resources.batch_size}"
        " --threads {threads} --heatmaps {output.heatmaps:q} 2>&1 | tee {log:q}"
