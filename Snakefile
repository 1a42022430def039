"""shamsul: from radiographs to a report on explanation methods.

Rules are in rules/, one file per stage, and their shared parts in rules/common.smk. The work is
done by the programs in scripts/, which call the library in shamsul/.
"""

from snakemake.utils import min_version

min_version("9.27")


report: "captions/workflow.rst"


# A configuration given with --configfile replaces the default experiment whole; it is not merged
# with it.
if not workflow.overwrite_configfiles:

    configfile: workflow.source_path("config.yaml")


include: "rules/common.smk"
include: "rules/jobs.smk"
include: "rules/base.smk"
include: "rules/methods.smk"
include: "rules/prepare.smk"
include: "rules/train.smk"
include: "rules/explain.smk"
include: "rules/probe.smk"
include: "rules/evaluate.smk"
include: "rules/chexlocalize.smk"
include: "rules/report.smk"


# Here no other Snakemake is at work on this run, and nothing is on a dry run.
onstart:
    check_gpu_is_known()
    want_targets()
    start_jobs_at_once()
    remove_leftovers(PLACE)


# Where the rest goes on without the jobs that failed, their own messages are far above by now.
onerror:
    for line in failures():
        logger.error(line)


# Targets, by stage: `snakemake train`, `heatmaps`, `metrics`, and `report`, which is all there is.
rule all:
    """Make the report and all that it is made of."""
    default_target: True
    input:
        f"{RUN}/report.html",


rule heatmaps:
    """Make the heatmaps of every method; a target."""
    input:
        expand(f"{RUN}/heatmaps/{{method}}/{{shard}}.h5", **EVERY),


rule metrics:
    """Make every table that the report is made of; a target."""
    input:
        list(REPORT_TABLES.values()),


localrules:
    all,
    heatmaps,
    metrics,
