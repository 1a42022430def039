"""One radiograph with its maps, as the page of a case shows it: of a run, or explained now."""
