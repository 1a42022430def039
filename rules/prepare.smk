"""Radiographs, labels and masks: from their files to shards at the model's resolution."""


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
        f"{RUN}/logs/phantom/{{source}}.log",
    benchmark:
        f"{RUN}/benchmarks/phantom/{{source}}.tsv"
    conda:
        "../envs/tables.yaml"
    threads: 2
    resources:
        mem_mb=growing(1000),
        runtime=growing(60),
    params:
        software=software("phantom"),
        settings=lambda wildcards: next(
            shamsul.config.canonical(source)
            for source in CONFIG.data.sources
            if source.name == wildcards.source
        ),
        directory=f"{RUN}/phantom/{{source}}",
    shell:
        "python {input.code:q} --settings {params.settings:q} --threads {threads}"
        " --directory {params.directory:q} 2>&1 | tee {log:q}"


checkpoint manifest:
    """List every image and mask, divide patients among splits and images among shards."""
    input:
        files=list(sources.input_files(CONFIG.data, ROOTS)),
        changes=changed_images,
        code=program("manifest"),
    output:
        manifest=ensure(f"{RUN}/manifest.parquet", non_empty=True),
        masks=ensure(f"{RUN}/masks.parquet", non_empty=True),
        shards=[
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
    log:
        f"{RUN}/logs/manifest.log",
    benchmark:
        f"{RUN}/benchmarks/manifest.tsv"
    conda:
        "../envs/tables.yaml"
    threads: 2
    resources:
        roots=ROOTS_JSON,
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        software=software("manifest", *sources.modules(CONFIG.data)),
        settings=CONFIG.part(
            "classes", "data.sources", "data.views", "data.exclude", "data.shards"
        ),
        shards=lambda wildcards, output: str(Path(output.shards[0]).parent),
        # Not an output: it has time stamps in it, and is brought up to date at every start.
        record=f"{RUN}/image_files.csv",
    shell:
        "python {input.code:q} --settings {params.settings:q} --roots {resources.roots:q}"
        " --threads {threads} --manifest {output.manifest:q} --masks {output.masks:q}"
        " --shards {params.shards:q} --record {params.record:q} 2>&1 | tee {log:q}"


rule images:
    """Bring the radiographs of a shard to the model's frame, once."""
    input:
        manifest=shard_table("files.parquet"),
        code=program("images"),
    output:
        images=ensure(f"{RUN}/images/{{shard}}.h5", non_empty=True),
    log:
        f"{RUN}/logs/images/{{shard}}.log",
    benchmark:
        f"{RUN}/benchmarks/images/{{shard}}.tsv"
    conda:
        "../envs/tables.yaml"
    threads: 1
    resources:
        roots=ROOTS_JSON,
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        software=software("images"),
        settings=CONFIG.part("data.size", "data.geometry"),
    shell:
        "python {input.code:q} --settings {params.settings:q} --roots {resources.roots:q}"
        " --threads {threads} --manifest {input.manifest:q} --images {output.images:q}"
        " 2>&1 | tee {log:q}"
