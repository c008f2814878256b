"""Data that ships with coopgym."""
