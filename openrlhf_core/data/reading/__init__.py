"""Reads the rows of datasets: files of several formats, directories, patterns, saved datasets."""
