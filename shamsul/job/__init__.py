"""Everything around a job: its program, watchdog, progress, code fingerprint and Snakemake's
records.
"""
