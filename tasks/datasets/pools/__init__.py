"""Pools of images: folders, tar shards and Parquet files, on this machine or behind an address. Each gives names and encoded images."""
