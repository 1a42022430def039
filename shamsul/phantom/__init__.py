"""Generated chest radiographs whose findings are known: patients, anatomy, readers, shortcuts."""
