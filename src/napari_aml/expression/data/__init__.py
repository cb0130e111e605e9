"""Gene ids, lengths and former names, as shipped; `make` says how they were made."""
