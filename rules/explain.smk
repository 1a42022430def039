"""Heatmaps: one file per method and shard."""


rule perturb:
    """Ask the network about perturbed versions of a shard's radiographs, for several methods."""
    input:
        checkpoint=f"{RUN}/model/checkpoint.pt",
        images=f"{RUN}/images/{{shard}}.h5",
        code=program("perturb"),
    output:
        perturbed=ensure(f"{RUN}/perturbed/{{shard}}.h5", non_empty=True),
    log:
        f"{RUN}/logs/perturb/{{shard}}.log",
    benchmark:
        f"{RUN}/benchmarks/perturb/{{shard}}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        device=DEVICE,
        batch_size=BATCH_SIZE,
        mem_mb=growing(4000),
        runtime=growing(240),
        gpu=GPU,
    params:
        software=software("perturb"),
        settings=CONFIG.part("seed", "classes", "explain.perturbations"),
    shell:
        "python {input.code:q} --settings {params.settings:q} --checkpoint {input.checkpoint:q}"
        " --images {input.images:q} --device {resources.device} --batch-size {resources.batch_size}"
        " --perturbed {output.perturbed:q} 2>&1 | tee {log:q}"


rule explain:
    """Explain every class of every image of a shard by one method."""
    input:
        unpack(more_for_method),
        checkpoint=f"{RUN}/model/checkpoint.pt",
        images=f"{RUN}/images/{{shard}}.h5",
        code=program("explain"),
    output:
        heatmaps=ensure(f"{RUN}/heatmaps/{{method}}/{{shard}}.h5", non_empty=True),
    log:
        f"{RUN}/logs/explain/{{method}}/{{shard}}.log",
    benchmark:
        f"{RUN}/benchmarks/explain/{{method}}/{{shard}}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        device=lambda wildcards: DEVICE if needs_gpu(wildcards.method) else "cpu",
        batch_size=BATCH_SIZE,
        mem_mb=growing(4000),
        runtime=growing(240),
        gpu=lambda wildcards: GPU if needs_gpu(wildcards.method) else 0,
    params:
        # The method's own module and what that imports, and no other method's.
        software=lambda wildcards: software(
            "explain", registry.module(METHODS[wildcards.method])
        ),
        settings=method_settings,
        more=lambda wildcards, input: method_options(input),
    shell:
        "python {input.code:q} --settings {params.settings:q} --checkpoint {input.checkpoint:q}"
        " --images {input.images:q} --device {resources.device} --batch-size {resources.batch_size}"
        " {params.more} --heatmaps {output.heatmaps:q} 2>&1 | tee {log:q}"
