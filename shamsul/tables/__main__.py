"""Program `python -m shamsul.tables`, which writes the captions of the tables."""

from shamsul.tables import write_captions

write_captions()
