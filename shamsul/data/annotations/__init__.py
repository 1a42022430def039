"""Masks and boxes as annotation programs and competitions write them, one module for each form."""
