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
# Which shard an image is in is not known when its file is read: the split may follow from masks.
PARTS = [f"{number:04d}" for number in range(CONFIG.data.parts)]
ALL_SHARDS = [shard for split in SPLITS for shard in SHARDS[split]]
LISTING = CONFIG.part(
    *("classes", "data.sources", "data.views", "data.exclude", "data.shards"),
    "data.on_bad_image",
)
# What the pixels of phantoms follow from.
GENERATED = shamsul.config.canonical(
    [
        software("phantom"),
        *(s.model_dump() for s in CONFIG.data.sources if s.name in PHANTOMS),
    ]
    if PHANTOMS
    else []
)


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


checkpoint listing:
    """List every image by the tables of its source, and divide images among parts to read."""
    input:
        watched=DATA_FILES,
        code=program("listing"),
    output:
        [
            ensure(f"{PRIVATE or RUN}/listing/{part}.parquet", non_empty=True)
            for part in PARTS
        ],
        listed=ensure(f"{PRIVATE or RUN}/listing/images.parquet", non_empty=True),
        rejected_rows=ensure(
            f"{PRIVATE or RUN}/listing/rejected.parquet", non_empty=True
        ),
        counts=ensure(f"{PRIVATE or RUN}/listing/sources.parquet", non_empty=True),
    log:
        f"{RUN}/logs/<job>.log",
    benchmark:
        f"{RUN}/benchmarks/<job>.tsv"
    pathvars:
        job=jobs("listing"),
    conda:
        "../envs/tables.yaml"
    resources:
        roots=ROOTS_JSON,
        names=NAMES,
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        **command(
            "listing",
            more=sources.modules(CONFIG.data),
            settings=LISTING,
            parts=lambda wildcards: f"{PRIVATE or PLACE}/listing",
        ),
    shell:
        "python {input.code:q} {params.options} --roots {resources.roots:q} {resources.names}"
        " 2>&1 | tee {log:q}"


rule read:
    """Read the image files of a part, once: sizes, grey values, checksums, and faults."""
    input:
        watched=lambda wildcards: changed_images(wildcards.part),
        listed=places,
        code=program("read"),
    output:
        facts_table=ensure(f"{PRIVATE or RUN}/read/{{part}}.parquet", non_empty=True),
    log:
        f"{RUN}/logs/<job>.log",
    benchmark:
        f"{RUN}/benchmarks/<job>.tsv"
    pathvars:
        job=jobs("read/{part}", part=PARTS),
    conda:
        "../envs/tables.yaml"
    threads: 2
    resources:
        roots=ROOTS_JSON,
        names=NAMES,
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        **command(
            "read",
            # Not an output: it has time stamps in it, and is brought up to date at every start.
            record=lambda wildcards: f"{PRIVATE or PLACE}/image_files/{wildcards.part}.csv",
        ),
        # No input says that the phantoms were generated anew.
        generated=lambda wildcards: GENERATED,
    shell:
        "python {input.code:q} {params.options} --roots {resources.roots:q} {resources.names}"
        " --threads {threads} 2>&1 | tee {log:q}"


checkpoint manifest:
    """Join images and their files, read masks, divide patients among splits, images among shards."""
    input:
        # What the jobs of the files depend on is looked at here too: whether this job is to run
        # must be known before they are, or all that follows is taken for updated.
        watched=lambda wildcards: DATA_FILES + changed_images(*PARTS),
        listed=f"{PRIVATE or RUN}/listing/images.parquet",
        rejected_rows=f"{PRIVATE or RUN}/listing/rejected.parquet",
        counts=f"{PRIVATE or RUN}/listing/sources.parquet",
        facts=[f"{PRIVATE or RUN}/read/{part}.parquet" for part in PARTS],
        key=given(*filter(None, [CONFIG.data.pseudonymise])),
        code=program("manifest"),
    output:
        [
            ensure(f"{RUN}/shards/{shard}.{kind}", non_empty=True)
            for shard in ALL_SHARDS
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
        rejected=table("rejected"),
        sources=table("sources"),
    log:
        f"{RUN}/logs/<job>.log",
    benchmark:
        f"{RUN}/benchmarks/<job>.tsv"
    pathvars:
        job=jobs("manifest"),
    conda:
        "../envs/tables.yaml"
    resources:
        roots=ROOTS_JSON,
        names=NAMES,
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        **command(
            "manifest",
            more=[
                *sources.modules(CONFIG.data),
                "scripts/listing.py",
                "scripts/read.py",
            ],
            settings=LISTING,
            shards=lambda wildcards: f"{PLACE}/shards",
        ),
        generated=lambda wildcards: GENERATED,
    shell:
        "python {input.code:q} {params.options} --roots {resources.roots:q} {resources.names}"
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
        names=NAMES,
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        **command(
            "images",
            settings=CONFIG.part("data.size", "data.geometry", "data.resampling"),
        ),
    shell:
        "python {input.code:q} {params.options} --roots {resources.roots:q} {resources.names}"
        " --threads {threads} 2>&1 | tee {log:q}"
