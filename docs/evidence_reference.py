"""What docs/signing.md takes from the code of evidence: the SHA-256 of the program that verifies without Sceau."""

from engine.evidence.standalone import program_sha256


def verifier_block() -> str:
    """Return the SHA-256 of `sceau evidence verifier`'s output, as it is compared by hand."""
    return f"    {program_sha256()}  verify_bundle.py\n"
