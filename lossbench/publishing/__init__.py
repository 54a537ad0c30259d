"""From records to tables, pictures and pages."""
