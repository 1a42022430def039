# Sourced by the shell of every job before its command (rules/common.smk).

# No job outlives Snakemake, which is the parent of this shell (shamsul/job/watchdog.py).
export SHAMSUL_PARENT=$PPID

# A program that the system kills cannot say so itself.
python() {
    local status=0
    command python "$@" || status=$?
    if [ $status = 137 ]; then
        echo "error: killed by the system, most often for want of memory: run fewer jobs at once" \
            "(--cores; --resources mem_mb=MB of all together), or try again with more (--retries 1)"
    fi
    return $status
}

# Ctrl-C ends the program, which has something to say of it, and not what shows and keeps it.
tee() {
    command tee -i "$@"
}
