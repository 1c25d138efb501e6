"""A publication that has no entries yet."""

ENTRIES = ()
