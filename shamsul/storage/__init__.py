"""Files that stages hand to one another: Parquet tables and HDF5 shards, one module for each kind.

No torch here: scoring and report read these files without it. A program imports the modules of the
kinds that it uses, and is run again when one of these changes and not when another does.
"""
