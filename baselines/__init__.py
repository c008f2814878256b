"""The baseline algorithms, by name. A new algorithm is one file and one line here."""
