"""One module for each layout of data on disk; see `shamsul.data.adapter`."""
