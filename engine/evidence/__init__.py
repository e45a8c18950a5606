"""Evidence: a chain for every case, a Merkle log for every application, and bundles that a third party verifies."""
