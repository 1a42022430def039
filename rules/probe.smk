"""Probes, for which the model is asked again: faithfulness, robustness and randomisation."""


use rule model_job as probe with:
    """Ask the model about some of one method's heatmaps of a shard."""
    input:
        listed,
        unpack(lambda wildcards: train_inputs(METHODS[wildcards.method])),
        checkpoint=f"{RUN}/model/checkpoint.pt",
        images=f"{RUN}/images/{{shard}}.h5",
        heatmaps=f"{RUN}/heatmaps/{{method}}/{{shard}}.h5",
        # Another network that the method explains is asked instead of the run's.
        watched=lambda wildcards: other_checkpoint(METHODS[wildcards.method]),
        code=program("probe"),
    output:
        probes=ensure(f"{RUN}/probes/{{method}}/{{shard}}.parquet", non_empty=True),
    pathvars:
        job=jobs("probe/{method}/{shard}", **(TESTED if CONFIG.probe.images else NONE)),
    # Few jobs wait for the probes. So they take the cores that the long tables, one after the other,
    # leave idle at the end; the longest of them first.
    priority: lambda wildcards: 0.5 * (METHODS[wildcards.method].cost == "sampling")
    resources:
        device=DEVICE,
        batch_size=BATCH_SIZE,
        mem_mb=growing(4000),
        runtime=growing(240),
        gpu=GPU,
    params:
        **command(
            "probe",
            more=lambda wildcards: [
                registry.module(METHODS[wildcards.method]),
                *network_code(wildcards),
            ],
            settings=probe_settings,
        ),


use rule table_job as summarise_probes with:
    """Summarise the probes, with intervals."""
    input:
        probes=expand(f"{RUN}/probes/{{method}}/{{shard}}.parquet", **TESTED),
        manifests=shard_tables("parquet", "test"),
        code=program("summarise_probes"),
    output:
        faithfulness=table("faithfulness"),
        sanity=table("sanity"),
    pathvars:
        job=jobs("summarise_probes") if CONFIG.probe.images else "summarise_probes",
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        **command("summarise_probes", settings=evaluate_settings(Inference)),
