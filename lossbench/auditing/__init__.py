"""Audits of records: what no run can have, by the records alone and against the data."""
