"""`python -m shamsul.tables` writes the captions of the tables."""

from shamsul.tables import write_captions

write_captions()
