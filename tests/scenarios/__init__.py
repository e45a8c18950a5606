"""Engine and simulator together: the rows of the catalogue as they happen."""
