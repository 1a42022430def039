"""Look at a folder of radiographs, tables and masks: what each file and column seems to be."""
