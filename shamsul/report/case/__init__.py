"""The page of one radiograph: readers' outlines, maps of any methods, and live measures."""
