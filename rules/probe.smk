"""What needs the model again: faithfulness, robustness and randomisation of heatmaps."""


rule probe:
    """Ask the model about some of one method's heatmaps of a shard."""
    input:
        checkpoint=f"{RUN}/model/checkpoint.pt",
        images=f"{RUN}/images/{{shard}}.h5",
        heatmaps=f"{RUN}/heatmaps/{{method}}/{{shard}}.h5",
        # Another network that the method explains is asked instead of the run's.
        other=lambda wildcards: getattr(METHODS[wildcards.method], "checkpoint", None)
        or [],
        code=program("probe"),
    output:
        probes=ensure(f"{RUN}/probes/{{method}}/{{shard}}.parquet", non_empty=True),
    log:
        f"{RUN}/logs/probe/{{method}}/{{shard}}.log",
    benchmark:
        f"{RUN}/benchmarks/probe/{{method}}/{{shard}}.tsv"
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
        software=lambda wildcards: software(
            "probe", registry.module(METHODS[wildcards.method])
        ),
        settings=probe_settings,
    shell:
        "python {input.code:q} --settings {params.settings:q} --checkpoint {input.checkpoint:q}"
        " --images {input.images:q} --heatmaps {input.heatmaps:q} --device {resources.device}"
        " --batch-size {resources.batch_size} --probes {output.probes:q}"
        " 2>&1 | tee {log:q}"


rule summarise_probes:
    """Summarise what the model said, with intervals."""
    input:
        probes=expand(f"{RUN}/probes/{{method}}/{{shard}}.parquet", **TESTED),
        manifests=shard_tables("parquet", "test"),
        code=program("summarise_probes"),
    output:
        faithfulness=table("faithfulness"),
        sanity=table("sanity"),
    log:
        f"{RUN}/logs/summarise_probes.log",
    benchmark:
        f"{RUN}/benchmarks/summarise_probes.tsv"
    conda:
        "../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        software=software("summarise_probes"),
        settings=evaluate_settings(*RESAMPLING),
        probes=lambda wildcards: spread(
            f"{RUN}/probes/{{method}}/{{shard}}.parquet", **TESTED
        ),
    shell:
        "python {input.code:q} --settings {params.settings:q} --probes {params.probes}"
        " --manifests {input.manifests:q} --faithfulness {output.faithfulness:q}"
        " --sanity {output.sanity:q} 2>&1 | tee {log:q}"
