"""Facts that follow from the notes and the fields of a piece."""
