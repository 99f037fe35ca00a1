"""Read models: one file each, with its tables, its pure fold and its queries."""
