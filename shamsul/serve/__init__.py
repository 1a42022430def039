"""A page of this machine on which a radiograph is dropped, and explained: `shamsul serve`."""
