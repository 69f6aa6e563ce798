"""Plans: which platform calls answer a filter, decided without making any."""
