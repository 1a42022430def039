"""Heatmaps: one file per method and shard."""

PERTURBED = (
    EXPLAINED_SHARDS if any(method.uses_shared for method in METHODS.values()) else []
)


use rule model_job as perturb with:
    """Ask the network about perturbed versions of a shard's radiographs, for several methods."""
    input:
        listed,
        checkpoint=f"{RUN}/model/checkpoint.pt",
        images=f"{RUN}/images/{{shard}}.h5",
        code=program("perturb"),
    output:
        perturbed=ensure(f"{RUN}/perturbed/{{shard}}.h5", non_empty=True),
    pathvars:
        job=jobs("perturb/{shard}", shard=PERTURBED),
    # Several methods wait for it.
    priority: 2
    resources:
        device=DEVICE,
        batch_size=BATCH_SIZE,
        mem_mb=growing(4000),
        runtime=growing(240),
        gpu=GPU,
    params:
        **command(
            "perturb",
            more=network_code,
            settings=CONFIG.part("seed", "classes", "explain.perturbations"),
        ),


use rule model_job as explain with:
    """Explain every class of every image of a shard by one method."""
    input:
        listed,
        unpack(more_for_method),
        checkpoint=f"{RUN}/model/checkpoint.pt",
        images=f"{RUN}/images/{{shard}}.h5",
        code=program("explain"),
    output:
        heatmaps=ensure(f"{RUN}/heatmaps/{{method}}/{{shard}}.h5", non_empty=True),
    pathvars:
        job=jobs("explain/{method}/{shard}", **EVERY),
    resources:
        device=lambda wildcards: DEVICE if needs_gpu(wildcards.method) else "cpu",
        batch_size=BATCH_SIZE,
        mem_mb=growing(4000),
        runtime=growing(240),
        gpu=lambda wildcards: GPU if needs_gpu(wildcards.method) else 0,
    params:
        # The method's own module and what that imports, and no other method's.
        **command(
            "explain",
            more=lambda wildcards: [
                registry.module(METHODS[wildcards.method]),
                *network_code(wildcards),
            ],
            settings=method_settings,
            **({"private": private_names} if PRIVATE else {}),
        ),
