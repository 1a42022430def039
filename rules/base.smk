"""Lines that rules have in common, which they take by `use rule ... as`.

A rule adds its inputs, outputs, memory and time, its `command`,
and the pathvar `job`, which names its log and benchmark.
"""


rule table_job:
    """Make a table: base of rules, without a job of its own."""
    log:
        f"{RUN}/logs/<job>.log",
    benchmark:
        f"{RUN}/benchmarks/<job>.tsv"
    pathvars:
        job="table_job",
    priority: 1
    conda:
        "../envs/tables.yaml"
    shell:
        "python {input.code:q} {params.options} 2>&1 | tee {log:q}"


rule model_job:
    """Ask the network: base of rules, without a job of its own."""
    log:
        f"{RUN}/logs/<job>.log",
    benchmark:
        f"{RUN}/benchmarks/<job>.tsv"
    pathvars:
        job="model_job",
    priority: 1
    conda:
        "../envs/torch.yaml"
    shell:
        "python {input.code:q} {params.options} --device {resources.device}"
        " --batch-size {resources.batch_size} 2>&1 | tee {log:q}"
