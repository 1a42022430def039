#!/usr/bin/env bash
# What has become of the Slurm job of this number: running, success or failed. Write your own for
# another scheduler. The controller knows a job for some minutes after its end (MinJobAge).
state=$(squeue --noheader --states=all --format=%T --jobs "$1")
case $state in
    COMPLETED) echo success ;;
    PENDING | CONFIGURING | RUNNING | COMPLETING | SUSPENDED | REQUEUED) echo running ;;
    *) echo failed ;;
esac
