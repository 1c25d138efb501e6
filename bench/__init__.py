"""How fast the house is, beside what else there is: ``make bench``."""
