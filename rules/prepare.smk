"""Radiographs, labels and masks: from their files to shards at the model's resolution."""

PHANTOMS = [s.name for s in CONFIG.data.sources if isinstance(s, PhantomSource)]
# Images that no job needs are not brought to the model's frame: to train on, without training.
PREPARED = [
    shard
    for split in (EXPLAINED if CONFIG.model.trained else SPLITS)
    for shard in SHARDS[split]
]
# Classes that have masks: what is scored depends on them, and hardly ever changes.
MASKED = f"{RUN}/masked_classes.parquet"
if any(method.train_inputs for method in METHODS.values()):
    PREPARED = sorted({*PREPARED, SHARDS["train"][0]})
DATA_FILES = given(*sources.input_files(CONFIG.data, ROOTS))


rule phantom:
    """Generate a source of phantoms as a tree of CheXpert's and CheXlocalize's form."""
    input:
        code=program("phantom"),
    output:
        [
            ensure(f"{RUN}/phantom/{{source}}/{file}", non_empty=True)
            for files in PHANTOM_FILES.values()
            for file in files.values()
        ],
    log:
        f"{RUN}/logs/<job>.log",
    benchmark:
        f"{RUN}/benchmarks/<job>.tsv"
    pathvars:
        job=jobs("phantom/{source}", source=PHANTOMS),
    conda:
        "../envs/tables.yaml"
    threads: 2
    resources:
        mem_mb=growing(1000),
        runtime=growing(60),
    params:
        **command(
            "phantom",
            settings=lambda wildcards: next(
                shamsul.config.canonical(source)
                for source in CONFIG.data.sources
                if source.name == wildcards.source
            ),
            directory=lambda wildcards: f"{PLACE}/phantom/{wildcards.source}",
        ),
    shell:
        "python {input.code:q} {params.options} --threads {threads} 2>&1 | tee {log:q}"


checkpoint manifest:
    """List every image and mask, divide patients among splits and images among shards."""
    input:
        watched=lambda wildcards: DATA_FILES + changed_images(),
        code=program("manifest"),
    output:
        [
            ensure(f"{RUN}/shards/{shard}.{kind}", non_empty=True)
            for split in SPLITS
            for shard in SHARDS[split]
            for kind in (
                "parquet",
                "files.parquet",
                "patients.parquet",
                "masks.parquet",
            )
        ],
        manifest=ensure(f"{RUN}/manifest.parquet", non_empty=True),
        masks=ensure(f"{RUN}/masks.parquet", non_empty=True),
        masked=ensure(MASKED, non_empty=True),
    log:
        f"{RUN}/logs/<job>.log",
    benchmark:
        f"{RUN}/benchmarks/<job>.tsv"
    pathvars:
        job=jobs("manifest"),
    conda:
        "../envs/tables.yaml"
    threads: 2
    resources:
        roots=ROOTS_JSON,
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        **command(
            "manifest",
            more=sources.modules(CONFIG.data),
            settings=CONFIG.part(
                "classes", "data.sources", "data.views", "data.exclude", "data.shards"
            ),
            shards=lambda wildcards: f"{PLACE}/shards",
            # Not an output: it has time stamps in it, and is brought up to date at every start.
            record=f"{PLACE}/image_files.csv",
        ),
    shell:
        "python {input.code:q} {params.options} --roots {resources.roots:q} --threads {threads}"
        " 2>&1 | tee {log:q}"


rule images:
    """Bring the radiographs of a shard to the model's frame, once."""
    input:
        manifest=shard_table("files.parquet"),
        code=program("images"),
    output:
        images=ensure(f"{RUN}/images/{{shard}}.h5", non_empty=True),
    log:
        f"{RUN}/logs/<job>.log",
    benchmark:
        f"{RUN}/benchmarks/<job>.tsv"
    pathvars:
        job=jobs("images/{shard}", shard=PREPARED),
    conda:
        "../envs/tables.yaml"
    resources:
        roots=ROOTS_JSON,
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        **command(
            "images",
            settings=CONFIG.part("data.size", "data.geometry", "data.resampling"),
        ),
    shell:
        "python {input.code:q} {params.options} --roots {resources.roots:q} --threads {threads}"
        " 2>&1 | tee {log:q}"
